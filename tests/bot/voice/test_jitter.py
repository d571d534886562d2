from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.voice.jitter import MAX_JUMP, MAX_WAITING, WAIT_S, JitterBuffer, Released

pytestmark = pytest.mark.unit


def feed(buffer: JitterBuffer[int], arrivals: list[tuple[float, int]]) -> list[Released[int]]:
    """Packets (arrival, number); the buffer's timer runs every 20 ms, and for a while after the last."""
    out: list[Released[int]] = []
    clock = 0.0
    for at_s, number in sorted(arrivals, key=lambda arrival: arrival[0]):
        while clock + 0.02 <= at_s:
            clock += 0.02
            out += buffer.due(clock)
        out += buffer.push(number & 0xFFFF, number, at_s)
    for _ in range(10):
        clock += 0.02
        out += buffer.due(clock)
    return out


@given(
    first=st.integers(0, 0xFFFF),
    count=st.integers(1, 200),
    jitter_ms=st.lists(st.integers(0, 55), min_size=200, max_size=200),
)
def test_jitter_below_the_wait_costs_nothing_whatever_the_numbers(first: int, count: int, jitter_ms: list[int]) -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    arrivals = [(i * 0.02 + jitter_ms[i] / 1000, first + i) for i in range(count)]
    out = feed(buffer, arrivals)
    assert [item.packet for item in out] == list(range(first, first + count))
    assert buffer.counters.lost == 0
    assert len(buffer) == 0


@given(
    first=st.integers(0, 0xFFFF),
    lost=st.sets(st.integers(1, 298), max_size=100),
    doubled=st.sets(st.integers(0, 299), max_size=50),
)
def test_what_was_lost_is_counted_and_the_rest_comes_out_once_in_order(
    first: int, lost: set[int], doubled: set[int]
) -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    arrivals = [(i * 0.02, first + i) for i in range(300) if i not in lost]
    arrivals += [(i * 0.02 + 0.005, first + i) for i in doubled - lost]
    out = feed(buffer, arrivals)
    assert [item.packet - first for item in out] == [i for i in range(300) if i not in lost]
    longest = max((run for run in runs(lost)), default=0)
    if longest < MAX_JUMP:
        assert buffer.counters.lost == sum(item.lost_before for item in out) == len(lost)
        assert buffer.counters.late + buffer.counters.duplicate == len(doubled - lost)


def runs(numbers: set[int]) -> list[int]:
    lengths, previous = [], None
    for number in sorted(numbers):
        if previous is not None and number == previous + 1:
            lengths[-1] += 1
        else:
            lengths.append(1)
        previous = number
    return lengths


def test_the_wrap_after_65536_packets_is_seamless() -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    out = feed(buffer, [(i * 0.02, i) for i in range(65_000, 2 * 65_536 + 500)])
    assert [item.packet for item in out] == list(range(65_000, 2 * 65_536 + 500))
    assert buffer.counters.lost == buffer.counters.resyncs == 0


def test_a_missing_packet_is_waited_for_60_ms_and_no_longer() -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    feed(buffer, [(0.0, 10)])
    assert buffer.push(12, 12, 5.0) == []
    assert buffer.due(5.0 + WAIT_S - 0.001) == []
    assert [(item.packet, item.lost_before) for item in buffer.due(5.001 + WAIT_S)] == [(12, 1)]
    assert buffer.push(11, 11, 5.1) == []
    assert buffer.counters.late == 1


def test_what_comes_beside_a_missing_packet_does_not_make_it_lost_before_all_that_came_was_looked_at() -> None:
    """After a moment in which nothing was read, the packets of that moment come at once, out of order as they are."""
    buffer: JitterBuffer[int] = JitterBuffer()
    feed(buffer, [(0.0, 10)])
    assert buffer.push(12, 12, 5.0) == []
    out = [item for number in (13, 11, 14) for item in buffer.push(number, number, 5.0 + 10 * WAIT_S)]
    assert [item.packet for item in out] == [11, 12, 13, 14]
    assert (buffer.counters.lost, buffer.counters.late) == (0, 0)


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("overtaking", [MAX_JUMP, MAX_JUMP + 10, MAX_WAITING - 1])
def test_a_packet_that_many_overtake_at_once_is_neither_lost_nor_a_stray(overtaking: int, begun: bool) -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    feed(buffer, [(0.0, 10)] if begun else [])
    numbers = [*range(12, 12 + overtaking), 11]
    out = [item.packet for number in numbers for item in buffer.push(number, number, 5.0)]
    out += [item.packet for item in buffer.due(5.1 + WAIT_S)]
    assert out == [11, *range(12, 12 + overtaking)]
    assert (buffer.counters.lost, buffer.counters.stray, buffer.counters.resyncs) == (0, 0, 0)


def test_more_than_may_wait_do_not_wait_for_a_missing_packet() -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    feed(buffer, [(0.0, 10)])
    numbers = range(12, 13 + MAX_WAITING)
    out = [item for number in numbers for item in buffer.push(number, number, 5.0)]
    assert [item.packet for item in out] == list(numbers)
    assert buffer.counters.lost == out[0].lost_before == 1


def test_the_first_packets_of_a_stream_may_come_in_any_order() -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    out = feed(buffer, [(0.0, 3), (0.01, 1), (0.02, 2), (0.03, 4)])
    assert [item.packet for item in out] == [1, 2, 3, 4]
    assert [item.fresh for item in out] == [True, False, False, False]


@pytest.mark.parametrize("jump", [MAX_JUMP + 1, 1_000, 30_000, -200, -20_000])
def test_two_packets_beside_each_other_far_away_begin_the_stream_anew_without_loss(jump: int) -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    numbers = [*range(40_000, 40_010), *range(40_010 + jump, 40_020 + jump)]
    out = feed(buffer, [(i * 0.02, number) for i, number in enumerate(numbers)])
    assert [item.packet for item in out] == numbers
    assert buffer.counters.resyncs == 1
    assert buffer.counters.lost == 0


def test_a_lone_stray_neither_disturbs_the_stream_nor_is_heard() -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    arrivals = [(i * 0.02, 100 + i) for i in range(20)]
    out = feed(buffer, [*arrivals, (0.105, 9_000)])
    assert [item.packet for item in out] == list(range(100, 120))
    assert buffer.counters.stray == 1


def test_a_lone_packet_after_a_jump_is_heard_when_nothing_contradicts_it() -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    out = feed(buffer, [(0.0, 1), (0.02, 2), (1.0, 5_000)])
    assert [item.packet for item in out] == [1, 2, 5_000]


@given(st.lists(st.integers(0, 0xFFFF), max_size=300), st.randoms(use_true_random=False))
def test_no_order_of_numbers_breaks_it_or_lets_it_grow(numbers: list[int], chance: random.Random) -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    now, released = 0.0, 0
    for number in numbers:
        now += chance.choice((0.0, 0.001, 0.02, 0.5))
        released += len(buffer.push(number, number, now))
        assert len(buffer) <= MAX_WAITING + 1
    released += len(buffer.due(now + 1.0)) + len(buffer.flush())
    assert len(buffer) == 0
    counters = buffer.counters
    assert released + counters.late + counters.duplicate + counters.stray == len(numbers)


def test_dropping_forgets_everything() -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    feed(buffer, [(0.0, 1)])
    buffer.push(3, 3, 1.0)
    buffer.push(4, 4, 1.0)
    assert buffer.drop() == 2
    assert buffer.due(9.0) == []
    assert [item.packet for item in feed(buffer, [(0.0, 700)])] == [700]

"""The fault plan: the same seed gives the same faults, and what it says it did is what it did."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.voice.faults import Delivery, Wire, WirePlan
from sandbox.voice.transport import Rtp

pytestmark = pytest.mark.unit


def stream(count: int, ssrc: int = 10, first: int = 0) -> list[Rtp]:
    return [
        Rtp(sequence=(first + i) & 0xFFFF, timestamp=960 * i, ssrc=ssrc, payload=i.to_bytes(4, "big"))
        for i in range(count)
    ]


def carried(wire: Wire, packets: Iterable[Rtp]) -> list[Delivery]:
    return [delivery for packet in packets for delivery in wire.carry(packet)] + list(wire.flush())


def rtp(deliveries: Iterable[Delivery]) -> list[Rtp]:
    return [delivery.content for delivery in deliveries if isinstance(delivery.content, Rtp)]


def test_without_a_plan_everything_arrives_as_it_is() -> None:
    packets = stream(100)
    deliveries = carried(Wire(), packets)
    assert rtp(deliveries) == packets
    assert {delivery.delay_s for delivery in deliveries} == {0.0}


@given(st.integers(), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_same_seed_gives_the_same_faults(seed: int, loss: float, reorder: float, padding: float) -> None:
    plan = WirePlan(seed=seed, loss=loss, reorder=reorder, padding=padding, jitter_s=0.1, garbage=0.1)
    assert carried(Wire(plan), stream(50)) == carried(Wire(plan), stream(50))


@given(st.integers(), st.floats(0, 1), st.integers(1, 5))
def test_every_packet_arrives_once_or_is_listed_as_lost(seed: int, chance: float, depth: int) -> None:
    plan = WirePlan(seed=seed, loss=chance / 2, reorder=chance, reorder_packets=depth, jitter_s=0.01)
    wire, packets = Wire(plan), stream(80, first=65_500)
    arrived = [packet.sequence for packet in rtp(carried(wire, packets))]
    lost = [packet.sequence for packet in wire.lost]
    assert sorted(arrived + lost) == sorted(packet.sequence for packet in packets)
    assert wire.counters["lost"] == len(lost)
    assert wire.counters["packets"] == 80


def test_a_reordered_packet_is_overtaken_by_as_many_as_planned() -> None:
    wire = Wire(WirePlan(reorder=1.0, reorder_packets=2))
    first, *others = stream(4)
    held = list(wire.carry(first))
    wire.use(WirePlan())
    order = [packet.sequence for packet in rtp([*held, *carried(wire, others)])]
    assert order == [1, 2, 0, 3]


def test_what_nothing_overtakes_is_released_in_the_end() -> None:
    wire = Wire(WirePlan(reorder=1.0))
    assert list(wire.carry(stream(1)[0])) == []
    assert wire.holds_back is not None
    assert rtp(wire.flush()) == stream(1)
    assert wire.holds_back is None


def test_duplicates_are_the_same_packet_twice() -> None:
    wire = Wire(WirePlan(duplicate=1.0))
    assert rtp(carried(wire, stream(3))) == [packet for packet in stream(3) for _ in range(2)]
    assert wire.counters["duplicated"] == 3


def test_padding_bursts_take_sequence_numbers_and_repeat_the_timestamp() -> None:
    wire = Wire(WirePlan(padding_burst=1.0, padding_burst_packets=2))
    out = rtp(carried(wire, stream(3)))
    assert [packet.sequence for packet in out] == list(range(9))
    assert [packet.timestamp for packet in out] == [0, 0, 0, 960, 960, 960, 1920, 1920, 1920]
    assert [bool(packet.payload) for packet in out] == [True, False, False] * 3
    wire.use(WirePlan())
    assert rtp(carried(wire, stream(1, first=3)))[0].sequence == 9, "the numbers stay shifted for the stream"


def test_extensions_and_padding_leave_the_payload_alone() -> None:
    out = rtp(carried(Wire(WirePlan(extension=1.0, padding=1.0, sources=1.0)), stream(50)))
    assert all(1 <= len(packet.sources) <= 3 for packet in out)
    assert [packet.payload for packet in out] == [packet.payload for packet in stream(50)]
    assert all(packet.extension and len(packet.extension) % 4 == 0 for packet in out)
    assert all(1 <= packet.padding <= 255 for packet in out)


def test_foreign_packets_have_another_type_and_ssrc_and_garbage_is_no_packet() -> None:
    deliveries = carried(Wire(WirePlan(foreign=1.0, garbage=1.0)), stream(5))
    foreign = [packet for packet in rtp(deliveries) if packet.payload_type != 120]
    assert len(foreign) == 5
    assert all(packet.ssrc == 11 for packet in foreign)
    assert len([delivery for delivery in deliveries if isinstance(delivery.content, bytes)]) == 5


def test_jitter_stays_within_its_bound() -> None:
    delays = [delivery.delay_s for delivery in carried(Wire(WirePlan(jitter_s=0.05)), stream(200))]
    assert 0 <= min(delays) < 0.01
    assert 0.04 < max(delays) <= 0.05

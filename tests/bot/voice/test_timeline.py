from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.voice.timeline import MAX_DRIFT_SAMPLES, MAX_FILL_SAMPLES, OUT_HZ, Timeline

pytestmark = pytest.mark.unit

FRAME = 320
TICKS = 960


def place(timeline: Timeline, timestamp: int, arrived: int, *, lost: int = 0, pause: bool = False) -> tuple[int, int]:
    at = timeline.place(timestamp & 0xFFFFFFFF, FRAME, lost_packets=lost, arrived_samples=arrived, after_pause=pause)
    return at.t_samples, at.fill_samples


@given(first=st.integers(0, 0xFFFFFFFF), delays=st.lists(st.integers(0, OUT_HZ // 2), min_size=2, max_size=200))
def test_arrival_moves_nothing_once_a_stream_has_begun(first: int, delays: list[int]) -> None:
    timeline = Timeline()
    starts = [place(timeline, first + i * TICKS, 5_000 + i * FRAME + delay)[0] for i, delay in enumerate(delays)]
    assert starts == [5_000 + delays[0] + i * FRAME for i in range(len(delays))]


def test_a_loss_is_to_be_filled_and_a_pause_is_not() -> None:
    timeline = Timeline()
    place(timeline, 0, 1_000)
    assert place(timeline, 3 * TICKS, 1_000 + 3 * FRAME, lost=2) == (1_000 + 3 * FRAME, 2 * FRAME)
    assert place(timeline, 20 * TICKS, 1_000 + 20 * FRAME) == (1_000 + 20 * FRAME, 0)
    # Two packets lost, then a pause: only as much as two packets is made up.
    assert place(timeline, 40 * TICKS, 1_000 + 40 * FRAME, lost=2) == (1_000 + 40 * FRAME, 2 * FRAME)


def test_a_long_loss_is_filled_up_to_the_cap() -> None:
    timeline = Timeline()
    place(timeline, 0, 0)
    assert place(timeline, 200 * TICKS, 200 * FRAME, lost=199) == (200 * FRAME, MAX_FILL_SAMPLES)


def test_24_hours_of_timestamps_wrap_without_a_seam() -> None:
    timeline = Timeline()
    first = 0xFFFFFFFF - 3_600 * 48_000
    step_s, worst = 20, 0
    for second in range(0, 26 * 3_600, step_s):
        t, _ = place(timeline, first + second * 48_000, second * OUT_HZ, pause=True)
        worst = max(worst, abs(t - second * OUT_HZ))
    assert worst == 0


def test_24_hours_with_a_clock_that_runs_wrong_stay_within_the_drift_allowed() -> None:
    timeline = Timeline()
    worst = 0
    for second in range(0, 24 * 3_600, 30):
        ticks = round(second * 48_000 * 1.0002)  # 200 ppm fast: 17 s a day
        t, _ = place(timeline, ticks, second * OUT_HZ, pause=True)
        worst = max(worst, abs(t - second * OUT_HZ))
    assert 0 < worst <= MAX_DRIFT_SAMPLES + OUT_HZ


def test_a_client_that_stops_its_timestamps_while_silent_is_put_right_after_the_pause() -> None:
    timeline = Timeline()
    place(timeline, 0, 0)
    t, fill = place(timeline, TICKS, 30 * OUT_HZ, pause=True)
    assert (t, fill) == (30 * OUT_HZ, 0)
    assert place(timeline, 2 * TICKS, 30 * OUT_HZ + 9 * FRAME)[0] == 30 * OUT_HZ + FRAME


def test_a_stall_of_the_network_in_mid_speech_is_no_reason_to_move() -> None:
    timeline = Timeline()
    place(timeline, 0, 0)
    assert place(timeline, TICKS, 3 * OUT_HZ)[0] == FRAME


@pytest.mark.parametrize("jump", [70 * 48_000, -5 * 48_000, 1 << 31, 10 * 48_000])
def test_timestamps_that_jump_begin_anew_where_time_stands(jump: int) -> None:
    timeline = Timeline()
    place(timeline, 100_000, 0)
    assert place(timeline, 100_000 + TICKS + jump, FRAME)[0] == FRAME


def test_another_stream_begins_at_its_arrival_but_never_before_the_last_one_ended() -> None:
    timeline = Timeline()
    place(timeline, 7, 1_000)
    timeline.restart()
    assert place(timeline, 0xABCDEF, 40_000)[0] == 40_000
    timeline.restart()
    assert place(timeline, 3, 30_000)[0] == 40_000 + FRAME


@given(
    st.lists(
        st.tuples(st.integers(0, 0xFFFFFFFF), st.integers(0, 100), st.integers(0, 1 << 40), st.booleans()), max_size=60
    )
)
def test_whatever_comes_the_timeline_never_overlaps_and_never_runs_back(
    packets: list[tuple[int, int, int, bool]],
) -> None:
    timeline = Timeline()
    end = 0
    for timestamp, lost, arrived, pause in packets:
        t, fill = place(timeline, timestamp, arrived, lost=lost, pause=pause)
        assert t - fill >= end
        assert 0 <= fill <= MAX_FILL_SAMPLES
        end = t + FRAME
        assert timeline.end_samples == end

"""The figures of a session, from made windows whose answer is known."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import WindowRecord
from storage.report import build_report, overlap_s, shares, turns
from tests.fakes.records import STARTED, participant, session, window

pytestmark = pytest.mark.unit


def test_shares_weigh_clear_speech_by_its_seconds() -> None:
    windows = [
        window(emotion="Angry", speech_ratio=1.0),
        window(emotion="Happy", start_s=3, end_s=5, speech_ratio=0.5),
        window(emotion="Sad", start_s=6, unclear=True),
    ]
    assert shares(windows) == pytest.approx({"Angry": 0.75, "Happy": 0.25})
    assert list(shares(windows)) == ["Angry", "Happy"]


def test_nothing_clear_has_no_shares() -> None:
    assert shares([window(unclear=True), window(speech_ratio=0.0)]) == {}


@pytest.mark.parametrize(
    ("starts", "expected"),
    [([], 0), ([0.0], 1), ([0.0, 3.0, 6.0], 1), ([0.0, 4.4], 1), ([0.0, 4.5], 2), ([0.0, 9.0, 20.0], 3)],
)
def test_a_turn_ends_after_a_second_and_a_half(starts: list[float], expected: int) -> None:
    assert turns([window(start_s=start_s) for start_s in starts]) == expected


def test_overlap_counts_time_with_two_or_more_once() -> None:
    windows = [window(1, 0.0), window(2, 2.0), window(3, 2.5), window(1, 10.0)]
    assert overlap_s(windows) == pytest.approx(3.0)  # 2.0 to 5.0


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 20)), unique=True, max_size=30))
def test_overlap_equals_counting_by_the_second(slots: list[tuple[int, int]]) -> None:
    windows = [window(who, float(second), float(second + 1)) for who, second in slots]
    busy = [sum(second == at for _, at in slots) for second in range(21)]
    assert overlap_s(windows) == pytest.approx(sum(count >= 2 for count in busy))


def test_a_report_holds_each_speakers_figures_and_the_whole() -> None:
    windows: list[WindowRecord] = [
        window(1, 0.0),
        window(2, 1.0, 3.0, emotion="Happy", speech_ratio=0.5),
        window(1, 9.0, unclear=True),
    ]
    report = build_report(session(), [participant(1), participant(2), participant(3)], windows, [])
    first, second, third = report.participants
    assert (first.talk_s, first.unclear_share) == pytest.approx((6.0, 0.5))
    assert first.turns == 2
    assert second.shares == {"Happy": 1.0}
    assert (third.talk_s, third.turns, dict(third.shares), third.unclear_share) == (0.0, 0, {}, 0.0)
    assert report.duration_s == pytest.approx(12.0)
    assert report.overlap_s == pytest.approx(2.0)


def test_an_ended_session_lasts_until_its_end() -> None:
    ended = session(ended_at=STARTED + timedelta(seconds=60))
    assert build_report(ended, [], [window(1, 0.0)], []).duration_s == 60.0

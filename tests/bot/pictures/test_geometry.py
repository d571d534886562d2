"""Where things lie: every window has its cell, nothing leaves the picture, long sessions stay readable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.pictures import geometry
from bot.pictures.palette import UNCLEAR
from storage import MomentRecord, SessionReport, WindowRecord
from storage.report import build_report
from tests.fakes.records import participant, session, window

pytestmark = pytest.mark.unit

NAMES = {1: "Alice", 2: "Bob"}


def _report(
    windows: Sequence[WindowRecord], moments: Sequence[MomentRecord] = (), *, people: int = 2, **changes: Any
) -> SessionReport:
    return build_report(session(**changes), [participant(n, 100 + n) for n in range(1, people + 1)], windows, moments)


def _moment(at_s: float) -> MomentRecord:
    return MomentRecord(at_s=at_s, kind="mark", participant_id=None, text="here")


def test_a_cell_a_window_in_its_speakers_row() -> None:
    report = _report([window(1, 0.0), window(1, 3.0, 4.5), window(2, 30.0)])
    strip = geometry.strip(report, NAMES, width=960)
    assert [row.name for row in strip.rows] == ["Alice", "Bob"]
    assert [len(row.cells) for row in strip.rows] == [2, 1]
    first, second = strip.rows[0].cells
    assert first.x == strip.plot_x
    assert second.x == pytest.approx(first.x + first.width)
    assert second.width == pytest.approx(first.width / 2)
    assert strip.rows[1].cells[0].x == pytest.approx(strip.plot_x + strip.plot_width / 2)


def test_a_young_session_is_drawn_as_a_minute() -> None:
    strip = geometry.strip(_report([window(1, 0.0)]), NAMES, width=960)
    assert strip.to_s == 60.0


def test_an_unclear_window_is_no_emotion() -> None:
    strip = geometry.strip(_report([window(1, 0.0, unclear=True, reason="unsure")]), NAMES, width=960)
    [cell] = strip.rows[0].cells
    assert (cell.label, cell.reason) == (UNCLEAR, "unsure")


def test_in_a_long_session_neighbours_share_a_cell() -> None:
    windows = [window(1, 3.0 * n, emotion="Angry" if n % 3 else "Happy", confidence=0.6) for n in range(7200)]
    strip = geometry.strip(_report(windows), NAMES, width=960)
    assert strip.slot_s is not None
    cells = strip.rows[0].cells
    assert len(cells) < 400
    assert sum(cell.windows for cell in cells) == 7200
    assert {cell.label for cell in cells[:-1]} == {"Angry"}
    assert cells[0].confidence == pytest.approx(0.6)


def test_a_shared_cell_is_unclear_when_most_of_it_was() -> None:
    windows = [window(1, 3.0 * n, unclear=n % 4 != 0, reason="unsure" if n % 4 else None) for n in range(7200)]
    strip = geometry.strip(_report(windows), NAMES, width=960)
    assert {cell.label for cell in strip.rows[0].cells} == {UNCLEAR}


def test_a_part_of_a_session() -> None:
    windows = [window(1, 3.0 * n) for n in range(600)]
    strip = geometry.strip(_report(windows), NAMES, width=960, from_s=600, to_s=900)
    cells = strip.rows[0].cells
    assert strip.slot_s is None
    assert cells[0].start_s == 600.0
    assert cells[-1].end_s == 900.0
    assert cells[-1].x + cells[-1].width == pytest.approx(strip.plot_x + strip.plot_width)


def test_moments_keep_their_numbers_and_do_not_cover_each_other() -> None:
    strip = geometry.strip(
        _report([window(1, 0.0)], [_moment(1), _moment(1.5), _moment(2), _moment(50)]), NAMES, width=960
    )
    assert [mark.number for mark in strip.marks] == [1, 2, 3, 4]
    places = [(round(mark.x), round(mark.y)) for mark in strip.marks]
    assert len({y for _, y in places[:3]}) == 3
    assert places[3][1] == places[0][1]
    assert all(mark.y < strip.top for mark in strip.marks)


def test_too_many_moments_are_not_all_drawn() -> None:
    strip = geometry.strip(_report([window(1, 0.0)], [_moment(n / 10) for n in range(300)]), NAMES, width=960)
    assert len(strip.marks) == geometry.MAX_MARKS


def test_ticks_have_room() -> None:
    for seconds in (10, 100, 1_000, 10_000, 21_600):
        strip = geometry.strip(_report([window(1, seconds - 3.0)]), NAMES, width=960)
        gaps = [later.x - earlier.x for earlier, later in zip(strip.ticks, strip.ticks[1:], strict=False)]
        assert strip.ticks[0].at_s == 0.0
        assert all(gap >= 60 for gap in gaps)
        assert len(strip.ticks) >= 4


def test_nobody_and_nothing() -> None:
    strip = geometry.strip(_report([], people=0), {}, width=960)
    assert strip.rows == ()
    assert strip.height > 0
    assert geometry.talk_segments({}, 0.0, width=100) == ()


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.floats(0, 20_000), st.floats(0.1, 3.0), st.booleans(), st.floats(0, 1)),
        max_size=60,
    ),
    st.sampled_from([360.0, 960.0]),
    st.sampled_from([0.0, 150.0]),
)
def test_nothing_leaves_the_picture(
    found: list[tuple[int, float, float, bool, float]], width: float, gutter: float
) -> None:
    windows = sorted(
        (
            window(who, start, start + length, unclear=unclear, confidence=sure)
            for who, start, length, unclear, sure in found
        ),
        key=lambda w: w.start_s,
    )
    strip = geometry.strip(_report(windows, people=3), NAMES, width=width, gutter=gutter)
    assert sum(cell.windows for row in strip.rows for cell in row.cells) == len(windows)
    for row in strip.rows:
        assert strip.top <= row.y <= row.y + row.height <= strip.bottom <= strip.height
        for cell in row.cells:
            assert cell.x >= strip.plot_x
            assert cell.width >= 1
            assert cell.x + cell.width <= strip.plot_x + strip.plot_width + 1.01
            assert 0 < cell.strength <= 1


@given(
    st.lists(st.floats(0.01, 1), min_size=1, max_size=5).map(lambda shares: [share / sum(shares) for share in shares]),
    st.floats(0, 1),
)
def test_a_talk_bar_is_full(shares: list[float], unclear: float) -> None:
    labels = ("Angry", "Happy", "Sad", "Disgust", "Neutral")
    segments = geometry.talk_segments(dict(zip(labels, shares, strict=False)), unclear, width=400)
    assert sum(segment.width for segment in segments) == pytest.approx(400)
    assert sum(segment.share for segment in segments) == pytest.approx(1)

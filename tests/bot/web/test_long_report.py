"""A long report's columns give what adding up its windows one by one gives, to the last digit, and cost less."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.report.moments import _runs
from bot.web import rows
from bot.web.chart import chart_out, columns, summary_out
from bot.web.schema import ReportOut, report_out
from bot.web.views import PageQuery, build_view
from lab.seed import LABELS
from lab.talk import talk
from storage import WindowRecord
from storage.columns import Windows
from storage.records import SessionReport
from storage.report import build_report, longest_turn_s, windows_in_order
from tests.fakes import plain_report as plain
from tests.fakes.records import participant, session, window

pytestmark = pytest.mark.unit

REASONS = ("clipped", "too_short", "unsure")
PEOPLE = 3


@st.composite
def conversations(draw: st.DrawFn) -> list[WindowRecord]:
    """Some people talk: with pauses of every length, at once, unclear for any reason, with a label missing."""
    found: list[WindowRecord] = []
    for person in range(1, PEOPLE + 1):
        at_s = draw(st.sampled_from([0.0, 0.5, 1.234]))
        for _ in range(draw(st.integers(0, 12))):
            at_s += draw(st.sampled_from([0.0, 0.0, 0.001, 1.499, 1.5, 1.501, 60.0, 90.0, 90.01]))
            end_s = at_s + draw(st.sampled_from([0.8, 1.0, 2.999, 3.0]))
            chances = {label: draw(st.integers(0, 10_000)) / 10_000 for label in LABELS if draw(st.integers(0, 5))}
            reason = draw(st.sampled_from([None, None, *REASONS]))
            found.append(
                window(
                    *(person, at_s, end_s),
                    speech_ratio=draw(st.integers(0, 10_000)) / 10_000,
                    gap_ratio=draw(st.integers(0, 10_000)) / 10_000,
                    emotion=draw(st.sampled_from(LABELS)),
                    confidence=draw(st.integers(0, 10_000)) / 10_000,
                    unclear=reason is not None or draw(st.integers(0, 9)) == 0,
                    reason=reason,
                    probabilities=chances,
                    engine=draw(st.sampled_from([None, None, "fast"])),
                )
            )
            at_s = end_s
    return sorted(found, key=lambda one: one.start_s)


@given(conversations())
def test_every_figure_is_what_adding_up_gives(windows: list[WindowRecord]) -> None:
    report = _report(windows)
    assert report.shares == plain.shares(windows)
    assert list(report.shares) == list(plain.shares(windows))
    assert report.overlap_s == plain.overlap_s(windows)
    for person in report.participants:
        own = [one for one in windows if one.participant_id == person.participant.id]
        wanted = plain.figures(own)
        assert person.windows == own
        assert (person.talk_s, person.turns) == (wanted.talk_s, wanted.turns)
        assert (dict(person.shares), person.unclear_share) == (wanted.shares, wanted.unclear_share)
        assert longest_turn_s(person.windows) == wanted.longest_s
        assert columns(person.windows, LABELS, REASONS).model_dump() == plain.columns(own, LABELS, REASONS)
        runs = [(r.emotion, r.start_s, r.end_s, r.windows, r.strays, r.confidence) for r in _runs(person.windows)]
        assert runs == plain.stretches(own)


@given(conversations(), st.integers(-40, 40), st.integers(-40, 40))
def test_columns_are_the_windows_they_were_made_of(windows: list[WindowRecord], first: int, last: int) -> None:
    of = Windows.of(windows)
    assert of == windows
    assert [list(one.probabilities.items()) for one in of] == [
        [(label, one.probabilities[label]) for label in of.labels if label in one.probabilities] for one in windows
    ]
    assert of[first:last] == windows[first:last]
    assert [of[at] for at in range(-len(of), len(of))] == windows * 2
    parts = [of.take(of.participant_id == person) for person in range(1, PEOPLE + 1)]
    again = Windows.joined([Windows.of(list(part)) for part in parts])  # each with tables of its own
    in_order = sorted(windows, key=lambda one: (one.start_s, one.participant_id))
    assert sorted(again, key=lambda one: (one.start_s, one.participant_id)) == in_order
    assert windows_in_order(_report(windows)) == in_order


@given(conversations(), st.sampled_from([1, 3, 250]))
def test_the_whole_report_is_written_as_its_schema_writes_it(windows: list[WindowRecord], at_once: int) -> None:
    report, names = _report(windows), {1: '"windows":[]', 2: "=2", 3: "Zoë"}
    how: dict[str, Any] = {"title": '"windows":[],', "last_event_id": 7}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "AT_ONCE", at_once)
        written = rows.report_json(report, names, **how)
        table = list(csv.DictReader(io.StringIO(rows.windows_csv(report, names))))
    assert ReportOut.model_validate_json(written) == report_out(report, names, **how)
    assert json.loads(written) == json.loads(report_out(report, names, **how).model_dump_json())
    assert [(row["speaker"], float(row["start_s"]), row["emotion"]) for row in table] == [
        ({1: '"windows":[]', 2: "'=2", 3: "Zoë"}[one.participant_id], round(one.start_s, 3), one.emotion)
        for one in windows_in_order(report)
    ]
    for row, one in zip(table, windows_in_order(report), strict=True):
        chances = {label: round(one.probabilities.get(label, 0.0), 4) for label in LABELS}
        assert {label: float(row[f"p_{label}"]) for label in LABELS} == chances


def test_no_windows_at_all() -> None:
    assert not Windows.of([])
    assert list(Windows.joined([])) == []
    assert Windows.joined([Windows.of([]), Windows.of([window()])]) == [window()]
    with pytest.raises(IndexError):
        Windows.of([])[0]


@pytest.mark.slow
def test_all_of_two_hours_costs_less_than_adding_up_some_of_it_window_by_window() -> None:
    """Eight people. Made from records, window by window, the whole took twice as long as some of its figures."""
    people = list(range(1, 9))
    windows = talk(people, LABELS, seconds=7200, crowded=True)
    assert len(windows) > 12_000
    persons, names = [participant(number, number) for number in people], {n: f"Speaker {n}" for n in people}
    held = Windows.of(windows)

    def whole() -> None:
        report = build_report(session(labels=LABELS), persons, held, [])
        summary = summary_out(report, names, expires_at=None)
        build_view(report, names, PageQuery(), page="/")
        chart = chart_out(report, names, title="x", server=None, expires_at=None, summary=summary, last_event_id=0)
        chart.model_dump_json()

    def one_by_one() -> None:
        plain.shares(windows)
        plain.overlap_s(windows)
        for person in people:
            own = [one for one in windows if one.participant_id == person]
            plain.figures(own)
            plain.stretches(own)
            plain.columns(own, LABELS, REASONS)

    assert _least_s(whole) < _least_s(one_by_one)


@pytest.mark.slow
def test_two_hours_are_written_in_less_time_than_an_object_a_window_takes() -> None:
    """Those objects were made by calls that let nobody else work: the loop stood still for 150 ms, and now for 10."""
    people = list(range(1, 9))
    persons, names = [participant(number, number) for number in people], {n: f"Speaker {n}" for n in people}
    report = build_report(session(labels=LABELS), persons, talk(people, LABELS, seconds=7200, crowded=True), [])
    how: dict[str, Any] = {"title": "x", "last_event_id": 0}

    def written() -> None:
        rows.report_json(report, names, **how)

    def object_by_object() -> None:
        report_out(report, names, **how).model_dump_json()

    assert _least_s(written) < _least_s(object_by_object)


def _report(windows: list[WindowRecord]) -> SessionReport:
    return build_report(session(labels=LABELS), [participant(n, 100 + n) for n in range(1, PEOPLE + 1)], windows, [])


def _least_s(work: Callable[[], None]) -> float:
    """Processor time, the least of some: what others take is no part of it."""
    taken = []
    for _ in range(7):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)

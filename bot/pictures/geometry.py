"""Where everything lies in a session's pictures: one geometry, drawn as PNG for Discord and as SVG for the web.

Pure: figures in, rectangles out, in pixels from the top left corner. A strip has a row a speaker and a cell a window;
where a cell would be thinner than 2.5 px, neighbouring windows of a speaker share one, and the strip says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bot.pictures.palette import UNCLEAR, in_order, level, strength
from bot.pictures.scale import Scale, Tick, groups_of, slot_seconds, ticks_of
from storage.records import MomentRecord, SessionReport, WindowRecord
from storage.report import speech_s

MIN_SPAN_S: Final = 60.0
"""A session that has just begun is drawn as if it were a minute long, so that its cells do not shrink as it grows."""
MAX_MARKS: Final = 60
_MARK_PX: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    x: float
    width: float
    start_s: float
    end_s: float
    label: str
    """The emotion, or `palette.UNCLEAR`."""
    confidence: float
    reason: str | None
    windows: int
    """How many windows it stands for."""

    @property
    def strength(self) -> float:
        return strength(self.confidence)

    @property
    def level(self) -> int:
        return level(self.confidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    participant_id: int
    name: str
    y: float
    height: float
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    x: float
    y: float
    """Middle of its number."""
    number: int
    moment: MomentRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    width: float
    height: float
    plot_x: float
    plot_width: float
    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    top: float
    """Top of the first row's track."""
    bottom: float
    """Bottom of the last row, where the axis begins."""
    from_s: float
    to_s: float
    slot_s: float | None
    """Seconds that share a cell; None: a cell is one window."""
    names_above: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    x: float
    width: float
    label: str
    share: float
    """Of the speaker's whole talk time."""


def span_of(report: SessionReport) -> float:
    """Seconds that the time axis of the whole session covers."""
    return max(MIN_SPAN_S, report.duration_s)


def strip(
    report: SessionReport,
    names: Mapping[int, str],
    *,
    width: float,
    gutter: float = 150.0,
    row_height: float = 38.0,
    row_gap: float = 10.0,
    name_height: float = 18.0,
    axis_height: float = 26.0,
    from_s: float = 0.0,
    to_s: float | None = None,
) -> Strip:
    """Lay a session out. `gutter` is the room for names on the left; 0 puts them above the rows."""
    to_s = span_of(report) if to_s is None else to_s
    plot_x, plot_width = gutter, width - gutter - 2
    scale = Scale(from_s=from_s, to_s=to_s, x=plot_x, width=plot_width)
    slot_s = slot_seconds(scale)
    marks = _marks(report, scale)
    above = gutter == 0
    top = (_MARK_PX * (1 + max((level for _, level, _ in marks), default=-1)) + 4) if marks else 0.0
    step = row_height + row_gap + (name_height if above else 0)
    rows = []
    for index, person in enumerate(report.participants):
        y = top + index * step + (name_height if above else 0)
        windows = [window for window in person.windows if window.end_s > from_s and window.start_s < to_s]
        rows.append(
            Row(
                participant_id=person.participant.id,
                name=names.get(person.participant.id, person.participant.pseudonym),
                y=y,
                height=row_height,
                cells=tuple(_cells(windows, scale, slot_s)),
            )
        )
    bottom = rows[-1].y + row_height if rows else top
    return Strip(
        width=width,
        height=bottom + axis_height,
        plot_x=plot_x,
        plot_width=plot_width,
        rows=tuple(rows),
        ticks=ticks_of(scale),
        marks=tuple(
            Mark(x=scale.at(m.at_s), y=top - 4 - _MARK_PX * (level + 0.5), number=number, moment=m)
            for m, level, number in marks
        ),
        top=rows[0].y if rows else top,
        bottom=bottom,
        from_s=from_s,
        to_s=to_s,
        slot_s=slot_s,
        names_above=above,
    )


def talk_segments(
    shares: Mapping[str, float], unclear_share: float, *, width: float, x: float = 0.0
) -> tuple[Segment, ...]:
    """A speaker's talk time as one bar of `width`: the emotions of its clear part, then what was unclear."""
    segments = []
    for label in in_order(list(shares)):
        share = shares[label] * (1 - unclear_share)
        if share > 0:
            segments.append(Segment(x=x, width=share * width, label=label, share=share))
            x += share * width
    if unclear_share > 0:
        segments.append(Segment(x=x, width=unclear_share * width, label=UNCLEAR, share=unclear_share))
    return tuple(segments)


def _cells(windows: Sequence[WindowRecord], scale: Scale, slot_s: float | None) -> list[Cell]:
    cells = []
    for group in groups_of(windows, slot_s):
        label, confidence, reason = _voice_of(group)
        start_s, end_s = group[0].start_s, group[-1].end_s
        x = scale.at(start_s)
        cells.append(
            Cell(
                x=x,
                width=max(1.0, scale.at(end_s) - x),
                start_s=start_s,
                end_s=end_s,
                label=label,
                confidence=confidence,
                reason=reason,
                windows=len(group),
            )
        )
    return cells


def _voice_of(group: Sequence[WindowRecord]) -> tuple[str, float, str | None]:
    """The emotion that most of a group's clear speech sounds like and its mean confidence; unclear when most is."""
    if len(group) == 1:
        only = group[0]
        return (UNCLEAR if only.unclear else only.emotion), only.confidence, only.reason
    clear: dict[str, float] = defaultdict(float)
    sure: dict[str, float] = defaultdict(float)
    for window in group:
        if not window.unclear:
            clear[window.emotion] += speech_s(window)
            sure[window.emotion] += speech_s(window) * window.confidence
    total = sum(map(speech_s, group))
    if not clear or sum(clear.values()) < total / 2:
        return UNCLEAR, max(window.confidence for window in group), next((w.reason for w in group if w.reason), None)
    label = max(clear, key=clear.__getitem__)
    return label, sure[label] / clear[label] if clear[label] else 0.0, None


def _marks(report: SessionReport, scale: Scale) -> list[tuple[MomentRecord, int, int]]:
    """Moments on the axis with a level (so that numbers do not cover each other) and their number in the list."""
    placed: list[tuple[MomentRecord, int, int]] = []
    ends = [float("-inf")] * 3
    for number, moment in enumerate(report.moments, start=1):
        if not scale.from_s <= moment.at_s <= scale.to_s or len(placed) >= MAX_MARKS:
            continue
        x = scale.at(moment.at_s)
        level = next((level for level, end in enumerate(ends) if x - end >= _MARK_PX), len(ends) - 1)
        ends[level] = x
        placed.append((moment, level, number))
    return placed

"""What the report page shows, worked out from a report: pictures, rows and choices. Pure and CPU-bound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from markupsafe import Markup

from bot.pictures import geometry, svg
from bot.pictures.palette import UNCLEAR, in_order, tone
from bot.pictures.ridges import ridges
from bot.pictures.times import clock
from storage.records import MomentRecord, ParticipantReport, SessionReport, WindowRecord

WIDE_PX: Final = 960.0
NARROW_PX: Final = 360.0
MAX_TABLE_ROWS: Final = 400
_BAR_PX: Final = 420.0
_RANGES_FROM_S: Final = 900.0
"""Longer sessions are offered in parts."""
_PARTS_S: Final = (600.0, 1800.0, 3600.0)
_MAX_PARTS: Final = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the visitor chose to look at: query parameters of the page."""

    speaker: int | None = None
    from_s: float | None = None
    to_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture in two widths; the style sheet shows the one that fits."""

    wide: Markup
    narrow: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    text: str
    url: str
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerRow:
    id: int
    name: str
    talk_s: float
    turns: int
    windows: int
    unclear_share: float
    shares: tuple[tuple[str, float], ...]
    """Share of the clear talk time by label, in the legend's order."""
    bar: Markup
    latest: WindowRecord | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentRow:
    number: int
    moment: MomentRecord
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRow:
    name: str
    window: WindowRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    labels: tuple[str, ...]
    legend: tuple[tuple[str, Markup], ...]
    strip: Picture
    slot_s: float | None
    ranges: tuple[Choice, ...]
    speakers: tuple[SpeakerRow, ...]
    together: Picture
    talk_s: float
    windows: int
    clear_windows: int
    voices: tuple[Choice, ...]
    voice: str | None
    ridges: Picture | None
    moments: tuple[MomentRow, ...]
    table: tuple[WindowRow, ...]
    table_left_out: int
    voice_table: tuple[WindowRow, ...]


def build_view(report: SessionReport, names: Mapping[int, str], view: View, *, page: str) -> ReportView:
    """Everything the template needs. `page` is the address that choices link to."""
    span_s = geometry.span_of(report)
    from_s, to_s = _range(view, span_s)
    labels = tuple(in_order(list(report.session.labels)))
    people = report.participants
    chosen = next((p for p in people if p.participant.id == view.speaker), None) or _first_to_talk(people)
    in_range = sorted(
        (w for p in people for w in p.windows if w.end_s > from_s and w.start_s < to_s),
        key=lambda w: (w.start_s, w.participant_id),
    )
    all_windows = [w for p in people for w in p.windows]
    talk_s = sum(p.talk_s for p in people)
    unclear_s = sum(p.talk_s * p.unclear_share for p in people)
    strip = _strips(report, names, from_s, to_s)
    return ReportView(
        labels=labels,
        legend=tuple(
            (label, svg.sample_svg(label, ident=f"key-{tone(label).css_class}")) for label in (*labels, UNCLEAR)
        ),
        strip=strip[0],
        slot_s=strip[1],
        ranges=_ranges(view, span_s, page),
        speakers=tuple(_speaker(p, names, labels) for p in people),
        together=_together(report, unclear_s / talk_s if talk_s else 0.0),
        talk_s=talk_s,
        windows=len(all_windows),
        clear_windows=sum(not w.unclear for w in all_windows),
        voices=tuple(
            Choice(
                text=names[p.participant.id],
                url=_url(page, View(speaker=p.participant.id, from_s=view.from_s, to_s=view.to_s)) + "#closer",
                chosen=p is chosen,
            )
            for p in people
            if p.windows
        ),
        voice=names[chosen.participant.id] if chosen else None,
        ridges=_lines(chosen, names, labels, from_s, to_s) if chosen else None,
        moments=tuple(
            MomentRow(number=n, moment=m, name=names.get(m.participant_id) if m.participant_id is not None else None)
            for n, m in enumerate(report.moments, start=1)
        ),
        table=tuple(WindowRow(name=names[w.participant_id], window=w) for w in in_range[:MAX_TABLE_ROWS]),
        table_left_out=max(0, len(in_range) - MAX_TABLE_ROWS),
        voice_table=tuple(
            WindowRow(name=names[w.participant_id], window=w)
            for w in in_range
            if chosen is not None and w.participant_id == chosen.participant.id
        )[:MAX_TABLE_ROWS],
    )


def _strips(
    report: SessionReport, names: Mapping[int, str], from_s: float, to_s: float
) -> tuple[Picture, float | None]:
    title = "How each speaker sounded over time. The same figures are in the table below."
    wide = geometry.strip(report, names, width=WIDE_PX, from_s=from_s, to_s=to_s)
    narrow = geometry.strip(report, names, width=NARROW_PX, gutter=0, row_height=30, from_s=from_s, to_s=to_s)
    picture = Picture(
        wide=svg.strip_svg(wide, ident="strip-w", title=title, css_class="wide"),
        narrow=svg.strip_svg(narrow, ident="strip-n", title=title, css_class="narrow"),
    )
    return picture, wide.slot_s


def _together(report: SessionReport, unclear_share: float) -> Picture:
    def bar(width: float, variant: str) -> Markup:
        segments = geometry.talk_segments(report.shares, unclear_share, width=width)
        title = "Everybody's talk time by emotion"
        return svg.bar_svg(
            segments, width=width, ident=f"together-{variant[0]}", title=title, height=26, css_class=variant
        )

    return Picture(wide=bar(WIDE_PX, "wide"), narrow=bar(NARROW_PX, "narrow"))


def _lines(
    person: ParticipantReport, names: Mapping[int, str], labels: tuple[str, ...], from_s: float, to_s: float
) -> Picture:
    title = f"Probability of each label over time for {names[person.participant.id]}. The table below has the figures."
    wide = ridges(person.windows, labels, width=WIDE_PX, from_s=from_s, to_s=to_s)
    narrow = ridges(person.windows, labels, width=NARROW_PX, gutter=0, ridge_gap=18, from_s=from_s, to_s=to_s)
    return Picture(
        wide=svg.ridges_svg(wide, ident="ridges-w", title=title, css_class="wide"),
        narrow=svg.ridges_svg(narrow, ident="ridges-n", title=title, css_class="narrow"),
    )


def _speaker(person: ParticipantReport, names: Mapping[int, str], labels: tuple[str, ...]) -> SpeakerRow:
    name = names[person.participant.id]
    return SpeakerRow(
        id=person.participant.id,
        name=name,
        talk_s=person.talk_s,
        turns=person.turns,
        windows=len(person.windows),
        unclear_share=person.unclear_share,
        shares=tuple((label, person.shares.get(label, 0.0)) for label in labels),
        bar=svg.bar_svg(
            geometry.talk_segments(person.shares, person.unclear_share, width=_BAR_PX),
            width=_BAR_PX,
            ident=f"bar-{person.participant.id}",
            title=f"Talk time of {name} by emotion",
        ),
        latest=person.windows[-1] if person.windows else None,
    )


def _first_to_talk(people: tuple[ParticipantReport, ...]) -> ParticipantReport | None:
    return next((person for person in people if person.windows), None)


def _range(view: View, span_s: float) -> tuple[float, float]:
    from_s = view.from_s or 0.0
    to_s = min(view.to_s, span_s) if view.to_s is not None else span_s
    return (from_s, to_s) if to_s - from_s >= 1 else (0.0, span_s)


def _ranges(view: View, span_s: float, page: str) -> tuple[Choice, ...]:
    if span_s <= _RANGES_FROM_S:
        return ()
    part_s = next((part for part in _PARTS_S if span_s / part <= _MAX_PARTS), _PARTS_S[-1])
    choices = [Choice(text="All of it", url=_url(page, View(speaker=view.speaker)), chosen=view.from_s is None)]
    at_s = 0.0
    while at_s < span_s - part_s / 10:
        to_s = span_s if at_s + part_s > span_s - part_s / 10 else at_s + part_s
        part = View(speaker=view.speaker, from_s=at_s, to_s=math.ceil(to_s))
        text = f"{clock(at_s)}–{clock(to_s)}"
        choices.append(Choice(text=text, url=_url(page, part), chosen=view.from_s == at_s))
        at_s += part_s
    return tuple(choices)


def _url(page: str, view: View) -> str:
    pairs = {
        "speaker": view.speaker,
        "from": None if view.from_s is None else round(view.from_s),
        "to": None if view.to_s is None else round(view.to_s),
    }
    query = urlencode({key: value for key, value in pairs.items() if value is not None})
    return f"{page}?{query}" if query else page

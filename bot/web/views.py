"""What the report page shows without JavaScript: rows, bars and one page of the table. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from bot.pictures import geometry, svg
from bot.pictures.palette import UNCLEAR, in_order
from bot.texts import english
from ser_engine.baseline import SETTLED_AFTER
from storage.columns import Windows
from storage.records import ParticipantReport, SessionReport, WindowRecord
from storage.report import longest_turn_s, windows_in_order

TABLE_ROWS: Final = 100
"""Windows on one page of the table; a page of two hours would otherwise be a hundred times the rest of it."""
BAR_PX: Final = 420.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuery:
    """What the visitor chose to look at: query parameters of the page."""

    from_s: float = 0.0
    """The table begins with the window that is running then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerRow:
    id: int
    name: str
    talk_s: float
    turns: int
    longest_s: float
    windows: int
    unclear_share: float
    shares: tuple[tuple[str, float], ...]
    """Share of the clear talk time by label, in the legend's order."""
    bar: Markup
    latest: WindowRecord | None
    still_new: bool
    """The engine still gets to know this voice: it has heard something of it, and not enough yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRow:
    name: str
    window: WindowRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One page of all windows in the order of time."""

    rows: tuple[WindowRow, ...]
    first: int
    """Number of its first row, from 1."""
    of: int
    earlier: str | None
    later: str | None
    """Addresses of the pages before and after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    labels: tuple[str, ...]
    legend: tuple[tuple[str, Markup], ...]
    speakers: tuple[SpeakerRow, ...]
    talk_s: float
    turns: int
    longest_s: float
    longest_name: str
    windows: int
    clear_windows: int
    stood_in: int
    """Windows that another model answered, because more was said than the session's could recognise."""
    stood_in_by: str
    """That model's name; several with commas."""
    table: Table


def build_view(
    report: SessionReport,
    names: Mapping[int, str],
    view: PageQuery,
    *,
    page: str,
    rows: int | None = TABLE_ROWS,
    compares: bool = False,
) -> ReportView:
    """Everything the template needs.

    `page` is the address that the table's pages of `rows` windows link to; `compares` says whether the model that
    answered compares a voice with how it sounded earlier.
    """
    labels = tuple(in_order(list(report.session.labels)))
    speakers = tuple(_speaker(person, names, labels, compares=compares) for person in report.participants)
    windows = windows_in_order(report)
    longest = max(speakers, key=lambda row: row.longest_s, default=None)
    return ReportView(
        labels=labels,
        legend=tuple(
            (label, svg.sample_svg(label, ident=f"key-{place}")) for place, label in enumerate((*labels, UNCLEAR))
        ),
        speakers=speakers,
        talk_s=sum(row.talk_s for row in speakers),
        turns=sum(row.turns for row in speakers),
        longest_s=longest.longest_s if longest else 0.0,
        longest_name=longest.name if longest else "",
        windows=len(windows),
        clear_windows=int(np.count_nonzero(~windows.unclear)),
        stood_in=_stood_in(windows),
        stood_in_by=", ".join(name for name in windows.engines if name is not None),
        table=_table(windows, names, view, page, rows or max(1, len(windows))),
    )


def _stood_in(windows: Windows) -> int:
    return int(np.count_nonzero(_by_another(windows)))


def _by_another(windows: Windows) -> NDArray[np.bool_]:
    """Which windows another model than the session's answered."""
    return np.array([name is not None for name in windows.engines], np.bool_)[windows.engine]


def counted(counters: Mapping[str, int]) -> list[tuple[str, str]]:
    """What was counted on the way, in the words of the catalogue where it has some; without what did not occur."""
    return sorted(_counted(name, count) for name, count in counters.items() if count)


def _counted(name: str, count: int) -> tuple[str, str]:
    for whys, one, many in ((english.LOSSES, "packet", "packets"), (english.LOSSES_WINDOWS, "window", "windows")):
        if name in whys:
            return whys[name].replace("*", ""), f"{english.number(count)} {one if count == 1 else many}"
    return name.replace("_", " ").capitalize(), english.number(count)


def _table(windows: Windows, names: Mapping[int, str], view: PageQuery, page: str, rows: int) -> Table:
    first = int(np.argmax(windows.end_s > view.from_s)) if windows else 0
    shown = windows[first : first + rows]
    before = windows[max(0, first - rows)] if first else None
    after = windows[first + rows] if first + rows < len(windows) else None
    return Table(
        rows=tuple(WindowRow(name=names[window.participant_id], window=window) for window in shown),
        first=first + 1,
        of=len(windows),
        earlier=_from(page, before),
        later=_from(page, after),
    )


def _from(page: str, window: WindowRecord | None) -> str | None:
    return f"{page}?{urlencode({'from': f'{window.start_s:.2f}'})}#windows" if window is not None else None


def _speaker(
    person: ParticipantReport, names: Mapping[int, str], labels: tuple[str, ...], *, compares: bool
) -> SpeakerRow:
    name = names[person.participant.id]
    return SpeakerRow(
        id=person.participant.id,
        name=name,
        talk_s=person.talk_s,
        turns=person.turns,
        longest_s=longest_turn_s(person.windows),
        windows=len(person.windows),
        unclear_share=person.unclear_share,
        shares=tuple((label, person.shares.get(label, 0.0)) for label in labels),
        bar=svg.bar_svg(
            geometry.talk_segments(person.shares, person.unclear_share, width=BAR_PX),
            width=BAR_PX,
            ident=f"bar-{person.participant.id}",
            title=f"Talk time of {name} by emotion",
        ),
        latest=person.windows[-1] if person.windows else None,
        still_new=compares and 0 < _heard(person.windows) < SETTLED_AFTER,
    )


def _heard(windows: Windows) -> int:
    """How many windows the engine learned a voice from: those that no gate refused, and no other model heard."""
    taken = np.array([reason is None or reason == "unsure" for reason in windows.reasons], np.bool_)
    return int(np.count_nonzero(taken[windows.reason] & ~_by_another(windows)))

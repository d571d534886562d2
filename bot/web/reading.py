"""One report as a visitor may read it: the stored rows, what is still on its way to them, and the names of now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from aiohttp import web

from bot.listening.live import LiveEvent
from bot.report import without_notes
from bot.web import words
from bot.web.chart import chart_out, summary_out
from bot.web.errors import NotFound
from bot.web.grants import Grant, Heading, grant_of, heading_of
from bot.web.keys import BUS, REPORTS, STORAGE
from bot.web.reports import Held
from bot.web.schema import SummaryOut
from storage.records import SessionRecord, SessionReport, SessionState, WindowRecord
from storage.report import build_report


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    grant: Grant
    report: SessionReport
    heading: Heading
    expires_at: datetime | None
    """When retention deletes it; None while it runs."""
    held: Held

    @property
    def last_event_id(self) -> int:
        """The live events after this one are not in the report."""
        return self.held.last_event_id

    async def summary(self) -> SummaryOut:
        return await summary_of(self.held, self.heading.names, self.expires_at)

    async def chart_json(self) -> bytes:
        heading, summary = self.heading, await self.summary()

        def make() -> bytes:
            chart = chart_out(
                self.report,
                heading.names,
                title=heading.title,
                server=heading.server,
                expires_at=self.expires_at,
                summary=summary,
                last_event_id=self.last_event_id,
            )
            return chart.model_dump_json().encode()

        key = ("chart", heading.title, heading.server, tuple(heading.names.items()), self.expires_at)
        return await self.held.answer(key, make)


async def read_report(request: web.Request, *, probabilities: bool = False) -> Reading:
    """The report that the address names; `probabilities` reads those of every window, which takes longer.

    Raises NotFound, Gone, Forbidden, SignInNeeded.
    """
    grant = await grant_of(request)
    app, session_id = request.app, grant.session_id

    held = await (_read(app, session_id, probabilities=True) if probabilities else held_report(app, session_id))
    if held is None:
        raise NotFound(words.NO_SESSION)
    if grant.shared:
        held = await shared_of(held)
    if grant.only is not None:
        held = Held(report=row_of(held.report, grant.only), last_event_id=held.last_event_id)
    people = [p.participant for p in held.report.participants]
    return Reading(
        grant=grant,
        report=held.report,
        heading=await heading_of(app, held.report.session, people, shared=grant.shared),
        expires_at=await _expires_at(app, held.report.session),
        held=held,
    )


def row_of(report: SessionReport, participant_id: int) -> SessionReport:
    """The report as if nobody else had been there: for a link to one person's own results."""
    mine = tuple(person for person in report.participants if person.participant.id == participant_id)
    return replace(
        report,
        participants=mine,
        moments=tuple(moment for moment in report.moments if moment.participant_id == participant_id),
        shares=mine[0].shares if mine else {},
        overlap_s=0.0,
    )


async def held_report(app: web.Application, session_id: str) -> Held | None:
    """The report without probabilities, read once for all who ask at the same time. None: there is none."""
    return await app[REPORTS].get(
        session_id, lambda: app[STORAGE].edition(session_id), lambda: _read(app, session_id, probabilities=False)
    )


async def shared_of(held: Held) -> Held:
    """The report as holders of a share link may read it, made once."""
    return await held.answer(
        "shared", lambda: Held(report=without_notes(held.report), last_event_id=held.last_event_id)
    )


async def summary_of(held: Held, names: Mapping[int, str], expires_at: datetime | None = None) -> SummaryOut:
    """The report's summary under these names, made once."""
    key = ("summary", tuple(names.items()), expires_at)
    return await held.answer(key, lambda: summary_out(held.report, names, expires_at=expires_at))


async def with_probabilities(
    request: web.Request, reading: Reading, windows: Sequence[WindowRecord]
) -> list[WindowRecord]:
    """Some windows of a report that was read without probabilities, with them. `windows` are in order."""
    if not windows:
        return []
    stored = await request.app[STORAGE].windows(
        reading.grant.session_id, from_s=windows[0].start_s, to_s=windows[-1].start_s
    )
    whole = {(window.participant_id, window.start_s): window for window in stored}
    return [whole.get((window.participant_id, window.start_s), window) for window in windows]


async def _read(app: web.Application, session_id: str, *, probabilities: bool) -> Held | None:
    """The report as it is now."""
    bus = app[BUS]
    # Before the read: an event in between is then in the report and comes again, which a page can tell.
    last_event_id, events = bus.last_id(session_id), bus.recent(session_id)
    report = await app[STORAGE].report(session_id, probabilities=probabilities)
    if report is None:
        return None
    if report.session.state is SessionState.LIVE:
        report = await asyncio.to_thread(_with_events, report, events)
    return Held(report=report, last_event_id=last_event_id)


async def _expires_at(app: web.Application, session: SessionRecord) -> datetime | None:
    if session.ended_at is None:
        return None
    days = (await app[STORAGE].server(session.guild_id)).retention_days
    return session.ended_at + timedelta(days=days)


def _with_events(report: SessionReport, events: list[LiveEvent]) -> SessionReport:
    """The report with the windows that were told live and are not in the database yet.

    Windows are written about a second after they are told. A page that begins with this report and goes on with later
    events would otherwise never learn of those in between. What belongs to nobody in the report stays left out: it was
    deleted.
    """
    people = {person.participant.id for person in report.participants}
    stored = {_place(window) for person in report.participants for window in person.windows}
    told = [WindowRecord(**event.data) for event in events if event.kind == "window" and _is_whole(event)]
    missing = [w for w in told if w.participant_id in people and _place(w) not in stored]
    if not missing:
        return report
    windows = sorted(
        [*missing, *(window for person in report.participants for window in person.windows)],
        key=lambda window: window.start_s,
    )
    return build_report(report.session, [p.participant for p in report.participants], windows, report.moments)


def _place(window: WindowRecord) -> tuple[int, int]:
    """Whose window it is and when it began, in milliseconds as it is stored: it is told more exactly."""
    return window.participant_id, round(1000 * window.start_s)


def _is_whole(event: LiveEvent) -> bool:
    return event.data.keys() == set(WindowRecord.__slots__)

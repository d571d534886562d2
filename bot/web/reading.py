"""One report as a visitor may read it: the stored rows, what is still on its way to them, and the names of now."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web

from bot.listening.live import LiveEvent
from bot.web import words
from bot.web.chart import chart_out, summary_out
from bot.web.errors import NotFound
from bot.web.grants import Grant, Heading, grant_of, heading_of
from bot.web.keys import BUS, STORAGE
from bot.web.schema import ChartOut, SummaryOut
from storage.records import SessionReport, SessionState, WindowRecord
from storage.report import build_report


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    grant: Grant
    report: SessionReport
    heading: Heading
    expires_at: datetime | None
    """When retention deletes it; None while it runs."""
    last_event_id: int
    """The live events after this one are not in the report."""

    def chart(self) -> ChartOut:
        return chart_out(
            self.report,
            self.heading.names,
            title=self.heading.title,
            server=self.heading.server,
            expires_at=self.expires_at,
            last_event_id=self.last_event_id,
        )

    def summary(self) -> SummaryOut:
        return summary_out(self.report, self.heading.names, expires_at=self.expires_at)


async def read_report(request: web.Request) -> Reading:
    """The report that the address names. Raises NotFound, Forbidden, SignInNeeded."""
    grant = await grant_of(request)
    store, bus = request.app[STORAGE], request.app[BUS]
    # Before the read: an event in between is then in the report and comes again, which a page can tell.
    last_event_id, events = bus.last_id(grant.session_id), bus.recent(grant.session_id)
    report = await store.report(grant.session_id)
    if report is None:
        raise NotFound(words.NO_SESSION)
    expires_at = None
    if report.session.state is SessionState.LIVE:
        report = await asyncio.to_thread(_with_events, report, events)
    elif report.session.ended_at is not None:
        days = (await store.server(report.session.guild_id)).retention_days
        expires_at = report.session.ended_at + timedelta(days=days)
    people = [p.participant for p in report.participants]
    return Reading(
        grant=grant,
        report=report,
        heading=await heading_of(request, report.session, people, shared=grant.shared),
        expires_at=expires_at,
        last_event_id=last_event_id,
    )


def _with_events(report: SessionReport, events: list[LiveEvent]) -> SessionReport:
    """The report with the windows that were told live and are not in the database yet.

    Windows are written about a second after they are told. A page that begins with this report and goes on with later
    events would otherwise never learn of those in between. What belongs to nobody in the report stays left out: it was
    deleted.
    """
    people = {person.participant.id for person in report.participants}
    stored = {(w.participant_id, w.start_s) for person in report.participants for w in person.windows}
    told = [WindowRecord(**event.data) for event in events if event.kind == "window" and _is_whole(event)]
    missing = [w for w in told if w.participant_id in people and (w.participant_id, w.start_s) not in stored]
    if not missing:
        return report
    windows = sorted(
        [*missing, *(window for person in report.participants for window in person.windows)],
        key=lambda window: window.start_s,
    )
    return build_report(report.session, [p.participant for p in report.participants], windows, report.moments)


def _is_whole(event: LiveEvent) -> bool:
    return event.data.keys() == set(WindowRecord.__slots__)

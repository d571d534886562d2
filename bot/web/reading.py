"""One report as a visitor may read it: the stored rows, what is still on its way to them, and the names of now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from aiohttp import web

from bot.listening.follower import LiveEvent
from bot.report import without_notes
from bot.web import words
from bot.web.chart import chart_out, summary_out
from bot.web.errors import NotFound
from bot.web.grants import Grant, Heading, grant_of, heading_of
from bot.web.keys import BUS, REPORTS, STORAGE
from bot.web.reports import Held
from bot.web.schema import SummaryOut
from bot.web.templating import Packed
from storage.columns import Windows
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
        alone = self.grant.only is not None
        return await summary_of(self.held, self.heading.names, self.expires_at, alone=alone)

    async def chart_json(self) -> Packed:
        heading, summary = self.heading, await self.summary()

        def make() -> Packed:
            chart = chart_out(
                self.report,
                heading.names,
                title=heading.title,
                server=heading.server,
                expires_at=self.expires_at,
                summary=summary,
                last_event_id=self.last_event_id,
            )
            return Packed.of(chart.model_dump_json().encode())

        key = ("chart", heading.title, heading.server, tuple(heading.names.items()), self.expires_at)
        return await self.held.answer(key, make)


async def read_report(request: web.Request, *, fresh: bool = False) -> Reading:
    """The report that the address names; `fresh`: not one that is some seconds old.

    Raises NotFound, Gone, Forbidden, SignInNeeded.
    """
    grant = await grant_of(request)
    app, session_id = request.app, grant.session_id
    held = await (_read(app, session_id) if fresh else held_report(app, session_id))
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
        heading=await heading_of(app, held.report.session, people, shared=grant.shared, alone=grant.only is not None),
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
    """The report, read once for all who ask at the same time. None: there is none."""
    return await app[REPORTS].get(session_id, lambda: app[STORAGE].edition(session_id), lambda: _read(app, session_id))


async def shared_of(held: Held) -> Held:
    """The report as holders of a share link may read it, made once."""
    return await held.answer(
        "shared", lambda: Held(report=without_notes(held.report), last_event_id=held.last_event_id)
    )


async def summary_of(
    held: Held, names: Mapping[int, str], expires_at: datetime | None = None, *, alone: bool = False
) -> SummaryOut:
    """The report's summary under these names, made once."""
    key = ("summary", tuple(names.items()), expires_at)
    return await held.answer(key, lambda: summary_out(held.report, names, expires_at=expires_at, alone=alone))


async def _read(app: web.Application, session_id: str) -> Held | None:
    """The report as it is now."""
    bus = app[BUS]
    # Before the read: an event in between is then in the report and comes again, which a page can tell.
    last_event_id, events = bus.last_id(session_id), bus.recent(session_id)
    report = await app[STORAGE].report(session_id)
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
    stored = {place for person in report.participants for place in _places(person.windows)}
    told = Windows.of(
        [
            WindowRecord(**event.data)
            for event in events
            if event.kind == "window" and _is_whole(event) and event.data["participant_id"] in people
        ]
    )
    missing = told.take(np.array([place not in stored for place in _places(told)], np.bool_))
    if not missing:
        return report
    windows = Windows.joined([missing, *(person.windows for person in report.participants)])
    windows = windows.take(np.argsort(windows.start_s, kind="stable"))
    return build_report(report.session, [p.participant for p in report.participants], windows, report.moments)


def _places(windows: Windows) -> Iterator[tuple[int, int]]:
    """Whose each window is, and when it began in milliseconds. Live events are more exact than what is stored."""
    return zip(windows.participant_id.tolist(), np.rint(1000 * windows.start_s).astype(np.int64).tolist(), strict=True)


def _is_whole(event: LiveEvent) -> bool:
    return event.data.keys() == set(WindowRecord.__slots__)

"""What changes slowly in a running session: its sentences, moments and figures, worked out once for all who follow.

A page that follows appends windows by itself. What is said of the whole session needs the whole session, so it is made
here, every few seconds and only while somebody follows and something came, once with names and once without.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web

from bot.web.grants import Heading, heading_of
from bot.web.keys import BUS
from bot.web.reading import held_report, shared_of, summary_of
from storage.errors import StorageError
from storage.records import SessionReport

EVERY_S: Final = 10.0

_log = structlog.get_logger(__name__)


class Pulse:
    """One session's. `version` rises with each new summary."""

    def __init__(self, app: web.Application, session_id: str) -> None:
        self.version = 0
        self.followers = 0
        self._app = app
        self._session_id = session_id
        self._summaries: Mapping[bool, bytes] = {}
        self._names: Mapping[int, str] = {}
        self._seen_id = app[BUS].last_id(session_id)

    def summary(self, *, shared: bool) -> bytes:
        """The newest one, as JSON; without names for holders of a share link."""
        return self._summaries[shared]

    async def name(self, participant_id: int) -> str | None:
        """What a participant is called now. None: nobody of that number."""
        if participant_id not in self._names:
            held = await held_report(self._app, self._session_id)
            if held is not None:
                self._names = (await self._heading(held.report)).names
        return self._names.get(participant_id)

    async def run(self) -> None:
        """Until cancelled."""
        bus = self._app[BUS]
        while True:
            await asyncio.sleep(EVERY_S)
            last_id = bus.last_id(self._session_id)
            if last_id == self._seen_id:
                continue
            try:
                await self._renew()
            except Exception as error:  # noqa: BLE001  # the next beat comes, and nobody looks at how this ends
                code = error.code if isinstance(error, StorageError) else type(error).__name__
                _log.warning("summary_failed", session=self._session_id, error=code)
                continue
            self._seen_id = last_id
            bus.nudge(self._session_id)

    async def _renew(self) -> None:
        held = await held_report(self._app, self._session_id)
        if held is None:
            return
        report = held.report
        named = await self._heading(report)
        shared = await self._heading(report, shared=True)
        self._names = named.names
        self._summaries = {
            False: (await summary_of(held, named.names)).model_dump_json().encode(),
            True: (await summary_of(await shared_of(held), shared.names)).model_dump_json().encode(),
        }
        self.version += 1

    async def _heading(self, report: SessionReport, *, shared: bool = False) -> Heading:
        people = [person.participant for person in report.participants]
        return await heading_of(self._app, report.session, people, shared=shared)


class Pulses:
    """Those of the sessions that are followed now."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[Pulse, asyncio.Task[None]]] = {}

    @asynccontextmanager
    async def of(self, app: web.Application, session_id: str) -> AsyncIterator[Pulse]:
        """The session's pulse, which runs as long as one page follows."""
        if session_id not in self._running:
            pulse = Pulse(app, session_id)
            self._running[session_id] = (pulse, asyncio.create_task(pulse.run(), name=f"pulse {session_id}"))
        pulse, task = self._running[session_id]
        pulse.followers += 1
        try:
            yield pulse
        finally:
            pulse.followers -= 1
            if not pulse.followers:
                del self._running[session_id]
                task.cancel()
                await asyncio.wait({task})


PULSES: Final = web.AppKey("PULSES", Pulses)

"""The moments of a session, noticed or marked by hand: stored, counted and told to open pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from bot.listening.events import moment_event
from storage.errors import StorageError
from storage.records import MomentRecord

if TYPE_CHECKING:
    from bot.app import App

MAX_NOTE: Final = 200

_log = structlog.get_logger(__name__)


class Moments:
    def __init__(self, session_id: str, app: App) -> None:
        self._session_id = session_id
        self._app = app
        self.stored = 0

    async def mark(self, at_s: float, note: str, *, author_id: int) -> float:
        """A moment that somebody marked by hand; returns where, in seconds. Raises StorageError: they are told so."""
        await self._store(MomentRecord(at_s=at_s, kind="mark", participant_id=None, text=note[:MAX_NOTE]), author_id)
        return at_s

    async def add(self, moment: MomentRecord) -> None:
        """A moment that was noticed. One that cannot be stored is logged and lost; the session goes on."""
        try:
            await self._store(moment, None)
        except StorageError as error:
            _log.warning("moment_not_written", session=self._session_id, error=error.code)

    async def _store(self, moment: MomentRecord, author_id: int | None) -> None:
        """`author_id` is who wrote a mark."""
        await self._app.storage.add_moment(self._session_id, moment, author_id=author_id)
        self.stored += 1
        self._app.bus.publish(self._session_id, "moment", moment_event(moment))

"""The moments of a session, noticed or marked by hand: stored, counted and told to open pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bot.listening.events import moment_event
from storage.records import MomentRecord

if TYPE_CHECKING:
    from bot.app import App

MAX_NOTE: Final = 200


class Moments:
    def __init__(self, session_id: str, app: App) -> None:
        self._session_id = session_id
        self._app = app
        self.count = 0

    async def mark(self, at_s: float, note: str, *, author_id: int) -> float:
        """A moment that somebody marked by hand; returns where, in seconds. Raises StorageError: they are told so."""
        moment = MomentRecord(at_s=at_s, kind="mark", participant_id=None, text=note[:MAX_NOTE])
        await self._app.storage.add_moment(self._session_id, moment, author_id=author_id)
        self._tell(moment)
        return at_s

    def notice(self, moment: MomentRecord) -> None:
        """A moment in what somebody said: it is written with the windows, and waits with them for the database."""
        self._app.writer.put(self._session_id, moment)
        self._tell(moment)

    def _tell(self, moment: MomentRecord) -> None:
        self.count += 1
        self._app.bus.publish(self._session_id, "moment", moment_event(moment))

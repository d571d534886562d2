"""The moments of a session, noticed or marked by hand: stored, counted and told to open pages."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from bot.errors import NotPossible
from bot.listening.events import moment_event
from storage.records import MomentRecord

if TYPE_CHECKING:
    from bot.app import App

MAX_NOTE: Final = 200
MAX_MARKS: Final = 100
"""Of one person in a session; more than anybody means, and a button is easily pressed without end."""


class Moments:
    def __init__(self, session_id: str, app: App) -> None:
        self._session_id = session_id
        self._app = app
        self._count = self._refused = 0
        self._marks: Counter[int] = Counter()
        """By user id."""

    def counters(self) -> dict[str, int]:
        return {"moments": self._count, "marks_refused": self._refused}

    async def mark(self, at_s: float, note: str, *, author_id: int) -> float:
        """A moment that somebody marked by hand; returns where, in seconds.

        Raises NotPossible beyond `MAX_MARKS` of one person, and StorageError: they are told so.
        """
        if self._marks[author_id] >= MAX_MARKS:
            self._refused += 1
            raise NotPossible("MARKS_FULL", n=MAX_MARKS)
        self._marks[author_id] += 1  # before the database has it: the next press may be quicker
        moment = MomentRecord(at_s=at_s, kind="mark", participant_id=None, text=note[:MAX_NOTE])
        try:
            await self._app.storage.add_moment(self._session_id, moment, author_id=author_id)
        except BaseException:
            self._marks[author_id] -= 1
            raise
        self._tell(moment)
        return at_s

    def notice(self, moment: MomentRecord) -> None:
        """A moment in what somebody said: it is written with the windows, and waits with them for the database."""
        self._app.writer.put(self._session_id, moment)
        self._tell(moment)

    def _tell(self, moment: MomentRecord) -> None:
        self._count += 1
        self._app.bus.publish(self._session_id, "moment", moment_event(moment))

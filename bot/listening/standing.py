"""People's standing answers in a server: stored, and carried out in the session that runs there."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from storage import Storage
from storage.records import Decision

if TYPE_CHECKING:
    from bot.listening.session import ListeningSession

MAX_REMEMBERED: Final = 10_000
"""People whose newest decision is known; a press that is older than the process is never newer than what is stored."""


class StandingAnswers:
    """Answers count in the order in which they were pressed: an interaction id is a time."""

    def __init__(self, storage: Storage, session_of: Callable[[int], ListeningSession | None]) -> None:
        self._storage = storage
        self._session_of = session_of
        self._newest: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._storing = asyncio.Lock()

    async def decide(self, guild_id: int, user_id: int, answer: Decision | None, interaction_id: int) -> bool:
        """Take an answer, None to be asked each time; False when a later one was taken already.

        An opt-out takes effect before it is stored, an opt-in after. Raises StorageError.
        """
        key = (guild_id, user_id)
        if interaction_id < self._newest.get(key, 0):
            return False
        self._newest[key] = interaction_id
        self._newest.move_to_end(key)
        while len(self._newest) > MAX_REMEMBERED:
            self._newest.popitem(last=False)
        session = self._session_of(guild_id)
        if session is not None and answer is not Decision.OPT_IN:
            await session.people.decide(user_id, answer, interaction_id)
        async with self._storing:
            if self._newest.get(key) == interaction_id:
                await self._storage.set_standing_consent(guild_id, user_id, answer)
        session = self._session_of(guild_id)
        if session is not None and answer is Decision.OPT_IN:
            await session.people.decide(user_id, answer, interaction_id)
        return True

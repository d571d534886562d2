"""People's standing answers in a server: stored, and carried out in the session that runs there."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import discord

from storage import Storage
from storage.records import Decision, Purpose

if TYPE_CHECKING:
    from bot.listening.session import ListeningSession

MAX_REMEMBERED: Final = 10_000
"""People whose newest decision is known; a press that is older than the process is never newer than what is stored."""

_Key = tuple[int | None, int, Purpose | None]


class StandingAnswers:
    """Answers count in the order in which they were pressed: an interaction id is a time."""

    def __init__(self, storage: Storage, session_of: Callable[[int], ListeningSession | None]) -> None:
        self._storage = storage
        self._session_of = session_of
        self._newest: OrderedDict[_Key, int] = OrderedDict()
        """By server, person and purpose; None stands for every server, and for every purpose."""
        self._storing = asyncio.Lock()

    async def decide(
        self,
        guild_id: int,
        user_id: int,
        answer: Decision | None,
        interaction_id: int,
        purpose: Purpose = Purpose.LIVE,
    ) -> bool:
        """Take an answer, None to be asked each time; False when a later one was taken already.

        An opt-out takes effect before it is stored, an opt-in after. Raises StorageError.
        """
        if interaction_id < self._newest_of(guild_id, user_id, purpose):
            return False
        self._note((guild_id, user_id, purpose), interaction_id)
        live = purpose is Purpose.LIVE
        told = self._session_of(guild_id) if live and answer is not Decision.OPT_IN else None
        if told is not None:
            await told.people.decide(user_id, answer, interaction_id)
        async with self._storing:
            if self._newest_of(guild_id, user_id, purpose) != interaction_id:
                return False
            at = discord.utils.snowflake_time(interaction_id)
            await self._storage.set_standing_consent(guild_id, user_id, answer, purpose, at=at)
        session = self._session_of(guild_id) if live else None
        if session is not None and session is not told:  # one that began meanwhile may have asked too early
            await session.people.decide(user_id, answer, interaction_id)
        return True

    def forget(self, guild_id: int | None, user_id: int, interaction_id: int) -> None:
        """A person's data is about to be deleted, in one server or everywhere: no earlier answer is stored after it."""
        key = (guild_id, user_id, None)
        self._note(key, max(interaction_id, self._newest.get(key, 0)))

    async def settled(self) -> None:
        """Until the answer that is being stored is stored, so that a deletion finds it."""
        async with self._storing:
            pass

    def _newest_of(self, guild_id: int, user_id: int, purpose: Purpose) -> int:
        keys = ((guild_id, user_id, purpose), (guild_id, user_id, None), (None, user_id, None))
        return max(self._newest.get(key, 0) for key in keys)

    def _note(self, key: _Key, interaction_id: int) -> None:
        self._newest[key] = interaction_id
        self._newest.move_to_end(key)
        while len(self._newest) > MAX_REMEMBERED:
            self._newest.popitem(last=False)

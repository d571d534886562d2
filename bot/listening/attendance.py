"""Who is in a session's channel, who of them is included, and the rows that stand for them.

The rules are `consent`'s; this carries them out: a yes becomes a row before anything of the person is taken, and a no
takes effect at once, before the database has heard of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from bot.listening.consent import Answer, ConsentBook
from bot.listening.events import participant_event
from storage.errors import StorageError
from storage.records import Decision, ParticipantRecord, SessionRecord

if TYPE_CHECKING:
    from bot.app import App

_log = structlog.get_logger(__name__)


class Attendance:
    """`released` forgets at once what is held of somebody who is out; `changed` is told after every change."""

    def __init__(
        self,
        record: SessionRecord,
        app: App,
        *,
        released: Callable[[int], None],
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self.book = ConsentBook()
        self._record = record
        self._storage = app.storage
        self._bus = app.bus
        self._released = released
        self._changed = changed
        self._participants: dict[int, ParticipantRecord] = {}
        self._changing = asyncio.Lock()

    def consents(self, user_id: int) -> bool:
        """Whether this person's voice may be taken now."""
        return user_id in self._participants and self.book.included(user_id)

    def participant(self, user_id: int) -> ParticipantRecord | None:
        """The row of somebody who was included and did not withdraw, present or not."""
        return self._participants.get(user_id)

    async def arrive(self, user_id: int, *, bot: bool) -> None:
        """Somebody is in the channel. A standing opt-in includes them, if the database can be asked."""
        standing: Decision | None = None
        with suppress(StorageError):
            standing = await self._storage.standing_consent(self._record.guild_id, user_id)
        async with self._changing:
            answer = self.book.arrive(user_id, standing=standing, bot=bot)
            if answer is Answer.INCLUDED:
                await self._admit(user_id)
        await self._changed()

    async def depart(self, user_id: int) -> None:
        """Somebody left the channel."""
        self.book.depart(user_id)
        await self._changed()

    async def include(self, user_id: int) -> Answer:
        """*Include me*. Raises StorageError, and then they are not included."""
        async with self._changing:
            answer = self.book.include(user_id)
            if answer is Answer.INCLUDED:
                await self._admit(user_id)
        await self._changed()
        return answer

    async def exclude(self, user_id: int) -> Answer:
        """*Leave me out*: takes effect with the next packet."""
        answer = self.book.exclude(user_id)
        if answer is Answer.EXCLUDED:
            await self._release(user_id)
        return answer

    async def decide(self, user_id: int, standing: Decision | None) -> None:
        """A standing decision was changed; an opt-out takes effect at once."""
        if self.book.decide(user_id, standing) is Answer.EXCLUDED:
            await self._release(user_id)
        await self._changed()

    async def forget(self, user_id: int) -> None:
        """A person had everything deleted: they are out, and nothing late of theirs is written."""
        self.book.exclude(user_id)
        await self._release(user_id)

    async def _admit(self, user_id: int) -> None:
        if user_id in self._participants:  # came back
            return
        try:
            participant = await self._storage.include_participant(self._record.id, user_id)
        except StorageError:
            self.book.exclude(user_id)
            raise
        self._participants[user_id] = participant
        self._bus.publish(self._record.id, "participant", participant_event(participant, included=True))
        _log.info("participant_included", session=self._record.id, participant=participant.id)

    async def _release(self, user_id: int) -> None:
        participant = self._participants.pop(user_id, None)
        self._released(user_id)
        if participant is not None:
            async with self._changing:
                await self._storage.withdraw_participant(self._record.id, user_id)
            self._bus.publish(self._record.id, "participant", participant_event(participant, included=False))
            _log.info("participant_withdrew", session=self._record.id, participant=participant.id)
        await self._changed()

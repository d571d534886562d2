"""Who is in a session's channel, who of them is included, and the rows that stand for them.

The rules are `consent`'s; this carries them out. A no takes effect at once, before the database has heard of it. A yes
takes effect when the person's row is written. While a row is being written the person may decide otherwise, so rows are
brought to what the book says at that moment, one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

import structlog

from bot.listening.consent import ConsentBook, PressResult
from bot.listening.events import participant_event
from storage.errors import StorageError
from storage.records import Decision, ParticipantRecord, SessionRecord

if TYPE_CHECKING:
    from bot.app import App

_log = structlog.get_logger(__name__)


class Attendance:
    """`released` forgets at once what is held of somebody who is out; `changed` is told after every change, and
    `by_standing` of everybody who came and is included without having pressed anything."""

    def __init__(
        self,
        record: SessionRecord,
        app: App,
        *,
        released: Callable[[int], None],
        changed: Callable[[], Awaitable[None]],
        by_standing: Callable[[int], None],
        name_of: Callable[[int], str | None],
    ) -> None:
        self.book = ConsentBook()
        self.names: dict[int, str] = {}
        """What the included people were called, in memory only: who has left is in no cache when the summary comes."""
        self._record = record
        self._storage = app.storage
        self._bus = app.bus
        self._released = released
        self._changed = changed
        self._by_standing = by_standing
        self._name_of = name_of
        self._ever: set[int] = set()
        """Who was included at some time."""
        self._participants: dict[int, ParticipantRecord] = {}
        self._changing = asyncio.Lock()

    def consents(self, user_id: int) -> bool:
        """Whether this person's voice may be taken now."""
        return user_id in self._participants and self.book.included(user_id)

    def included_ids(self) -> list[int]:
        """Whose voices may be taken now, in order of arrival."""
        return [user_id for user_id in self.book.included_ids() if user_id in self._participants]

    def participant(self, user_id: int) -> ParticipantRecord | None:
        """The row of somebody who was included and did not withdraw, present or not."""
        return self._participants.get(user_id) if self.book.wants_in(user_id) else None

    def unsettled_ids(self) -> list[int]:
        """Who is in the channel, and the database could not be asked about them, or take them in."""
        return [
            user_id
            for user_id in self.book.present_ids()
            if not self.book.asked(user_id) or (self.book.wants_in(user_id) and user_id not in self._participants)
        ]

    async def arrive(self, user_id: int, *, bot: bool, unasked: bool = False) -> None:
        """Somebody is in the channel. A standing opt-in includes them, if the database can be asked."""
        if bot:
            return
        unknown = self.book.arrive(user_id)
        await self._admit(user_id, unknown=unknown and not unasked)
        await self._changed()

    async def meet(self, present: Iterable[tuple[int, bool]], *, unasked: bool = False) -> None:
        """Everybody who is in the channel at this moment, and whether each is a bot: who is not among them has left.
        `unasked`: the database does not tell what those who came answered before. About whom it could not be asked
        before, it is asked again.

        The book has it before anything is waited for, so that whoever goes meanwhile is not booked as present again.
        """
        here = [user_id for user_id, bot in present if not bot]
        for user_id in self.book.absentees(here):
            self.book.depart(user_id)
        known = set(self.book.present_ids()) - set(self.unsettled_ids())
        came = {user_id: self.book.arrive(user_id) for user_id in here if user_id not in known}
        for user_id, unknown in came.items():
            await self._admit(user_id, unknown=unknown and not unasked)
        await self._changed()

    async def depart(self, user_id: int) -> None:
        """Somebody left the channel."""
        self.book.depart(user_id)
        await self._changed()

    async def include(self, user_id: int, interaction_id: int) -> PressResult:
        """*Include me*. Raises StorageError, and then they are not included."""
        answer = self.book.include(user_id, interaction_id)
        await self._carry_out(user_id, interaction_id)
        if answer is PressResult.INCLUDED and not self.book.wants_in(user_id):  # *Leave me out* came meanwhile
            return PressResult.ALREADY_EXCLUDED
        return answer

    async def exclude(self, user_id: int, interaction_id: int) -> PressResult:
        """*Leave me out*: takes effect with the next packet."""
        answer = self.book.exclude(user_id, interaction_id)
        await self._carry_out(user_id, interaction_id)
        return answer

    async def decide(self, user_id: int, standing: Decision | None, interaction_id: int) -> None:
        """A standing answer was changed. An opt-out takes effect at once; an opt-in includes who is in the channel."""
        self.book.decide(user_id, standing, interaction_id)
        await self._carry_out(user_id, interaction_id)

    def counters(self) -> dict[str, int]:
        return {"people_not_included": len(self.book.seen_ids() - self._ever)}

    async def _carry_out(self, user_id: int, interaction_id: int) -> None:
        """Make true what the book says after a decision."""
        if not self.book.wants_in(user_id):
            self._released(user_id)
        try:
            await self._settle(user_id)
        except StorageError as error:
            if self.book.wants_in(user_id):
                self.book.retract(user_id, interaction_id)
                raise
            _log.warning("withdrawal_not_written", session=self._record.id, error=error.code)
        finally:
            await self._changed()

    async def _admit(self, user_id: int, *, unknown: bool) -> None:
        """Somebody was booked as present: ask for their standing answer if it is unknown, and carry it out."""
        if unknown:
            try:
                standing = await self._storage.standing_consent(self._record.guild_id, user_id)
            except StorageError as error:  # they are excluded until it is known, and can press the button
                _log.warning("standing_answer_not_read", session=self._record.id, error=error.code)
            else:
                self._learn(user_id, standing)
        try:
            await self._settle(user_id)
        except StorageError as error:  # without a row they are not taken
            _log.warning("participant_not_written", session=self._record.id, error=error.code)
        if self.consents(user_id) and self.book.by_standing(user_id):
            self._by_standing(user_id)

    def _learn(self, user_id: int, standing: Decision | None) -> None:
        wanted = self.book.wants_in(user_id)
        self.book.learn(user_id, standing)
        if wanted and not self.book.wants_in(user_id):  # they pressed *Include me* meanwhile
            self._released(user_id)

    def left_ids(self) -> frozenset[int]:
        """Who withdrew, and whose row does not say so yet: the database could not be told."""
        return frozenset(user_id for user_id in self._participants if not self.book.wants_in(user_id))

    async def settle_all(self) -> None:
        """Write what could not be written when it was decided. Raises StorageError."""
        for user_id in list(self._participants):
            await self._settle(user_id)

    async def _settle(self, user_id: int) -> None:
        """Bring the person's row to what the book says now."""
        async with self._changing:
            wanted, participant = self.book.wants_in(user_id), self._participants.get(user_id)
            if wanted and participant is None:
                if not self.book.included(user_id):  # not in the channel: they take part when they come
                    return
                participant = await self._storage.include_participant(self._record.id, user_id)
                self._released(user_id)  # what waits was said before
                self._participants[user_id] = participant
                self._ever.add(user_id)
                if (name := self._name_of(user_id)) is not None:
                    self.names[user_id] = name
            elif not wanted and participant is not None:
                await self._storage.withdraw_participant(self._record.id, user_id)
                del self._participants[user_id]
            else:
                return
        self._bus.publish(self._record.id, "participant", participant_event(participant, included=wanted))
        event = "participant_included" if wanted else "participant_withdrew"
        _log.info(event, session=self._record.id, participant=participant.id)

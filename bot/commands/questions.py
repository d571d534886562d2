"""What is asked before a recording is analysed: at most one open question to a person, held in memory only."""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import discord

from bot.commands.common import Interaction, change, defer_change
from bot.commands.recordings import Found
from bot.errors import NotPossible
from bot.listening.clock import Clock
from bot.listening.surface import DISCORD_TROUBLE
from bot.texts import Texts
from bot.withdrawals import Withdrawals
from storage.messages import QUESTION_KEPT

MAX_OPEN: Final = 1_000
"""Questions that wait for an answer; the oldest is forgotten."""
MAX_PENDING: Final = 10
"""Requests that wait for one answer."""
OPEN_S: Final = QUESTION_KEPT.total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Somebody wants to know how recordings sound."""

    asker_id: int
    found: Found
    message: discord.Message | None = None
    """None: a file that was given to `/analyze`."""
    interaction: Interaction | None = None
    """None: asked by the message itself."""

    withdrawals: int = 0
    """The number of the last withdrawal (`bot.withdrawals`) when it was asked, or agreed to."""
    withdrawals_before: int = 0
    """The same when it was asked. It counts for who wrote what is forwarded: nobody asks them, so they agree to nothing
    later."""
    original_author_id: int | None = None
    """Who wrote what the message forwards, where the bot can tell and it is somebody else than the asker."""

    @property
    def in_public(self) -> bool:
        """Whether it is answered below the message: the bot must be there, and not only in the asker's account."""
        if self.message is None or self.interaction is None:
            return self.message is not None
        return self.interaction.is_guild_integration() or self.interaction.context.dm_channel


def require_agreed(request: Request, withdrawals: Withdrawals) -> None:
    """Who opted out, or had everything deleted, while this waited is not answered about. Raises NotPossible."""
    author_id = request.asker_id if request.message is None else request.message.author.id
    if withdrawals.since(request.withdrawals, author_id):
        raise NotPossible("OPTED_OUT_OF_VOICE" if author_id == request.asker_id else "AUTHOR_OPTED_OUT")
    original_id = request.original_author_id
    if original_id is not None and withdrawals.since(request.withdrawals_before, original_id):
        raise NotPossible("AUTHOR_OPTED_OUT")


class Kind(Enum):
    AUTHOR = "author"
    """Whether the person's own voice message may be analysed for somebody."""
    STATEMENT = "statement"
    """Whose voice is in the person's recordings."""


@dataclass(slots=True, kw_only=True)
class Question:
    person_id: int
    kind: Kind
    pending: list[Request]
    asked_s: float
    ticket: str = field(default_factory=lambda: secrets.token_hex(4))
    shown: discord.Message | None = None
    """The message that asks."""

    def about(self, message_id: int) -> bool:
        """Whether it is about that message, or is that message."""
        if self.shown is not None and self.shown.id == message_id:
            return True
        return any(request.message is not None and request.message.id == message_id for request in self.pending)

    async def take_away(self) -> None:
        """Delete the message that asks, if it is still there."""
        if self.shown is not None:
            with suppress(*DISCORD_TROUBLE):
                await self.shown.delete()


class Questions:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: OrderedDict[int, Question] = OrderedDict()
        self._answered: deque[str | int] = deque(maxlen=MAX_OPEN)
        """Tickets and messages of questions that were answered."""

    def of(self, person_id: int) -> Question | None:
        """The open question to a person."""
        question = self._open.get(person_id)
        return question if question and question.asked_s + OPEN_S > self._clock.monotonic_s() else None

    def ask(self, person_id: int, kind: Kind, pending: list[Request]) -> Question:
        """A question in place of the one that was open."""
        if len(pending) > MAX_PENDING:
            raise NotPossible("TOO_BUSY")
        question = Question(person_id=person_id, kind=kind, pending=pending, asked_s=self._clock.monotonic_s())
        self._open[person_id] = question
        self._open.move_to_end(person_id)
        while len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)
        return question

    def about(self, message_id: int) -> Iterator[Question]:
        return (question for question in list(self._open.values()) if question.about(message_id))

    async def take_back(self, asker_id: int, guild_id: int | None) -> None:
        """Who asked has everything deleted, in one server or everywhere: no question names them then."""
        for question in list(self._open.values()):
            for request in question.pending:
                guild = request.message.guild if request.message is not None else None
                if request.asker_id == asker_id and guild is not None and guild_id in (None, guild.id):
                    await self.withdraw(question)

    async def posted(self, question: Question) -> None:
        """It stands in Discord: what it is about may be gone by now, and then it goes, too."""
        if self._open.get(question.person_id) is not question and question.ticket not in self._answered:
            await question.take_away()

    async def withdraw(self, question: Question) -> None:
        self.close(question)
        await question.take_away()

    def close(self, question: Question) -> None:
        if self._open.get(question.person_id) is question:
            del self._open[question.person_id]

    def answered(self, question: Question) -> None:
        self.close(question)
        self._answered.append(question.ticket)
        self._answered.extend(request.message.id for request in question.pending if request.message is not None)

    async def pressed_late(self, interaction: Interaction, about: str | int, texts: Texts) -> None:
        """A button of no open question. Pressed twice, it stands as it was answered; else it has to be asked anew."""
        if about in self._answered:
            await defer_change(interaction)
        else:
            await change(interaction, content=texts.ASK_AGAIN, view=None)

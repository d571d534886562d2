"""Interactions: a person's command or press on its way to the bot, and what the bot made of it.

Discord waits three seconds for the first answer and takes further ones for fifteen minutes; both clocks run here. The
first one stands still with this process: a machine that stops for a while is no fault of a bot that it stops, too.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from sandbox import errors
from sandbox.models import Channel, Json, Message, User
from sandbox.state import State

_KEPT: Final = 1_000
_LOOK_S: Final = 0.05


@dataclass(slots=True, kw_only=True, eq=False)
class Interaction:
    id: int
    token: str
    type: int
    """2 a command, 3 a press, 4 autocompletion, 5 a form that was sent."""
    user: User
    channel: Channel
    data: Json
    ends_at: float
    """Monotonic: until then further answers are accepted."""
    message: Message | None = None
    """The message whose button was pressed."""
    metadata: Json = field(default_factory=dict)
    response_type: int | None = None
    """What the bot's first answer was; None until it came."""
    ephemeral: bool = False
    original: Message | None = None
    """The message that ``@original`` names."""
    followups: list[Message] = field(default_factory=list)
    modal: Json | None = None
    """The form that the bot opened."""
    choices: list[Json] | None = None
    """What the bot offered for completion."""
    deleted: bool = False
    """The bot took its answer back."""
    expired: bool = False
    """Three seconds went by without an answer: none is accepted any more, and the person reads that the application
    did not respond."""

    @property
    def acknowledged(self) -> bool:
        return self.response_type is not None

    @property
    def answer(self) -> Message | None:
        """What the person sees as the answer, once it is more than "thinking"."""
        if self.original is not None and not self.original.loading and not self.deleted:
            return self.original
        return self.followups[0] if self.followups else None

    @property
    def messages(self) -> list[Message]:
        """Every message of the answer, in order."""
        first = [self.original] if self.original is not None and not self.deleted else []
        return [*first, *self.followups]


class Interactions:
    def __init__(self, state: State, *, deadline_s: float = 3.0, lifetime_s: float = 900.0) -> None:
        self._state = state
        self.deadline_s = deadline_s
        self.lifetime_s = lifetime_s
        self._by_token: OrderedDict[str, Interaction] = OrderedDict()

    def create(
        self, kind: int, user: User, channel: Channel, data: Json, *, message: Message | None = None
    ) -> Interaction:
        interaction = Interaction(
            id=self._state.ids.next(),
            token=secrets.token_urlsafe(96),
            type=kind,
            user=user,
            channel=channel,
            data=data,
            ends_at=time.monotonic() + self.lifetime_s,
            message=message,
        )
        self._by_token[interaction.token] = interaction
        while len(self._by_token) > _KEPT:
            self._by_token.popitem(last=False)
        return interaction

    def to_answer(self, interaction_id: int, token: str) -> Interaction:
        """For the first answer.

        Raises:
            ApiError: 10062 when it is unknown or too late, 40060 when there was an answer already.
        """
        interaction = self._by_token.get(token)
        if interaction is None or interaction.id != interaction_id:
            raise errors.unknown_interaction()
        if interaction.acknowledged:
            raise errors.already_acknowledged()
        if interaction.expired:
            raise errors.unknown_interaction()
        return interaction

    def by_token(self, token: str) -> Interaction:
        """For further answers.

        Raises:
            ApiError: 10015 before the first answer or for an unknown token, 50027 after fifteen minutes.
        """
        interaction = self._by_token.get(token)
        if interaction is None or not interaction.acknowledged:
            raise errors.unknown_webhook()
        if time.monotonic() > interaction.ends_at:
            raise errors.invalid_webhook_token()
        return interaction

    def answered(self, interaction: Interaction) -> None:
        """Tell that something about the answer changed."""
        self._state.tell("INTERACTION_ANSWERED", interaction.channel.guild_id, interaction)

    async def first_answer(self, interaction: Interaction) -> bool:
        """Wait for the bot's first answer; False when its three seconds are over."""
        came = asyncio.Event()
        stop = self._state.listen(lambda change: came.set() if change.subject is interaction else None)
        left_s = self.deadline_s
        try:
            while not interaction.acknowledged and left_s > 0:
                began_s, worked_s = time.monotonic(), time.process_time()
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(_LOOK_S, left_s)):
                        await came.wait()
                came.clear()
                # A look that comes late counts as one in time, or as the processor time that was used meanwhile.
                in_time_s = max(2 * _LOOK_S, time.process_time() - worked_s)
                left_s -= min(time.monotonic() - began_s, in_time_s)
        finally:
            stop()
        if not interaction.acknowledged:
            interaction.expired = True
            self.answered(interaction)
        return interaction.acknowledged

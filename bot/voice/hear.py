"""Hearing a channel in a few lines: who speaks, and their samples, one stretch after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import discord

from ser_engine.types import Pcm, PcmFrame

from .link import VoiceLink, connect
from .states import ConsentGate, LinkState, Reason

MAX_WAITING: Final = 3_000
"""Stretches that wait to be taken: five minutes of one person, half a minute of ten. Then the oldest go, counted."""


class Heard(NamedTuple):
    """A stretch of one included person's voice, mostly 100 ms."""

    speaker: int
    """The user's id."""
    samples: Pcm
    """Mono at 16 kHz, float32, full scale ±1."""
    at_s: float
    """Where it begins on the call's timeline, in seconds since joining."""
    concealed: bool
    """True when the samples were made up for a packet that was lost."""


class Hearing:
    """An open call. Iterate over it; it ends when the call does, and `reason` says why."""

    def __init__(self) -> None:
        self.state = LinkState.CONNECTING
        self.reason = Reason.JOINING
        self.dropped = 0
        """Stretches that were not taken in time."""
        self.link: VoiceLink
        self._waiting: deque[Heard] = deque()
        self._wake = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[Heard]:
        return self

    async def __anext__(self) -> Heard:
        while not self._waiting:
            if self.state in (LinkState.FAILED, LinkState.CLOSED):
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._waiting.popleft()

    def forget(self, user_id: int) -> None:
        """Drop what waits of a user. Call it when they agree, so that nothing they said before is heard, and when they
        withdraw.
        """
        self.link.discard(user_id)
        self._waiting = deque(heard for heard in self._waiting if heard.speaker != user_id)

    # what the link tells

    def frame(self, frame: PcmFrame) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(Heard(int(frame.speaker), frame.pcm, frame.t_samples / 16_000, frame.concealed))
        self._wake.set()

    def silence(self, speaker: str, now_samples: int) -> None: ...

    def told(self, state: LinkState, reason: Reason) -> None:
        self.state, self.reason = state, reason
        self._wake.set()


@asynccontextmanager
async def hear(
    channel: discord.VoiceChannel | discord.StageChannel, *, consent: ConsentGate | Container[int]
) -> AsyncIterator[Hearing]:
    """Join `channel` for as long as the block lasts, and hear those who agreed.

    `consent` is a set of user ids, or a function that says whether a user agreed. It is asked for each packet, before
    anything of it is decrypted; what it lets through is all that is ever heard.

    Raises:
        CannotJoin: the bot is in a call of this server already, or is not told about voice (the intent `voice_states`),
            the channel is full or closed to it, or Discord refused.
        IncompatibleLibrary: discord.py or davey is not the version that is known.
    """
    gate = consent if callable(consent) else consent.__contains__
    hearing = Hearing()
    link = hearing.link = await connect(channel, sink=hearing, consent=gate, on_state=hearing.told)
    try:
        yield hearing
    finally:
        await link.close()

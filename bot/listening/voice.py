"""What a session needs of a voice connection: the seam between it and `bot.voice`, or the tests' fake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from bot.voice.states import ConsentGate, FrameSink, StateListener


class Link(Protocol):
    """An open voice connection that supervises itself."""

    def now_samples(self) -> int:
        """Position of the session's timeline, in samples at 16 kHz."""
        ...

    async def play(self, sound: bytes) -> bool:
        """Play 48 kHz stereo, 16 bit, into the channel; False when there was no connection to play it on."""
        ...

    def discard(self, user_id: int) -> None:
        """Forget what is held of a person who withdrew."""
        ...

    def tallies(self) -> Mapping[str, int]:
        """Why packets were dropped, and how many came."""
        ...

    async def close(self) -> None: ...


class Connect(Protocol):
    """Joins a channel."""

    async def __call__(
        self, channel: Any, *, sink: FrameSink, consent: ConsentGate, on_state: StateListener
    ) -> Link: ...

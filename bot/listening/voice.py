"""What a session needs of a voice connection: the seam to `bot.voice`, which carries it out, and to the tests' fake.

A `VoiceChannel` is whatever the client hands over; only the connector looks inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ser_engine.types import PcmFrame

StateListener = Callable[[str, str], None]
"""Called with the value of a LinkState and a note for people."""


class Sink(Protocol):
    """Takes the frames of included speakers, on the event loop."""

    def frame(self, frame: PcmFrame) -> None: ...

    def silence(self, speaker: str, now_samples: int) -> None: ...


class Link(Protocol):
    """An open voice connection that supervises itself."""

    def now_samples(self) -> int:
        """Position of the session's timeline, in samples at 16 kHz."""
        ...

    async def play(self, pcm48k_stereo: bytes) -> None:
        """Play a short sound in the channel; returns when it was sent."""
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
        self, channel: Any, *, sink: Sink, consent: Callable[[int], bool], on_state: StateListener
    ) -> Link: ...

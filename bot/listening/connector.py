"""Joins a real voice channel: `bot.voice.connect` in the shape that a session wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bot.listening.voice import Link, Sink, StateListener
from bot.voice import VoiceLink
from bot.voice import connect as connect_voice


class VoiceLinkAdapter:
    """A VoiceLink as a session's `Link`."""

    def __init__(self, link: VoiceLink) -> None:
        self._link = link

    def now_samples(self) -> int:
        return self._link.now_samples()

    async def play(self, pcm48k_stereo: bytes) -> None:
        await self._link.play(pcm48k_stereo)

    def discard(self, user_id: int) -> None:
        self._link.discard(user_id)

    def tallies(self) -> Mapping[str, int]:
        return self._link.counters.as_dict()

    async def close(self) -> None:
        await self._link.close()


async def connect(channel: Any, *, sink: Sink, consent: Callable[[int], bool], on_state: StateListener) -> Link:
    """Raises VoiceError."""
    return VoiceLinkAdapter(await connect_voice(channel, sink=sink, consent=consent, on_state=on_state))

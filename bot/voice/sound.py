"""A short sound as Opus packets of 20 ms, and how it is sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import discord
import numpy as np

from ser_engine import opus

_PACKET_S: Final = 0.020
_SILENCE_AFTER: Final = 5

Sound = bytes | np.ndarray | Iterable[bytes]
"""48 kHz stereo: int16 bytes, a float array of shape ``(n, 2)``, or Opus packets of 20 ms."""


def packets_of(sound: Sound) -> list[bytes]:
    if isinstance(sound, bytes):
        sound = np.frombuffer(sound, dtype="<i2").reshape(-1, 2).astype(np.float32) / 32_768
    if isinstance(sound, np.ndarray):
        return list(opus.Encoder(channels=2).packets(sound))
    return list(sound)


async def say(client: Any, packets: list[bytes], *, wanted: Callable[[], bool]) -> None:
    """Send packets 20 ms apart while they are `wanted`, with the words around them that clients expect."""
    ws = client.ws
    await ws.speak()
    due_s = time.monotonic()
    for packet in [*packets, *[opus.SILENCE] * _SILENCE_AFTER]:
        if not wanted():
            return
        client.send_audio_packet(packet, encode=False)
        due_s += _PACKET_S
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
    await ws.speak(discord.SpeakingState.none)

"""A short sound as Opus packets of 20 ms."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ser_engine import opus

Sound = bytes | np.ndarray | Iterable[bytes]
"""48 kHz stereo: int16 bytes, a float array of shape ``(n, 2)``, or Opus packets of 20 ms."""


def packets_of(sound: Sound) -> list[bytes]:
    if isinstance(sound, bytes):
        sound = np.frombuffer(sound, dtype="<i2").reshape(-1, 2).astype(np.float32) / 32_768
    if isinstance(sound, np.ndarray):
        return list(opus.Encoder(channels=2).packets(sound))
    return list(sound)

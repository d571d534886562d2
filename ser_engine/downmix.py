"""Several channels to one, with a look at what the sum would lose.

The mean is right as long as the channels do not cancel each other. A recording with one channel inverted, or made of
the difference of two microphones, is silence in the mean. So the mean's power is compared with what channels that have
nothing to do with each other would give; when nine tenths of it are lost, the channels that run against the strongest
are turned round. A channel that never held any sound does not thin the others out.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ser_engine.types import Pcm

_LOST: Final = 0.1
_SILENT_POWER: Final = 1e-7  # −70 dBFS
_MEMORY: Final = 0.7  # how much of the last block's figures the next one keeps


class Downmix:
    """Mixes the blocks of one track; each is about a second long."""

    def __init__(self, channels: int) -> None:
        self._covariance = np.zeros((channels, channels))
        self._heard = np.zeros(channels, dtype=np.bool_)
        self._before = 0.5 ** np.arange(channels)  # at first, the first channel is the right way round

    def mix(self, block: NDArray[np.float32]) -> Pcm:
        """Shape ``(channels, n)`` to ``(n,)``."""
        if len(block) == 1:
            return np.asarray(block[0])
        centred = block - block.mean(axis=1, keepdims=True)
        now = np.asarray(centred @ centred.T, dtype=np.float64) / max(1, block.shape[1])
        self._covariance = now + _MEMORY * self._covariance
        self._heard |= np.diagonal(now) > _SILENT_POWER
        self._before = self._weights()
        return np.asarray(self._before.astype(np.float32) @ block, dtype=np.float32)

    def _weights(self) -> NDArray[np.float64]:
        taken = self._heard if self._heard.any() else np.ones_like(self._heard)
        mean = taken / taken.sum()
        powers = np.diagonal(self._covariance)
        if mean @ self._covariance @ mean >= _LOST * (np.square(mean) @ powers):
            return np.asarray(mean)
        strongest = int(np.argmax(np.where(taken, powers, -1.0)))
        turned = np.where(self._covariance[strongest] < 0, -mean, mean)
        # Which of two opposite ways round is arbitrary: stay with the one of the block before.
        return np.asarray(-turned if turned @ self._before < 0 else turned)

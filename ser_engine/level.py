"""Levels; and what is wrong with one and put right before anybody listens: spikes, an offset, over full scale.

Only float files can exceed full scale. One broken sample of 900 must not make everything else silence, so the level is
that of the loud parts, not of the one loudest sample; what stands far out of them is a fault and is bridged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ser_engine.types import SAMPLE_RATE_HZ, Pcm, PcmFrame

_LARGEST: Final = float(np.finfo(np.float32).max)
_CREST: Final = 4.0
"""How far the peaks of speech stand over its loud parts (the 99th percentile of what can be heard): 2 to 4."""
_AUDIBLE: Final = 10 ** (-62 / 20)
_SILENCE: Final = 1e-5
_SPIKES_SHARE: Final = 0.001
"""Up to this share of a second's samples are faults; more of them are sound."""
_OFFSET: Final = 0.002
"""A mean above this is a sound card's fault; speech has a tenth of it."""
_MEASURED_SAMPLES: Final = 600 * SAMPLE_RATE_HZ
"""The level is that of the first ten minutes, which is all of what the doors take."""
_MOST_LOOKED_AT: Final = 1_000_000


def level_dbfs(pcm: Pcm) -> float:
    """Root mean square in dB relative to a full-scale square wave; −120 for silence."""
    if len(pcm) == 0:
        return -120.0
    rms = float(np.sqrt(np.mean(np.square(pcm, dtype=np.float64))))
    return 20 * float(np.log10(max(rms, 1e-6)))


def peak_dbfs(pcm: Pcm) -> float:
    """Largest magnitude in dB relative to full scale; −120 for silence."""
    return 20 * float(np.log10(max(float(np.abs(pcm).max()) if len(pcm) else 0.0, 1e-6)))


def set_level(pcm: Pcm, level: Literal["none", "peak", "rms"], dbfs: float) -> Pcm:
    """Scale `pcm` to the stated level in dBFS (0 is full scale); silence is returned as it is."""
    if level == "none":
        return pcm
    now = float(np.abs(pcm).max()) if level == "peak" else float(np.sqrt(np.mean(np.square(pcm, dtype=np.float64))))
    if now < _SILENCE:
        return pcm
    return np.asarray(pcm * np.float32(10 ** (dbfs / 20) / now), dtype=np.float32)


def without_spikes(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """A block, shape ``(channels, n)``, with a few faulty samples bridged: no numbers, or far beyond the others."""
    if block.size == 0 or np.abs(block).max() <= 1:  # NaN is not
        return block
    block = block.copy()
    for channel in block:
        finite = np.isfinite(channel)
        magnitudes = np.abs(channel)
        most = min(max(1.0, _CREST * _loud(magnitudes[finite])), _LARGEST)
        wrong = ~finite | (magnitudes > most)
        if 0 < np.count_nonzero(wrong) <= max(1.0, _SPIKES_SHARE * len(channel)) and not wrong.all():
            good = np.flatnonzero(~wrong)
            channel[wrong] = np.interp(np.flatnonzero(wrong), good, channel[good])
    return block


def levelled(pieces: Iterable[PcmFrame]) -> Iterator[PcmFrame]:
    """The same pieces within ±1 and without an offset, as the first ten minutes of them ask for."""
    held: list[PcmFrame] = []
    samples = 0
    rest = iter(pieces)
    for piece in rest:
        held.append(piece)
        samples += len(piece.pcm)
        if samples >= _MEASURED_SAMPLES:
            break
    offset, gain = _measured([piece.pcm for piece in held], samples)
    while held:
        yield _set(held.pop(0), offset, gain)
    for piece in rest:
        yield _set(piece, offset, gain)


def _measured(held: list[Pcm], samples: int) -> tuple[np.float32, np.float32]:
    """The offset to take away, and what to multiply by afterwards."""
    if not samples:
        return np.float32(0), np.float32(1)
    mean = sum(float(pcm.sum(dtype=np.float64)) for pcm in held) / samples
    offset = np.float32(mean if abs(mean) > _OFFSET else 0)
    peak = max(float(np.abs(pcm - offset).max()) for pcm in held)
    if peak <= 1:
        return offset, np.float32(1)
    step = max(1, samples // _MOST_LOOKED_AT)
    loud = _loud(np.abs(np.concatenate([pcm[::step] for pcm in held]) - offset))
    return offset, np.float32(1 / max(1.0, min(peak, _CREST * loud)))


def _set(piece: PcmFrame, offset: np.float32, gain: np.float32) -> PcmFrame:
    if offset == 0 and gain == 1 and (len(piece.pcm) == 0 or np.abs(piece.pcm).max() <= 1):
        return piece
    return replace(piece, pcm=np.clip((piece.pcm - offset) * gain, -1, 1).astype(np.float32, copy=False))


def _loud(magnitudes: NDArray[np.float32]) -> float:
    """The 99th percentile of what can be heard; 0 for silence."""
    heard = magnitudes[magnitudes > _AUDIBLE]
    return float(np.percentile(heard, 99)) if len(heard) else 0.0

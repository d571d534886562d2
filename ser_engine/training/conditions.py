"""What a recording is put through before it is measured: the ways in which a call differs from a studio.

Every condition is a pure function of the clip and its number, so two engines, or two days, hear the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from ser_engine.training.augment import add_noise, coloured, cut_short
from ser_engine.training.opus import through_opus
from ser_engine.types import Pcm

Condition = Callable[[Pcm, np.random.Generator], Pcm]

GAIN_DB: Final = 10.0
SNR_DB: Final = 20.0
LOSS: Final = 0.05
BITRATES_BPS: Final = (16_000, 24_000, 32_000, 64_000)
CALL_BITRATE_BPS: Final = 64_000
"""A Discord voice channel's own bit rate unless its owner changed it."""


def clean(pcm: Pcm, rng: np.random.Generator) -> Pcm:
    """As recorded."""
    return pcm


def opus(pcm: Pcm, rng: np.random.Generator) -> Pcm:
    """Coded at 16, 24, 32 or 64 kbit/s, 48 kHz, and decoded."""
    return through_opus(pcm, int(rng.choice(BITRATES_BPS)), rng)


def gain(pcm: Pcm, rng: np.random.Generator) -> Pcm:
    """10 dB louder (clipped at full scale where that is too loud) or 10 dB quieter."""
    factor = np.float32(10 ** (GAIN_DB * float(rng.choice([-1.0, 1.0])) / 20))
    return np.asarray(np.clip(pcm * factor, -1.0, 1.0), np.float32)


def noise(pcm: Pcm, rng: np.random.Generator) -> Pcm:
    """Noise between white and brown, 20 dB below the speech."""
    sound = np.asarray(coloured(len(pcm), float(rng.uniform(0, 2)), rng), np.float32)
    return add_noise(pcm, sound, snr_db=SNR_DB)


def loss(pcm: Pcm, rng: np.random.Generator) -> Pcm:
    """Coded at 64 kbit/s; one packet in twenty is lost and concealed by the decoder."""
    return through_opus(pcm, CALL_BITRATE_BPS, rng, loss=LOSS)


def short(pcm: Pcm, rng: np.random.Generator) -> Pcm:
    """0.8 to 1.5 s from anywhere around the loudest moment."""
    return cut_short(pcm, rng)


CONDITIONS: Final[Mapping[str, Condition]] = {
    "clean": clean,
    "opus": opus,
    "gain": gain,
    "noise": noise,
    "loss": loss,
    "short": short,
}


def apply(name: str, pcm: Pcm, clip: str) -> Pcm:
    """`pcm` under the condition `name`. What is drawn at random depends on the name and on `clip` alone.

    Raises KeyError for a condition that does not exist.
    """
    seed = list(f"{name}/{clip}".encode())
    return CONDITIONS[name](pcm, np.random.default_rng(seed))

"""Sound that is no speech, drawn at random: noise of any colour, tones, hum, tunes, chords, a band with drums."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ser_engine.types import SAMPLE_RATE_HZ, Pcm

Rng = np.random.Generator
Maker = Callable[[Rng, int], np.ndarray]


def made(kind: str, seed: int) -> Pcm:
    """Sound of `KINDS[kind]`, 1 to 9 s long, at a level of −50 to −10 dB, with everything about it drawn by `seed`."""
    rng = np.random.default_rng([seed, *kind.encode()])
    samples = KINDS[kind](rng, int(rng.uniform(1, 9) * SAMPLE_RATE_HZ))
    return np.clip(samples * 10 ** (rng.uniform(-50, -10) / 20), -1, 1).astype(np.float32)


def seconds(n: int) -> np.ndarray:
    return np.arange(n) / SAMPLE_RATE_HZ


def noise(rng: Rng, n: int, exponent: float = 0.0) -> np.ndarray:
    """Deviation 1; 0 is white, 0.5 pink, 1 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(n)) / np.maximum(1, np.arange(n // 2 + 1)) ** exponent
    out = np.fft.irfft(spectrum, n)
    return np.asarray(out / out.std())


def waves(rng: Rng, n: int) -> np.ndarray:
    """A level that comes and goes as often as syllables do."""
    return 0.55 + 0.45 * np.sin(2 * np.pi * rng.uniform(1, 8) * seconds(n))


def harmonics(rng: Rng, n: int, hz: float, count: int, vibrato: float = 0.0) -> np.ndarray:
    phase = 2 * np.pi * np.cumsum(hz * (1 + vibrato * np.sin(2 * np.pi * 5.5 * seconds(n)))) / SAMPLE_RATE_HZ
    return np.asarray(sum(np.sin(h * phase + rng.uniform(0, 6)) / h for h in range(1, count + 1)))


def tune(rng: Rng, n: int, *, chord: bool = False, decay: bool = False, vibrato: float = 0.0) -> np.ndarray:
    """Notes or chords of a made instrument, one to five a second."""
    length = int(SAMPLE_RATE_HZ / rng.uniform(1, 5))
    t, out = seconds(length), []
    for _ in range(n // length + 1):
        root = 220 * 2 ** (rng.integers(0, 13) / 12)
        ratios = (1, 2 ** (4 / 12), 2 ** (7 / 12)) if chord else (1,)
        note = sum(harmonics(rng, length, root * ratio, 5, vibrato) for ratio in ratios)
        out.append(note * np.minimum(1, t / 0.01) * (np.exp(-3 * t) if decay else 1))
    return np.concatenate(out)[:n]


def drums(rng: Rng, n: int) -> np.ndarray:
    t = seconds(int(SAMPLE_RATE_HZ / rng.uniform(2, 5)))
    beat = 2 * rng.standard_normal(len(t)) * np.exp(-30 * t) + 3 * np.sin(2 * np.pi * 60 * t) * np.exp(-15 * t)
    return np.resize(beat, n)


KINDS: dict[str, Maker] = {
    "silence": lambda rng, n: np.zeros(n),
    "white noise": noise,
    "pink noise": lambda rng, n: noise(rng, n, 0.5),
    "brown noise": lambda rng, n: noise(rng, n, 1.0),
    "white noise in waves": lambda rng, n: noise(rng, n) * waves(rng, n),
    "pink noise in waves": lambda rng, n: noise(rng, n, 0.5) * waves(rng, n),
    "tone": lambda rng, n: np.sin(2 * np.pi * rng.uniform(80, 6000) * seconds(n)),
    "tone in waves": lambda rng, n: np.sin(2 * np.pi * rng.uniform(80, 4000) * seconds(n)) * waves(rng, n),
    "tone in noise": lambda rng, n: np.sin(2 * np.pi * 440 * seconds(n)) + rng.uniform(0.1, 2) * noise(rng, n),
    "sweep": lambda rng, n: np.sin(2 * np.pi * (100 * seconds(n) + rng.uniform(25, 750) * seconds(n) ** 2)),
    "50 Hz hum": lambda rng, n: np.sin(2 * np.pi * 50 * seconds(n)),
    "50 Hz hum with harmonics": lambda rng, n: harmonics(rng, n, 50, int(rng.integers(2, 40))),
    "50 Hz hum in noise": lambda rng, n: harmonics(rng, n, 50, int(rng.integers(2, 20))) + 0.1 * noise(rng, n),
    "clicks": lambda rng, n: np.where(np.arange(n) % int(rng.uniform(2000, 9000)) < 20, 4.0, 0.0),
    "tune": lambda rng, n: tune(rng, n, decay=bool(rng.random() < 0.5)),
    "tune with vibrato": lambda rng, n: tune(rng, n, vibrato=0.01),
    "chords": lambda rng, n: tune(rng, n, chord=True, decay=bool(rng.random() < 0.5)),
    "band with drums": lambda rng, n: tune(rng, n, chord=True, decay=True) + drums(rng, n),
}

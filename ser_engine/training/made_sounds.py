"""Sound that nobody said as a sentence, made from nothing or from other voices: its target is every label alike.

All functions draw only from the generator they are handed: a seed decides all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ser_engine.audio import change_speed
from ser_engine.training.augment import (
    BITRATES_BPS,
    MIN_WINDOW_SAMPLES,
    SHORT_SAMPLES,
    add_noise,
    at_level,
    clicks,
    coloured,
    equalise,
    hum,
)
from ser_engine.training.opus import through_opus
from ser_engine.types import SAMPLE_RATE_HZ, WINDOW_SAMPLES, Pcm


def not_speech(rng: np.random.Generator) -> Pcm:
    """0.8 to 3 s that no one said: noise, hum, clicks, a tone, a chord, an arpeggio; sometimes near silence."""
    n = int(rng.integers(MIN_WINDOW_SAMPLES, WINDOW_SAMPLES + 1))
    kind = int(rng.integers(0, 6))
    if kind == 0:
        out = coloured(n, float(rng.uniform(0, 2)), rng)
    elif kind == 1:
        out = hum(n, rng) + 0.05 * rng.random() * coloured(n, 1.0, rng)
    elif kind == 2:
        out = clicks(n, rng) + 0.1 * rng.random() * coloured(n, 1.0, rng)
    else:
        out = _music(n, rng, notes=1 if kind == 3 else int(rng.integers(2, 5)), moving=kind == 5)
        out = out + 10 ** (-rng.uniform(20, 70) / 20) * coloured(n, float(rng.uniform(0, 2)), rng)
    if rng.random() < 0.5:
        out = out * np.interp(np.arange(n), np.linspace(0, n, 8), rng.uniform(0.1, 1, 8))
    sound = np.asarray(out, dtype=np.float32)
    if rng.random() < 0.3:
        sound = equalise(sound, rng)
    sound = at_level(sound, float(rng.uniform(-40, 0)), rng)
    return through_opus(sound, int(rng.choice(BITRATES_BPS)), rng) if rng.random() < 0.3 else sound


def babble(voices: Sequence[Pcm], rng: np.random.Generator) -> Pcm:
    """Three to eight of `voices` at once, none of which can be followed."""
    n = int(rng.integers(SHORT_SAMPLES, WINDOW_SAMPLES + 1))
    out = np.zeros(n, np.float32)
    for k in rng.integers(0, len(voices), int(rng.integers(3, 9))):
        out += _stretch(voices[int(k)], n, rng) * np.float32(10 ** (-rng.uniform(0, 6) / 20))
    return at_level(out, float(rng.uniform(-20, 0)), rng)


def over_music(voice: Pcm, rng: np.random.Generator) -> Pcm:
    """Made music with `voice` in it, as loud as the music or up to 12 dB below."""
    n = int(rng.integers(SHORT_SAMPLES, WINDOW_SAMPLES + 1))
    music = _music(n, rng, notes=int(rng.integers(2, 5)), moving=rng.random() < 0.7)
    if rng.random() < 0.5:
        music = music / (np.std(music) + 1e-9) + 0.4 * clicks(n, rng)
    mixed = add_noise(np.asarray(music, np.float32), _stretch(voice, n, rng), snr_db=float(rng.uniform(0, 12)))
    return at_level(mixed, float(rng.uniform(-20, 0)), rng)


def bursts(voice: Pcm, rng: np.random.Generator) -> Pcm:
    """A sound like laughter or a cough: a syllable of `voice` again and again, four to seven times a second, fading."""
    n = int(rng.integers(MIN_WINDOW_SAMPLES, WINDOW_SAMPLES + 1))
    size = int(rng.uniform(0.08, 0.16) * SAMPLE_RATE_HZ)
    energy = np.convolve(np.square(voice, dtype=np.float64), np.ones(size), mode="valid")
    start = int(rng.choice(np.argsort(energy)[-max(1, len(energy) // 20) :]))
    syllable = change_speed(voice[start : start + size], float(rng.uniform(0.75, 1.5)))
    syllable = syllable / (np.abs(syllable).max() + 1e-9) * np.hanning(len(syllable))
    breath = coloured(len(syllable), 1.0, rng) * np.hanning(len(syllable)) * float(rng.uniform(0.05, 0.6))
    out, at, loud = np.zeros(n + len(syllable)), 0, 1.0
    while at < n:
        out[at : at + len(syllable)] += loud * (syllable + breath * rng.uniform(0.3, 1))
        at += int(SAMPLE_RATE_HZ / rng.uniform(4, 7))
        loud *= float(rng.uniform(0.8, 1.02))
        if rng.random() < 0.1:
            at, loud = at + int(rng.uniform(0.1, 0.5) * SAMPLE_RATE_HZ), 1.0
    return at_level(np.asarray(out[:n], np.float32), float(rng.uniform(-20, 0)), rng)


def _stretch(voice: Pcm, n: int, rng: np.random.Generator) -> Pcm:
    """`n` samples of `voice` from anywhere, repeated where it is shorter, at a level of about 1."""
    rolled = np.roll(voice, int(rng.integers(0, max(1, len(voice)))))
    return np.asarray(np.resize(rolled, n) / (np.std(voice) + 1e-6), np.float32)


def _music(n: int, rng: np.random.Generator, *, notes: int, moving: bool) -> NDArray[np.float64]:
    t = np.arange(n) / SAMPLE_RATE_HZ
    scale = 2 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12]) / 12)
    root_hz = float(rng.uniform(80, 900))
    harmonics = int(rng.integers(1, 7))
    beat = max(1, int(rng.uniform(0.12, 0.6) * SAMPLE_RATE_HZ)) if moving else n
    out = np.zeros(n)
    for start in range(0, n, beat):
        piece = t[start : start + beat] - t[start]
        fade = np.exp(-piece * rng.uniform(0, 6)) * np.minimum(1, piece / 0.01)
        for hz in root_hz * rng.choice(scale, notes):
            for k in range(1, harmonics + 1):
                if hz * k < SAMPLE_RATE_HZ / 2:
                    out[start : start + beat] += fade * np.sin(2 * np.pi * (hz * k * piece + rng.random())) / k**1.3
    return out

"""Silence, noise, tones, hum and music are never an emotion; the repository's real voices always may be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ser_engine import Recognizer, segment_pcm
from ser_engine.gates import clipped_share, gate
from ser_engine.segmenter import speech_ratio
from ser_engine.types import SAMPLE_RATE_HZ, Pcm, Window
from tests.fakes.clips import clip, clip_paths
from tests.fakes.model import make_model

pytestmark = pytest.mark.unit

N = 3 * SAMPLE_RATE_HZ
T = np.arange(N) / SAMPLE_RATE_HZ


def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def coloured(exponent: float) -> np.ndarray:
    spectrum = np.fft.rfft(rng().standard_normal(N)) / np.maximum(1, np.arange(N // 2 + 1)) ** exponent
    noise = np.fft.irfft(spectrum, N)
    return np.asarray(0.1 * noise / noise.std())


def harmonic(f0: float, n: int) -> np.ndarray:
    return sum(0.1 * np.sin(2 * np.pi * f0 * h * T) / h for h in range(1, n + 1)) + np.zeros(N)


def notes(count: int, *, chord: bool, decay: bool) -> np.ndarray:
    """A tune of held notes or chords of a made instrument."""
    length, out = N // count, []
    for f0 in rng().choice([220, 247, 262, 294, 330, 349, 392, 440], count):
        t = np.arange(length) / SAMPLE_RATE_HZ
        ratios = (1, 1.26, 1.5) if chord else (1,)
        note = sum(np.sin(2 * np.pi * f0 * r * h * t) / h for r in ratios for h in range(1, 5))
        out.append(note * (np.exp(-3 * t) if decay else 1))
    return np.resize(0.08 * np.concatenate(out), N)


def tone(hz: float, level: float = 0.2) -> np.ndarray:
    return level * np.sin(2 * np.pi * hz * T)


MADE: dict[str, Callable[[], np.ndarray]] = {
    "silence": lambda: np.zeros(N),
    "nearly silence": lambda: 5e-4 * rng().standard_normal(N),
    "white noise": lambda: coloured(0),
    "loud white noise": lambda: 3 * coloured(0),
    "white noise in waves": lambda: coloured(0) * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * T)),
    "pink noise": lambda: coloured(0.5),
    "brown noise": lambda: coloured(1.0),
    "tone of 100 Hz": lambda: tone(100),
    "tone of 440 Hz": lambda: tone(440),
    "tone of 1 kHz": lambda: tone(1000),
    "tone of 3 kHz": lambda: tone(3000),
    "quiet tone": lambda: tone(440, 0.01),
    "two tones": lambda: tone(350) + tone(440),
    "tone in waves": lambda: tone(300) * (0.5 + 0.5 * np.sin(2 * np.pi * 4 * T)),
    "tone in noise": lambda: tone(440, 0.1) + 0.2 * coloured(0),
    "beeps": lambda: tone(1000) * (np.sin(2 * np.pi * 2 * T) > 0),
    "sweep": lambda: 0.1 * np.sin(2 * np.pi * (200 * T + 300 * T**2)),
    "50 Hz hum": lambda: tone(50, 0.1),
    "60 Hz hum": lambda: tone(60, 0.1),
    "50 Hz hum with harmonics": lambda: harmonic(50, 6),
    "100 Hz buzz": lambda: harmonic(100, 20),
    "square wave": lambda: 0.1 * np.sign(np.sin(2 * np.pi * 220 * T)),
    "sawtooth": lambda: 0.1 * (2 * ((110 * T) % 1) - 1),
    "tune": lambda: notes(8, chord=False, decay=True),
    "held tune": lambda: notes(8, chord=False, decay=False),
    "fast tune": lambda: notes(14, chord=False, decay=True),
    "chords": lambda: notes(4, chord=True, decay=True),
    "held chords": lambda: notes(4, chord=True, decay=False),
    "chords in noise": lambda: notes(4, chord=True, decay=True) + 0.1 * coloured(0),
    "clicks": lambda: np.where(np.arange(N) % 8000 < 20, 0.8, 0.0),
}


def window(pcm: np.ndarray) -> Window:
    samples: Pcm = pcm.astype(np.float32)
    return Window(speaker="a", start_s=0, pcm=samples, speech_ratio=speech_ratio(samples), gap_ratio=0)


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("gain_db", [0, -20])
def test_made_sound_is_never_an_emotion(name: str, gain_db: int) -> None:
    assert gate(window(MADE[name]() * 10 ** (gain_db / 20))) in ("no_speech", "too_short")


@pytest.mark.parametrize("gain_db", [12, 0, -12])
def test_real_voices_pass(gain_db: int) -> None:
    closed = [
        (path.name, gate(w))
        for path in clip_paths()
        for w in segment_pcm(np.clip(clip(path) * np.float32(10 ** (gain_db / 20)), -0.98, 0.98))
        if gate(w) is not None
    ]
    assert closed == []


def test_real_voices_in_noise_pass() -> None:
    closed = []
    for path in clip_paths():
        pcm = clip(path)
        noise = rng().standard_normal(len(pcm)) * np.sqrt(np.mean(np.square(pcm)) / 10)
        closed += [path.name for w in segment_pcm((pcm + noise).astype(np.float32)) if gate(w) is not None]
    assert len(closed) <= 2, closed  # 10 dB: a voice may drown, most do not


def test_clipping_is_said() -> None:
    loud = clip(clip_paths()[1]) * 30
    clipped = window(np.clip(loud, -1, 1))
    assert clipped_share(clipped.pcm) > 0.2
    assert gate(clipped) == "clipped"


def test_ten_decibels_too_loud_throw_nothing_away() -> None:
    for path in clip_paths():
        pcm = clip(path)
        too_loud = np.clip(pcm / np.abs(pcm).max() * np.float32(10 ** (10 / 20)), -1, 1)
        assert [gate(one) for one in segment_pcm(too_loud) if gate(one) == "clipped"] == [], path.name


def test_too_little_speech_is_said() -> None:
    pcm = clip(clip_paths()[0])
    assert gate(window(pcm[8000:18_000])) == "too_short"
    alone = np.zeros(N, dtype=np.float32)
    alone[:9600] = pcm[8000:17_600]
    assert gate(Window(speaker="a", start_s=0, pcm=alone, speech_ratio=0.15, gap_ratio=0)) == "too_short"


def test_no_speech_says_nothing_about_any_label(tmp_path: Path) -> None:
    recognizer = Recognizer.load(make_model(tmp_path))
    voice = segment_pcm(clip(clip_paths()[0]))[0]
    noise, real = recognizer.predict([window(MADE["white noise"]()), voice])
    assert (noise.unclear, noise.reason) == (True, "no_speech")
    assert set(noise.probabilities.values()) == {0.2}
    assert not real.unclear

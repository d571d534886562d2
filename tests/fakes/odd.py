"""Files as odd devices write them: some hold a voice, some hold nothing that can be analysed."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable

import numpy as np
import soxr

from ser_engine.types import SAMPLE_RATE_HZ
from tests.fakes.clips import clip, clip_paths
from tests.fakes.made_sound import noise
from tests.fakes.media import encode


def voice(rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    return np.asarray(soxr.resample(clip(clip_paths()[1]), SAMPLE_RATE_HZ, rate_hz))


def with_a_number(number: float, *, every: int = 0) -> bytes:
    """The voice with one sample replaced, or with one in `every`."""
    samples = voice().copy()
    samples[5000 :: every or len(samples)] = number
    return encode(samples, SAMPLE_RATE_HZ, "wavf")


def no_samples() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
    return out.getvalue()


def six_channels() -> bytes:
    """The voice on the third channel, where films have it."""
    samples = voice(48_000)
    return encode(np.stack([samples * (k == 2) for k in range(6)]), 48_000, "wav24")


ODD_VOICES: dict[str, Callable[[], bytes]] = {
    "8 bits": lambda: encode(voice(), SAMPLE_RATE_HZ, "wav8"),
    "24 bits": lambda: encode(voice(48_000), 48_000, "wav24"),
    "32 bits": lambda: encode(voice(), SAMPLE_RATE_HZ, "wav32"),
    "float": lambda: encode(voice(), SAMPLE_RATE_HZ, "wavf"),
    "double": lambda: encode(voice(), SAMPLE_RATE_HZ, "wavd"),
    "float over full scale": lambda: encode(20 * voice(), SAMPLE_RATE_HZ, "wavf"),
    "six channels": six_channels,
    "8 kHz": lambda: encode(voice(8_000), 8_000, "wav"),
    "one sample NaN": lambda: with_a_number(np.nan),
    "one sample infinite": lambda: with_a_number(-np.inf),
    "192 kHz": lambda: encode(voice(192_000), 192_000, "wav24"),
}
"""The same voice each time."""

NOTHING_TO_HEAR: dict[str, tuple[Callable[[], bytes], str, int]] = {
    # name: (the file, the engine's code, the status of POST /predict)
    "no byte": (lambda: b"", "empty_audio", 400),
    "no sample": (no_samples, "empty_audio", 400),
    "10 ms": (lambda: encode(voice()[8000:8160], SAMPLE_RATE_HZ, "wav"), "no_speech", 422),
    "half a second": (lambda: encode(voice()[8000:16_000], SAMPLE_RATE_HZ, "wav"), "no_speech", 422),
    "silence": (lambda: encode(np.zeros(64_000), SAMPLE_RATE_HZ, "wav"), "no_speech", 422),
    "NaN": (lambda: with_a_number(np.nan, every=100), "invalid_samples", 422),
    "infinity": (lambda: with_a_number(np.inf, every=100), "invalid_samples", 422),
    "words": (lambda: b"only words", "undecodable_audio", 422),
    "a header alone": (lambda: b"RIFF\x00\x00\x00\x00WAVE", "undecodable_audio", 422),
}


def white_noise() -> bytes:
    """A detector of voices takes it for one; the gates do not."""
    return encode(0.1 * noise(np.random.default_rng(1), 64_000), SAMPLE_RATE_HZ, "wav")

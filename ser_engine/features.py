"""From samples to features: one implementation, for training and for serving.

Three front ends, all vectorised numpy without librosa (which takes seconds to import and five times as long to run):

- ``mfcc``: the old app's 120 features (40 MFCC, their deltas, their delta-deltas), equal to librosa's within 2e-3.
- ``logmel``: the mel bands in dB, for networks that prefer them; same settings.
- ``whisper``: the input of Whisper's encoder (80 Slaney mel bands, reflect padding, log10, clamped), cut to the true
  length of the window and never padded to 30 s.

`FeatureSettings` says everything that decides the numbers; its `hash` stands in ``model.json``, so that weights are
never served features they were not trained on. A field's default is never changed: a new behaviour is a new value.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ser_engine.level import set_level
from ser_engine.types import SAMPLE_RATE_HZ, Pcm

Features = NDArray[np.float32]
"""Shape ``(frames, dims)``; one frame every `FeatureSettings.hop` samples."""

IMPLEMENTATION: Final = 1
"""Part of the hash; raised when the numbers that come out of the same settings change."""

_AMIN: Final = 1e-10
_LOG10_E: Final = float(np.log10(np.e))
_BLOCK_FRAMES: Final = 64
_FILTER_BLOCKS: Final = 4
_DELTA_HALF: Final = 4
_DELTA_WIDTH: Final = 2 * _DELTA_HALF + 1
_DELTA_BLOCK: Final = 32
_TRIM_FRAME: Final = 2048
_TRIM_HOP: Final = 512
_LEAST_FRAMES: Final = 3


class FeatureSettings(BaseModel):
    """Everything that decides the features. The defaults are the old app's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mfcc", "logmel", "whisper"] = "mfcc"
    n_fft: int = Field(default=400, ge=64, le=4096)
    hop: int = Field(default=160, ge=40, le=1024)
    n_mels: int = Field(default=128, ge=8, le=256)
    n_mfcc: int = Field(default=40, ge=1, le=256)
    """Only for ``mfcc``."""
    deltas: bool = True
    """Append first and second differences (``mfcc`` and ``logmel``)."""
    top_db: float = Field(default=80.0, gt=0)
    """Floor of the spectrum below its own maximum, dB."""
    max_frames: int = Field(default=400, ge=1)
    """Frames beyond this are cut."""
    trim_db: float | None = Field(default=60.0, gt=0)
    """Cut ends this much quieter than the loudest frame, dB, as ``librosa.effects.trim`` does; None keeps all."""
    band_hz: float | None = Field(default=None, gt=0)
    """Leave out all power above this, Hz. Near the top, the resampler and the codec decide what a band holds,
    not the voice: a mere 16 → 48 → 16 kHz moves the means of 40 MFCC by 0.22 of their deviation, with 7000 here by
    none, and Opus at 64 kbit/s by 0.01 instead of 0.17."""
    level: Literal["none", "peak", "rms"] = "none"
    """Bring the window's peak or its root mean square to `level_dbfs` first."""
    level_dbfs: float = Field(default=-1.0, le=0)
    padding: Literal["standardise_then_pad", "pad_then_standardise"] = "standardise_then_pad"
    """The old app padded with zeros and standardised afterwards, so its mask never fired and its network learned the
    padding. Weights trained so must be served so; new weights pad afterwards and are given true lengths."""

    @model_validator(mode="after")
    def _consistent(self) -> FeatureSettings:
        if self.kind == "mfcc" and self.n_mfcc > self.n_mels:
            raise ValueError("n_mfcc cannot exceed n_mels")
        return self

    @classmethod
    def whisper(
        cls, *, level: Literal["none", "peak", "rms"] = "peak", max_frames: int = 300, top_db: float = 80.0
    ) -> FeatureSettings:
        """Whisper's front end, whose own floor is 80 dB (8 in log10); its input is never trimmed."""
        return cls(
            kind="whisper", n_mels=80, deltas=False, trim_db=None, level=level, max_frames=max_frames, top_db=top_db
        )

    @property
    def dims(self) -> int:
        """Width of a feature frame."""
        if self.kind == "whisper":
            return self.n_mels
        base = self.n_mfcc if self.kind == "mfcc" else self.n_mels
        return 3 * base if self.deltas else base

    @property
    def hash(self) -> str:
        """16 hex digits that change with any setting. Fields at their default are left out, so that a field added later
        leaves the hashes of older models as they are."""
        stated = self.model_dump(exclude_defaults=True)
        text = json.dumps([IMPLEMENTATION, self.kind, stated], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def extract(pcm: Pcm, settings: FeatureSettings) -> Features:
    """Features of one window.

    `pcm` is mono float32 at 16 kHz, shape ``(n,)``; the result has shape ``(frames, settings.dims)``, float32, with
    1 to ``settings.max_frames`` frames. Raises ValueError for an empty or non-finite window.
    """
    if pcm.ndim != 1 or len(pcm) == 0:
        raise ValueError("a window must be one-dimensional and not empty")
    samples = np.ascontiguousarray(pcm, dtype=np.float32)
    if not np.isfinite(samples).all():
        raise ValueError("a window must hold finite samples")
    samples = set_level(samples, settings.level, settings.level_dbfs)
    if settings.kind == "whisper":
        return _whisper(samples, settings)
    if settings.trim_db is not None:
        samples = trim(samples, settings.trim_db)
    decibels = _mel_db(samples, settings)
    base = decibels @ _dct(settings.n_mels, settings.n_mfcc) if settings.kind == "mfcc" else decibels
    out = _with_deltas(base) if settings.deltas else base
    return np.ascontiguousarray(out[: settings.max_frames], dtype=np.float32)


def trim(pcm: Pcm, top_db: float) -> Pcm:
    """`pcm` without the ends more than `top_db` below its loudest frame, as ``librosa.effects.trim`` finds them."""
    padded = _padded(pcm, _TRIM_FRAME // 2)
    # The mean square of every frame, from sums over hops: a frame is four whole hops.
    hops = (
        np.square(padded[: len(padded) // _TRIM_HOP * _TRIM_HOP]).reshape(-1, _TRIM_HOP).sum(axis=1, dtype=np.float64)
    )
    power = np.convolve(hops, np.ones(_TRIM_FRAME // _TRIM_HOP), mode="valid") / _TRIM_FRAME
    decibels = 10 * np.log10(np.maximum(power, _AMIN))
    loud = np.flatnonzero(decibels - decibels.max() > -top_db)
    start, end = int(loud[0]) * _TRIM_HOP, min(len(pcm), (int(loud[-1]) + 1) * _TRIM_HOP)
    return pcm[start:end]


def _padded(pcm: Pcm, many: int) -> Pcm:
    """So many zeros at both ends; `numpy.pad` takes ten times as long to find that out."""
    padded = np.zeros(len(pcm) + 2 * many, dtype=np.float32)
    padded[many : many + len(pcm)] = pcm
    return padded


def _mel_power(pcm: Pcm, settings: FeatureSettings, pad: Literal["constant", "reflect"]) -> Features:
    """Mel power spectrum, shape ``(1 + n // hop, n_mels)``; centred frames, periodic Hann window.

    In blocks whose temporaries stay in the cache and below the size for which the C library asks the system for fresh
    pages each time: half the time of one large step.
    """
    n_fft, half = settings.n_fft, settings.n_fft // 2
    # Reflection needs more samples than it mirrors; so short a window is filled with zeros first.
    samples = np.pad(pcm, (0, half + 1 - len(pcm))) if pad == "reflect" and len(pcm) <= half else pcm
    padded = _padded(samples, half)
    if pad == "reflect":
        padded[:half], padded[half + len(samples) :] = samples[half:0:-1], samples[-2 : -half - 2 : -1]
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[:: settings.hop]
    hann = _hann(n_fft)
    windowed = np.empty((_BLOCK_FRAMES, n_fft), dtype=np.float32)
    power = np.empty((len(frames), 1 + half), dtype=np.float32)
    for i in range(0, len(frames), _BLOCK_FRAMES):
        block = frames[i : i + _BLOCK_FRAMES]
        spectrum = np.fft.rfft(np.multiply(block, hann, out=windowed[: len(block)]), axis=1)
        np.square(spectrum.real, out=power[i : i + _BLOCK_FRAMES])
        power[i : i + _BLOCK_FRAMES] += np.square(spectrum.imag)
    if settings.band_hz is not None:
        power[:, int(settings.band_hz * n_fft / SAMPLE_RATE_HZ) + 1 :] = 0
    mel = np.empty((len(frames), settings.n_mels), dtype=np.float32)
    for bands, bins, filters in _filter_blocks(n_fft, settings.n_mels):
        np.matmul(power[:, bins], filters, out=mel[:, bands])
    return mel


def _mel_db(pcm: Pcm, settings: FeatureSettings) -> Features:
    """``librosa.power_to_db(melspectrogram)``, shape ``(frames, n_mels)``."""
    mel = _mel_power(pcm, settings, "constant")
    np.maximum(mel, np.float32(_AMIN), out=mel)
    np.log(mel, out=mel)  # four times as fast as the logarithm to base 10
    mel *= np.float32(10 * _LOG10_E)
    np.maximum(mel, mel.max() - np.float32(settings.top_db), out=mel)
    return mel


def _whisper(pcm: Pcm, settings: FeatureSettings) -> Features:
    """Whisper's log-mel: 3 s give 300 frames (the last, half outside, is dropped as Whisper does).

    Silence follows what is shorter than three frames: the encoder makes one state of them, and none of fewer.
    """
    if (missing := _LEAST_FRAMES * settings.hop - len(pcm)) > 0:
        pcm = np.pad(pcm, (0, missing))
    mel = _mel_power(pcm, settings, "reflect")[: len(pcm) // settings.hop]
    logs = np.log(np.maximum(mel, np.float32(_AMIN))) * np.float32(_LOG10_E)
    logs = (np.maximum(logs, logs.max() - np.float32(settings.top_db / 10)) + 4.0) / 4.0
    return np.ascontiguousarray(logs[: settings.max_frames], dtype=np.float32)


def _with_deltas(base: Features) -> Features:
    """`base` with its first and second differences appended, shape ``(frames, 3 * dims)``.

    Savitzky-Golay of width 9 and order 1 (2): its derivative of that order is constant over a fit, so mode ``interp``
    equals repeating the first and last value that has all its neighbours. Fewer than 9 frames are lengthened first.
    The convolution runs as a product of each block of rows with a banded matrix, three times as fast as adding shifts.
    """
    frames, dims = base.shape
    inner = max(frames, _DELTA_WIDTH) - _DELTA_WIDTH + 1
    blocks = -(-inner // _DELTA_BLOCK)
    rows = _DELTA_BLOCK + _DELTA_WIDTH - 1
    filled = np.zeros((blocks * _DELTA_BLOCK + _DELTA_WIDTH - 1, dims), dtype=np.float32)
    filled[:frames] = base
    filled[frames:_DELTA_WIDTH] = base[-1]
    overlapping = np.lib.stride_tricks.sliding_window_view(filled, rows, axis=0)[::_DELTA_BLOCK].transpose(0, 2, 1)
    both = _delta_matrix() @ overlapping
    out = np.empty((frames, 3 * dims), dtype=np.float32)
    out[:, :dims] = base
    valid = np.clip(np.arange(frames) - _DELTA_HALF, 0, inner - 1)
    for order in (0, 1):
        values = both[:, order * _DELTA_BLOCK : (order + 1) * _DELTA_BLOCK].reshape(-1, dims)
        out[:, (order + 1) * dims : (order + 2) * dims] = values[valid]
    return out


@lru_cache(maxsize=1)
def _delta_matrix() -> Features:
    """First and second difference of a block of rows, shape ``(2 * block, block + 8)``."""
    k = np.arange(-_DELTA_HALF, _DELTA_HALF + 1)
    first = k / np.sum(k**2)
    centred = k**2 - np.mean(k**2)
    second = 2 * centred / np.sum(centred**2)
    matrix = np.zeros((2 * _DELTA_BLOCK, _DELTA_BLOCK + _DELTA_WIDTH - 1), dtype=np.float32)
    for row in range(_DELTA_BLOCK):
        matrix[row, row : row + _DELTA_WIDTH] = first
        matrix[_DELTA_BLOCK + row, row : row + _DELTA_WIDTH] = second
    return matrix


@lru_cache(maxsize=4)
def _hann(n_fft: int) -> Features:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft), dtype=np.float32)


@lru_cache(maxsize=8)
def _dct(n_in: int, n_out: int) -> Features:
    """Orthonormal DCT-II as a matrix, shape ``(n_in, n_out)``."""
    matrix = np.cos(np.pi / n_in * (np.arange(n_in)[:, None] + 0.5) * np.arange(n_out)[None, :]) * np.sqrt(2 / n_in)
    matrix[:, 0] /= np.sqrt(2)
    return np.asarray(matrix, dtype=np.float32)


@lru_cache(maxsize=8)
def mel_filters(n_fft: int, n_mels: int) -> Features:
    """Slaney's mel filters with area normalisation (librosa's default), shape ``(1 + n_fft // 2, n_mels)``."""
    edges = _mel_to_hz(np.linspace(0.0, _hz_to_mel(SAMPLE_RATE_HZ / 2), n_mels + 2))
    bins = np.linspace(0, SAMPLE_RATE_HZ / 2, 1 + n_fft // 2)
    ramps = edges[:, None] - bins[None, :]
    widths = np.diff(edges)
    rising = -ramps[:-2] / widths[:-1, None]
    falling = ramps[2:] / widths[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling)) * (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return np.ascontiguousarray(filters.T, dtype=np.float32)


@lru_cache(maxsize=8)
def _filter_blocks(n_fft: int, n_mels: int) -> list[tuple[slice, slice, Features]]:
    """`mel_filters` as a few blocks of bands and the bins that these hear: a third of the work of the whole product,
    most of which multiplies by 0."""
    whole, blocks = mel_filters(n_fft, n_mels), []
    edges = [round(k * n_mels / _FILTER_BLOCKS) for k in range(_FILTER_BLOCKS + 1)]
    for first, last in pairwise(edges):
        heard = np.flatnonzero(whole[:, first:last].any(axis=1))
        bins = slice(int(heard[0]), int(heard[-1]) + 1) if len(heard) else slice(0, 1)
        blocks.append((slice(first, last), bins, np.ascontiguousarray(whole[bins, first:last])))
    return blocks


_MEL_LINEAR_HZ: Final = 200 / 3
_MEL_BREAK_HZ: Final = 1000.0
_MEL_LOG_STEP: Final = float(np.log(6.4) / 27)


def _hz_to_mel(hz: float) -> float:
    if hz < _MEL_BREAK_HZ:
        return hz / _MEL_LINEAR_HZ
    return _MEL_BREAK_HZ / _MEL_LINEAR_HZ + float(np.log(hz / _MEL_BREAK_HZ)) / _MEL_LOG_STEP


def _mel_to_hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    break_mel = _MEL_BREAK_HZ / _MEL_LINEAR_HZ
    logarithmic = _MEL_BREAK_HZ * np.exp(_MEL_LOG_STEP * (mels - break_mel))
    return np.where(mels < break_mel, mels * _MEL_LINEAR_HZ, logarithmic)

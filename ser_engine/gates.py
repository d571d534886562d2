"""What is not an emotion: silence, noise, tones, music, clipping, too little speech.

A network answers whatever it is given; these checks stand before it. WebRTC's detector (in the segmenter) takes white
noise, a hum and a chord for a voice, so four plain figures of the spectrum decide beside it. The bounds were set on
the training corpus, clean and with noise down to 10 dB, and on made signals, with a margin on both sides:

- how far the level moves (dB between the 10th and the 95th percentile): steady noise under 2.3, speech over 4;
- how much the shape of the spectrum moves, whatever its level does (dB): noise of any colour, in waves or not, under
  1.2; speech over 1.7, over 1.4 in its shortest windows. What lay under 1.2 in 2,400 recordings was a room at the end;
- how alike the spectrum is 64 ms later (median correlation): tones, hums and held notes over 0.87, speech under 0.86 in
  all but two windows of 4,000;
- how much of the power lies in the six strongest lines (median): a whistle over 0.9, speech under 0.86.

Music with drums moves as speech does and may pass. The networks were taught such sound and are unsure about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ser_engine.level import peak_dbfs
from ser_engine.types import MIN_SPEECH_S, Pcm, Window

Reason = Literal["no_speech", "too_short", "clipped"]

_MIN_SPEECH_RATIO: Final = 0.1
_SILENT_PEAK_DBFS: Final = -54.0
_CLIP_LEVEL: Final = 0.99
_CLIP_PEAK_DBFS: Final = -0.1  # a little under the clip level: no other window needs to be counted through
_CLIPPED_SHARE: Final = 0.2
"""Held-out recordings driven into it lose 0.03 of their accuracy up to this share, and three times as much beyond."""
_FRAME: Final = 1024
_BLOCK_FRAMES: Final = 16
_LOW_BIN: Final = 6  # 94 Hz: under it lie hum and rumble, which a voice may well stand in
_HIGH_BIN: Final = 450  # 7 kHz
_ACTIVE_DB: Final = 25.0
_STRONGEST: Final = 6
_STEADY_RANGE_DB: Final = 2.5
_STEADY_SHAPE_DB: Final = 1.3
_BANDS: Final = 12  # of 578 Hz
_BAND_FLOOR_DB: Final = 30.0  # under a frame's loudest band there is only what leaks into the others
_TONAL_CORRELATION: Final = 0.86
_TONAL_SHARE: Final = 0.88
_NOISE_CORRELATION: Final = 0.035
_NOISE_FLATNESS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectralFigures:
    """What tells speech from other sound in a window."""

    range_db: float
    """How far the level moves."""
    shape_db: float
    """How far the bands move against each other, in the audible frames."""
    correlation: float
    """Median correlation of the magnitude spectrum with itself 64 ms later, in the audible frames."""
    flatness: float
    """Median spectral flatness of the audible frames: 0 a line, about 0.56 white noise. Told where the correlation is
    as low as noise's; 0 elsewhere."""
    line_share: float
    """Median share of the power in the six strongest of 444 lines."""


def gate(window: Window) -> Reason | None:
    """Why `window` should not be relied on whatever the network says, or None."""
    speech_s = window.speech_ratio * window.duration_s
    peak = peak_dbfs(window.pcm)
    if peak < _SILENT_PEAK_DBFS or window.speech_ratio < _MIN_SPEECH_RATIO:
        return "no_speech"
    if speech_s < MIN_SPEECH_S:
        return "too_short"
    if not sounds_like_speech(spectral_figures(window.pcm)):
        return "no_speech"
    if peak >= _CLIP_PEAK_DBFS and clipped_share(window.pcm) > _CLIPPED_SHARE:
        return "clipped"
    return None


def clipped_share(pcm: Pcm) -> float:
    """Share of samples at the ends of the scale, 0 to 1."""
    return float(np.count_nonzero(np.abs(pcm) >= _CLIP_LEVEL)) / max(1, len(pcm))


def sounds_like_speech(figures: SpectralFigures) -> bool:
    """Whether a voice may be in it; noise, tones and held notes are not."""
    steady = figures.range_db < _STEADY_RANGE_DB or figures.shape_db < _STEADY_SHAPE_DB
    tonal = figures.correlation > _TONAL_CORRELATION or figures.line_share > _TONAL_SHARE
    noise = figures.correlation < _NOISE_CORRELATION and figures.flatness > _NOISE_FLATNESS
    return not (steady or tonal or noise)


def spectral_figures(pcm: Pcm) -> SpectralFigures:
    """The figures of a window, from 94 Hz to 7 kHz, over frames of 64 ms; fewer than two are filled up with zeros.

    The frames do not overlap: that costs half of what it costs with frames that do, and decides five windows in a
    thousand otherwise.
    """
    short = 2 * _FRAME - len(pcm)
    samples = np.pad(pcm, (0, short)) if short > 0 else pcm
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    power = np.empty((len(frames), _HIGH_BIN - _LOW_BIN), dtype=np.float32)
    for i in range(0, len(frames), _BLOCK_FRAMES):  # what is made on the way stays in the cache: three times as fast
        spectrum = np.fft.rfft(frames[i : i + _BLOCK_FRAMES] * _hanning(), axis=1)[:, _LOW_BIN:_HIGH_BIN]
        np.square(spectrum.real, out=power[i : i + _BLOCK_FRAMES])
        power[i : i + _BLOCK_FRAMES] += np.square(spectrum.imag)
    total = power.sum(axis=1)
    level_db = 10 * np.log10(total + 1e-9)
    active = level_db > level_db.max() - _ACTIVE_DB
    pairs = active[:-1] & active[1:]
    levels = np.sort(level_db)
    heard = power[active] + 1e-12
    correlation, flatness = _median_correlation(np.sqrt(power), total, pairs), 0.0
    if correlation < _NOISE_CORRELATION:
        flatness = _median(np.exp(np.log(heard).mean(axis=1)) / heard.mean(axis=1))
    strongest = np.partition(heard, -_STRONGEST, axis=1)[:, -_STRONGEST:].sum(axis=1) / heard.sum(axis=1)
    return SpectralFigures(
        range_db=_quantile(levels, 0.95) - _quantile(levels, 0.1),
        shape_db=_shape_db(power[active]),
        correlation=correlation,
        flatness=flatness,
        line_share=_median(strongest),
    )


def _shape_db(power: NDArray[np.float32]) -> float:
    """Deviation over the frames of each band's level against the mean of the bands, dB: root mean square of the six
    bands that move most, for a telephone or a headset may leave the others empty."""
    bands = 10 * np.log10(power.reshape(len(power), _BANDS, -1).sum(axis=2) + 1e-12)
    bands = np.maximum(bands, bands.max(axis=1, keepdims=True) - _BAND_FLOOR_DB)
    bands -= bands.mean(axis=1, keepdims=True)
    return float(np.sqrt(np.sort(bands.var(axis=0))[_BANDS // 2 :].mean()))


@lru_cache(maxsize=1)
def _hanning() -> NDArray[np.float32]:
    return np.hanning(_FRAME).astype(np.float32)


def _median_correlation(
    magnitudes: NDArray[np.float32], squares: NDArray[np.float32], pairs: NDArray[np.bool_]
) -> float:
    """`squares` are the sums of each frame's squared magnitudes."""
    if not pairs.any():
        return 0.0
    lines, mean = magnitudes.shape[1], magnitudes.mean(axis=1)
    norms = np.sqrt(np.maximum(squares - lines * np.square(mean), 0)) + 1e-9
    products = np.einsum("ij,ij->i", magnitudes[:-1], magnitudes[1:])
    products -= lines * mean[:-1] * mean[1:]
    return _median((products / (norms[:-1] * norms[1:]))[pairs])


def _median(values: NDArray[np.float32]) -> float:
    return _quantile(np.sort(values), 0.5)


def _quantile(ordered: NDArray[np.float32], share: float) -> float:
    """As `numpy.quantile` finds it; of a few dozen values its preparations cost ten times as much as the sorting."""
    below = share * (len(ordered) - 1)
    low = int(below)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low]) + (below - low) * float(ordered[high] - ordered[low])

"""Samples that come from elsewhere than the engine's own decoder: what cannot be heard is refused, in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from ser_engine.refusals import refusal
from ser_engine.types import WINDOW_SAMPLES, Pcm, Window

_LOUDEST: Final = 8.0
"""No decoder overshoots full scale so far; what does is of another scale, as the numbers of 16 bits are."""


def are_sound(pcm: Any) -> bool:
    """Whether `pcm` is what `Pcm` says, in floats of any width: mono, one sample at least, finite, full scale ±1."""
    if not isinstance(pcm, np.ndarray) or pcm.ndim != 1 or pcm.dtype.kind != "f" or len(pcm) == 0:
        return False
    return bool(np.abs(pcm).max() <= _LOUDEST)  # NaN is not


def are_windows(windows: Iterable[Window]) -> bool:
    """Whether each is sound of 3 s at most: a network would pass over the rest, and answer as if it had heard it."""
    return all(
        are_sound(window.pcm)
        and (np.shape(window.before) == (0,) or are_sound(window.before))
        and len(window.before) + len(window.pcm) <= WINDOW_SAMPLES
        for window in windows
    )


def checked(pcm: Any) -> Pcm:
    """`pcm` as an array of float32; there may be no sample in it. Raises InvalidSamples."""
    samples = np.asarray(pcm)
    if samples.ndim != 1:
        raise refusal("not_mono")
    if len(samples) and not are_sound(samples):
        finite = samples.dtype.kind != "f" or np.isfinite(samples).all()
        raise refusal("not_full_scale" if finite else "not_finite")
    return np.asarray(samples, np.float32)

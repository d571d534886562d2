"""Standardising and batching a window's features, as the weights were trained.

Kept apart from the front end because an encoder may stand between the two.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ser_engine.errors import ModelError
from ser_engine.features import Features, FeatureSettings

Batch = NDArray[np.float32]
"""Shape ``(batch, frames, dims)``."""
Lengths = NDArray[np.int32]
"""Shape ``(batch,)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaler:
    """Mean and standard deviation of each feature; both have shape ``(dims,)``, float32."""

    mean: Features
    scale: Features

    @property
    def dims(self) -> int:
        return len(self.mean)

    @classmethod
    def identity(cls, dims: int) -> Scaler:
        return cls(mean=np.zeros(dims, dtype=np.float32), scale=np.ones(dims, dtype=np.float32))

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Standardise the last axis."""
        return np.asarray((features - self.mean) / self.scale, dtype=np.float32)

    def to_json(self) -> str:
        """The content of ``scaler.json``; each number reads back to the same float32."""
        numbers = {"mean": [float(str(x)) for x in self.mean], "scale": [float(str(x)) for x in self.scale]}
        return json.dumps(numbers) + "\n"

    @classmethod
    def from_json(cls, data: bytes | str) -> Scaler:
        """Raises ModelError when `data` is not a scaler."""
        try:
            numbers = json.loads(data)
            return cls.checked(numbers["mean"], numbers["scale"])
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"scaler.json is not a scaler: {error}.") from error

    @classmethod
    def checked(cls, mean: Sequence[float], scale: Sequence[float]) -> Scaler:
        """Raises ModelError for numbers that cannot scale anything."""
        made = cls(mean=np.asarray(mean, dtype=np.float32), scale=np.asarray(scale, dtype=np.float32))
        if made.mean.ndim != 1 or made.mean.shape != made.scale.shape:
            raise ModelError("The scaler's mean and scale differ in length.")
        if not (np.isfinite(made.mean).all() and np.isfinite(made.scale).all() and (made.scale > 0).all()):
            raise ModelError("The scaler holds numbers that are not finite, or a scale that is not positive.")
        return made


def collate(clips: Sequence[Features], scaler: Scaler, settings: FeatureSettings) -> tuple[Batch, Lengths]:
    """A batch for the network from features of shape ``(frames, dims)`` each, padded as `settings.padding` says.

    ``standardise_then_pad``: as long as the longest clip, zeros after each true length. ``pad_then_standardise``:
    always ``max_frames`` long, and every length says so, for the padding is part of what such a network learned.
    """
    cut = [clip[: settings.max_frames] for clip in clips]
    old_way = settings.padding == "pad_then_standardise"
    frames = settings.max_frames if old_way else max(len(clip) for clip in cut)
    batch = np.zeros((len(cut), frames, cut[0].shape[1]), dtype=np.float32)
    for row, clip in zip(batch, cut, strict=True):
        row[: len(clip)] = clip if old_way else scaler.apply(clip)
    lengths = np.asarray([frames if old_way else len(clip) for clip in cut], dtype=np.int32)
    return (scaler.apply(batch) if old_way else batch), lengths

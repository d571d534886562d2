"""How unlike the corpus that an engine's confidence was fitted on a window is: it only makes an answer less sure.

Actors in one studio are the easiest people an engine meets. What it makes of anybody else is less often right, and it
cannot know that from its own probabilities. Its pooled states can: a logistic regression on them tells other corpora,
ordinary speech and sounds from the engine's own corpus, also those that it never heard.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ser_engine.errors import ModelError
from ser_engine.models import BASELINE_NPZ

Vector = NDArray[np.float32]
NAMES = ("strange_weights", "strange_bias")
"""Of the arrays in ``baseline.npz``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strangeness:
    """A logistic regression over a window's pooled states."""

    weights: Vector
    """(2 · width,)"""
    bias: float

    @classmethod
    def from_bytes(cls, data: bytes) -> Strangeness | None:
        """From ``baseline.npz``; None where it holds none. Raises ModelError when it is something else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as kept:
                if NAMES[0] not in kept:
                    return None
                weights, bias = (np.asarray(kept[name], np.float32) for name in NAMES)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ModelError(f"{BASELINE_NPZ} does not hold the arrays of a measure of strangeness.") from error
        if weights.ndim != 1 or bias.shape != ():
            raise ModelError(f"{BASELINE_NPZ} holds arrays that do not fit one another.")
        if not (np.isfinite(weights).all() and np.isfinite(bias)):
            raise ModelError(f"{BASELINE_NPZ} holds numbers that are not finite.")
        return cls(weights=weights, bias=float(bias))

    def arrays(self) -> dict[str, Vector]:
        """For ``baseline.npz``."""
        return {NAMES[0]: np.asarray(self.weights, np.float32), NAMES[1]: np.asarray(self.bias, np.float32)}

    def of(self, pooled: NDArray[np.floating]) -> NDArray[np.float64]:
        """0 as the engine's own corpus to 1 wholly unlike it, for each row of `pooled` (…, 2 · width)."""
        score = np.asarray(pooled, np.float64) @ self.weights.astype(np.float64) + self.bias
        return np.asarray(1 / (1 + np.exp(-np.clip(score, -30, 30))))

"""From scores to honest probabilities: one temperature, and the confidence below which an answer is called unclear.

Both are fitted on speakers held out of training, and on nothing else. After Guo, Pleiss, Sun and Weinberger, "On
Calibration of Modern Neural Networks", 2017.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ser_engine.networks import softmax
from ser_engine.training.metrics import Floats, Ints

_TEMPERATURES: Final = np.geomspace(0.25, 4.0, 161)


def negative_log_likelihood(logits: Floats, truth: Ints, temperature: float) -> float:
    """Mean −log p of the true label at `temperature`. `logits` (n, labels), `truth` (n,)."""
    probabilities = softmax(logits / temperature)
    return float(-np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-12)).mean())


def fit_temperature(logits: Floats, truth: Ints) -> float:
    """The temperature between 0.25 and 4 under which the true labels are most likely, to 1.8 %."""
    losses = [negative_log_likelihood(logits, truth, float(t)) for t in _TEMPERATURES]
    return round(float(_TEMPERATURES[int(np.argmin(losses))]), 4)


def threshold_for(confidence: Floats, coverage: float) -> float:
    """The confidence that a share `coverage` of the answers reach, rounded down to a hundredth.

    Everything below it is *unclear*. `confidence` (n,), calibrated; `coverage` 0 to 1.
    """
    return float(np.floor(np.quantile(confidence, 1 - coverage) * 100) / 100)

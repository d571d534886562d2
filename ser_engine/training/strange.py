"""Learning what is strange: a logistic regression of the engine's own corpus against all else that is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from sklearn.linear_model import LogisticRegression

from ser_engine.baseline import pooled_states
from ser_engine.strangeness import Strangeness
from ser_engine.training.material import States

_SHARPNESS: Final = 1e-3
"""scikit-learn's C: small, so that nothing is strange by a single number of 768."""


def learn_strangeness(own: Sequence[States], others: Sequence[tuple[States, Sequence[int]]]) -> Strangeness:
    """`own` are views of the engine's corpus, `others` views with the rows of them that may be heard."""
    first = [pooled_states(states[k]) for states in own for k in range(len(states))]
    second = [pooled_states(states[k]) for states, rows in others for k in rows]
    x = np.stack([*first, *second]).astype(np.float64)
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-3
    strange = np.repeat([0, 1], [len(first), len(second)])
    fitted = LogisticRegression(C=_SHARPNESS, class_weight="balanced", max_iter=500).fit((x - mean) / scale, strange)
    weights = fitted.coef_[0] / scale
    return Strangeness(weights=weights.astype(np.float32), bias=float(fitted.intercept_[0] - mean @ weights))

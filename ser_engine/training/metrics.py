"""Figures, as pure functions: arrays in, numbers out.

`truth` and `decided` hold label numbers, shape (n,); `probabilities` has shape (n, labels). A label without a clip has
no recall, and means leave it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


def confusion(truth: Ints, decided: Ints, labels: int) -> Ints:
    """Counts, shape (labels, labels): a row a true label, a column a decision."""
    table = np.zeros((labels, labels), np.int64)
    np.add.at(table, (truth, decided), 1)
    return table


def recalls(table: Ints) -> Floats:
    """Share of each label's clips that were called so, from a confusion table; NaN for a label without clips."""
    totals = table.sum(axis=1)
    return np.asarray(np.where(totals > 0, np.diag(table) / np.maximum(totals, 1), np.nan))


def uar(table: Ints) -> float:
    """Unweighted average recall: the mean of the labels' recalls; a frequent label counts no more than a rare one."""
    return float(np.nanmean(recalls(table))) if table.sum() else float("nan")


def accuracy(table: Ints) -> float:
    """Share of clips called right."""
    return float(np.trace(table) / table.sum()) if table.sum() else float("nan")


def macro_f1(table: Ints) -> float:
    """Mean over the labels that occur of 2 · hits / (called so + are so)."""
    are, called = table.sum(axis=1), table.sum(axis=0)
    scores = 2 * np.diag(table) / np.maximum(are + called, 1)
    return float(scores[are > 0].mean()) if (are > 0).any() else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Answers whose confidence lies between `low` and `high`."""

    low: float
    high: float
    count: int
    confidence: float
    """Their mean confidence."""
    accuracy: float
    """How many of them were right, 0 to 1."""


def reliability(confidence: Floats, right: NDArray[np.bool_], bins: int = 10) -> list[ReliabilityBin]:
    """What a stated confidence is worth: bins of equal width over 0 to 1, those with no answer left out."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    found = []
    for k in range(bins):
        inside = place == k
        if inside.any():
            mean, hits = float(confidence[inside].mean()), float(right[inside].mean())
            found.append(
                ReliabilityBin(
                    low=k / bins, high=(k + 1) / bins, count=int(inside.sum()), confidence=mean, accuracy=hits
                )
            )
    return found


def ece(confidence: Floats, right: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error: the gap between stated confidence and accuracy, averaged over the answers.

    After Naeini, Cooper and Hauskrecht, 2015, with bins of equal width.
    """
    table = reliability(confidence, right, bins)
    total = sum(bin_.count for bin_ in table)
    return sum(bin_.count * abs(bin_.confidence - bin_.accuracy) for bin_ in table) / max(total, 1)


def risk_coverage(confidence: Floats, right: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Coverage, accuracy and threshold when only the most confident answers are given, from one answer to all: (n,)."""
    order = np.argsort(-confidence, kind="stable")
    count = np.arange(1, len(order) + 1)
    return count / max(len(order), 1), np.cumsum(right[order]) / count, np.asarray(confidence[order])


def bootstrap(
    groups: Sequence[str],
    statistic: Callable[[Ints], float],
    *,
    rounds: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Interval of `statistic` when whole groups (actors) are drawn anew with replacement, as other actors would be.

    `statistic` is given the row numbers drawn. Rounds in which it is not a number are left out. One group alone says
    nothing of others: (NaN, NaN).
    """
    names = np.array(groups)
    rows = [np.flatnonzero(names == name) for name in sorted(set(groups))]
    if len(rows) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(rounds):
        drawn = rng.integers(0, len(rows), len(rows))
        values.append(statistic(np.concatenate([rows[k] for k in drawn])))
    kept = np.array([value for value in values if np.isfinite(value)])
    if not len(kept):
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    low, high = np.quantile(kept, [tail, 1 - tail])
    return float(low), float(high)


def among(probabilities: Floats, columns: Sequence[int]) -> Floats:
    """Probabilities of the labels in `columns` given that it is one of them: (n, len(columns)), rows sum to 1."""
    part = probabilities[:, list(columns)]
    return np.asarray(part / np.maximum(part.sum(axis=1, keepdims=True), 1e-12))


def rounded(value: Any, digits: int = 4) -> Any:
    """`value` with every number in it rounded, and NaN as None, fit for JSON."""
    if isinstance(value, Mapping):
        return {key: rounded(inner, digits) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(inner, digits) for inner in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), digits) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value

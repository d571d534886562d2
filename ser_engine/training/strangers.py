"""Confidence that strangers can believe: temperatures and threshold from what networks say of whom they never heard.

The speakers held out of the engine's own corpus are the easiest strangers there are, so they only say how cautious the
engine may be; how cautious it must be, left-out corpora and ordinary speech say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ser_engine.baseline import BaselineHead, share_of
from ser_engine.models import Manifest
from ser_engine.networks import softmax
from ser_engine.training import metrics
from ser_engine.training.corpus import LABELS
from ser_engine.training.episodes import Spoken, in_calls
from ser_engine.training.finish import EVEN_ODDS
from ser_engine.training.metrics import Floats, Ints

CONTEXT: Final = 8
"""Earlier windows when the temperature in a call is chosen."""
NEUTRAL: Final = 0.6
"""Share of Neutral among them."""
OWN_ECE: Final = 0.04
"""So far may caution move the confidence from the accuracy on the engine's own corpus."""
CLEAR_ORDINARY: Final = 0.03
"""At most this share of left-out ordinary speech is called clear with an emotion, unless another is asked for."""
CLEAR_RIGHT: Final = 0.88
"""At least this share of the clear answers about any labelled group is right."""
_NEUTRAL: Final = LABELS.index("Neutral")
_TEMPERATURES: Final = np.round(np.geomspace(0.4, 2.5, 184), 4)
_SEED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a network says of speakers, or of whole corpora, that it never heard."""

    name: str
    """The group: ``judges`` of the engine's own corpus, ``further`` acted corpora, ``ordinary`` speech."""
    spoken: Spoken
    baseline: BaselineHead

    @property
    def labels(self) -> Ints:
        return self.spoken.labels

    def logits(self, earlier: int = 0) -> Floats:
        """Alone, or after so many earlier windows of the speaker."""
        if not earlier:
            return np.asarray(self.spoken.log_probabilities, np.float64)
        return in_calls(self.baseline, self.spoken, earlier=earlier, neutral=NEUTRAL, seed=_SEED)


def calibrate(manifest: Manifest, strangers: Sequence[Answered], clear_ordinary: float = CLEAR_ORDINARY) -> Manifest:
    """`manifest` with temperatures, threshold, and the figures of all `strangers`."""
    judges = next(one for one in strangers if one.name == "judges")
    alone, inside = (cautious_temperature(judges.logits(earlier), judges.labels) for earlier in (0, CONTEXT))
    threshold = cautious_threshold(strangers, alone, clear_ordinary)
    figures = {
        f"{one.name} {number}": _figures(one, {0: alone, CONTEXT: mixed(alone, inside, CONTEXT)}, threshold)
        for number, one in enumerate(strangers, start=1)
    }
    return manifest.model_copy(
        update={
            "temperature": alone,
            "context_temperature": inside,
            "unclear_below": threshold,
            "training": {**manifest.training, "strangers": metrics.rounded(figures)},
        }
    )


def mixed(alone: float, inside: float, windows: int) -> float:
    """The temperature after so many earlier windows."""
    share = share_of(windows)
    return (1 - share) * alone + share * inside


def cautious_temperature(logits: Floats, truth: Ints) -> float:
    """The highest temperature whose calibration error is still at most `OWN_ECE`; the best where none is."""
    errors = []
    for temperature in _TEMPERATURES:
        probabilities = softmax(logits / temperature)
        errors.append(metrics.ece(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth))
    good = [float(t) for t, error in zip(_TEMPERATURES, errors, strict=True) if error <= OWN_ECE]
    return max(good) if good else float(_TEMPERATURES[int(np.argmin(errors))])


def cautious_threshold(
    strangers: Sequence[Answered], temperature: float, clear_ordinary: float = CLEAR_ORDINARY
) -> float:
    """The lowest confidence, in hundredths, that keeps `clear_ordinary` and `CLEAR_RIGHT`."""
    ordinary = [softmax(one.logits() / temperature) for one in strangers if one.name == "ordinary"]
    labelled = [(softmax(one.logits() / temperature), one.labels) for one in strangers if one.name != "ordinary"]
    for hundredths in range(round(100 * EVEN_ODDS), 100):
        threshold = hundredths / 100
        quiet = not ordinary or _names_emotions(np.concatenate(ordinary), threshold) <= clear_ordinary
        if quiet and all(_right(said, labels, threshold) >= CLEAR_RIGHT for said, labels in labelled):
            return threshold
    return 0.99


def _names_emotions(said: Floats, threshold: float) -> float:
    return float(((said.max(axis=1) >= threshold) & (said.argmax(axis=1) != _NEUTRAL)).mean())


def _right(said: Floats, labels: Ints, threshold: float) -> float:
    clear = said.max(axis=1) >= threshold
    return float((said.argmax(axis=1) == labels)[clear].mean()) if clear.any() else 1.0


def _figures(one: Answered, temperatures: dict[int, float], threshold: float) -> dict[str, Any]:
    out: dict[str, Any] = {"windows": len(one.labels)}
    for earlier, temperature in temperatures.items():
        said = softmax(one.logits(earlier) / temperature)
        clear, decided = said.max(axis=1) >= threshold, said.argmax(axis=1)
        found: dict[str, Any] = {
            "clear": float(clear.mean()),
            "clear_emotion": float((clear & (decided != _NEUTRAL)).mean()),
            "neutral": float((decided == _NEUTRAL).mean()),
        }
        if one.name != "ordinary":
            table = metrics.confusion(one.labels, decided, len(LABELS))
            right = decided == one.labels
            found |= {
                "uar": metrics.uar(table),
                "recall": dict(zip(LABELS, metrics.recalls(table).tolist(), strict=True)),
                "ece": metrics.ece(said.max(axis=1), right),
                "clear_right": float(right[clear].mean()) if clear.any() else float("nan"),
            }
        out[f"after {earlier}"] = found
    return out

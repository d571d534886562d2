"""Confidence that holds for strangers: temperatures and thresholds, from the answers of networks about people whom they
never heard.

The speakers held out of the engine's own corpus decide how sure it may be of voices like that corpus's. Corpora that
were left out and ordinary speech decide how sure it may be of all others: the stranger a window is
(`ser_engine.strangeness`), the less. In a call an engine knows more the longer it has heard a voice, so the temperature
changes with the number of earlier windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from ser_engine.baseline import BaselineHead, share_of
from ser_engine.models import Manifest
from ser_engine.networks import softmax
from ser_engine.training import metrics
from ser_engine.training.corpus import LABELS
from ser_engine.training.episodes import Spoken, in_calls
from ser_engine.training.finish import EVEN_ODDS
from ser_engine.training.measure import taken_for_angry
from ser_engine.training.metrics import Floats, Ints

CONTEXTS: Final = (4, 8, 16)
"""Numbers of earlier windows for which the temperature in a call is chosen."""
SHOWN: Final = (0, 8)
"""Those for which thresholds hold and figures are kept."""
NEUTRAL: Final = 0.6
"""Share of Neutral among them."""
OWN_ECE: Final = 0.03
"""So far may caution move the confidence from the accuracy on the engine's own corpus …"""
STRANGE_ECE: Final = 0.09
"""… and so far on a corpus that was left out."""
CLEAR_ORDINARY: Final = 0.02
"""At most this share of left-out ordinary speech is called clear with an emotion, unless another is asked for."""
CLEAR_RIGHT: Final = 0.9
"""At least this share of the clear answers about any labelled group is right."""
_NEUTRAL: Final = LABELS.index("Neutral")
_EMOTIONS: Final = tuple(label for label in LABELS if label != "Neutral")
_TEMPERATURES: Final = np.round(np.geomspace(0.3, 2.5, 184), 4)
_FACTORS: Final = np.round(np.arange(2.0, 0.999, -0.02), 2)
_STEPS: Final = np.arange(round(100 * EVEN_ODDS), 100) / 100
_SEED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a network says of speakers, or of whole corpora, that it never heard."""

    name: str
    """The group: ``judges`` of the engine's own corpus, ``further`` acted corpora, ``ordinary`` speech."""
    spoken: Spoken
    baseline: BaselineHead
    strangeness: Floats
    """(windows,), by a measure that heard none of them either."""

    @property
    def labels(self) -> Ints:
        return self.spoken.labels

    def logits(self, earlier: int = 0) -> Floats:
        """Alone, or after so many earlier windows of the speaker."""
        if not earlier:
            return np.asarray(self.spoken.log_probabilities, np.float64)
        return in_calls(self.baseline, self.spoken, earlier=earlier, neutral=NEUTRAL, seed=_SEED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """What decides the confidence of an answer, and whether it is clear: the fields of a `Manifest`."""

    alone: float
    inside: float
    strange: float = 1.0
    below: float = EVEN_ODDS
    strange_emotion: float = EVEN_ODDS
    strange_neutral: float = EVEN_ODDS

    def said(self, logits: Floats, strangeness: Floats, earlier: int) -> Floats:
        """Calibrated probabilities."""
        temperature = mixed(self.alone, self.inside, earlier) * (1 + strangeness * (self.strange - 1))
        return np.asarray(softmax(logits / temperature[:, None]))

    def clear(self, said: Floats, strangeness: Floats) -> Any:
        """Which of `said` are clear."""
        others = np.where(said.argmax(axis=1) == _NEUTRAL, self.strange_neutral, self.strange_emotion)
        asked = (1 - strangeness) * self.below + strangeness * np.maximum(self.below, others)
        return said.max(axis=1) >= asked


def calibrate(
    manifest: Manifest,
    strangers: Sequence[Answered],
    clear_ordinary: float = CLEAR_ORDINARY,
    inside: float | None = None,
) -> Manifest:
    """`manifest` with temperatures, thresholds, and the figures of all `strangers`.

    `inside` is the temperature in a call where it is not to be looked for.
    """
    heard = [(one, earlier, one.logits(earlier)) for one in strangers for earlier in (0, *CONTEXTS)]
    temperatures = _temperatures(heard)
    if inside is not None:
        temperatures = replace(temperatures, inside=inside)
    found = _thresholds(temperatures, heard, clear_ordinary)
    figures = {}
    for number, one in enumerate(strangers, start=1):
        kept = figures[f"{one.name} {number}"] = _figures(one, heard, found)
        if one.name == "ordinary":  # what thresholds would do here that were chosen without it
            others = _thresholds(temperatures, [row for row in heard if row[0] is not one], clear_ordinary)
            kept["chosen without it"] = _figures(one, heard, others)["after 0"]["clear_emotion"]
    return manifest.model_copy(
        update={
            "temperature": found.alone,
            "context_temperature": found.inside,
            "unclear_below": found.below,
            "strange_temperature": found.strange,
            "strange_unclear_below": {
                **dict.fromkeys(_EMOTIONS, found.strange_emotion),
                LABELS[_NEUTRAL]: found.strange_neutral,
            },
            "training": {**manifest.training, "strangers": metrics.rounded(figures)},
        }
    )


def mixed(alone: float, inside: float, windows: int) -> float:
    """The temperature after so many earlier windows."""
    share = share_of(windows)
    return (1 - share) * alone + share * inside


Group = tuple[Answered, int, Floats]
"""Who, after how many earlier windows, and the logits."""


def _temperatures(heard: Sequence[Group]) -> Confidence:
    """Alone and in a call, and by how much more for strangers: each the highest that is not too cautious anywhere.

    Where none holds everywhere, the one that exceeds least.
    """
    own = [row for row in heard if row[0].name == "judges"]
    others = [row for row in heard if row[0].name == "further"]

    def best(tried: Iterable[Confidence], rows: Sequence[Group]) -> Confidence:
        """The first that holds, of those that become less cautious; else the least bad."""
        least, found = float("inf"), None
        for one in tried:
            excess = max((_excess(row, one) for row in rows), default=0.0)
            if excess <= 0:
                return one
            if excess < least:
                least, found = excess, one
        assert found is not None  # noqa: S101  # something is tried, and has an error
        return found

    temperatures = [float(t) for t in _TEMPERATURES[::-1]]
    alone = best((Confidence(alone=t, inside=t) for t in temperatures), [row for row in own if not row[1]])
    single = [row for row in others if not row[1]]
    strange = best((Confidence(alone=alone.alone, inside=1.0, strange=float(f)) for f in _FACTORS), single)
    rows = [row for row in (*own, *others) if row[1]]
    return best((Confidence(alone=alone.alone, inside=t, strange=strange.strange) for t in temperatures), rows)


def _excess(row: Group, confidence: Confidence) -> float:
    """By how much a calibration error is larger than allowed."""
    one, earlier, logits = row
    said = confidence.said(logits, one.strangeness, earlier)
    error = metrics.ece(said.max(axis=1), said.argmax(axis=1) == one.labels)
    return error - (OWN_ECE if one.name == "judges" else STRANGE_ECE)


def _thresholds(found: Confidence, heard: Sequence[Group], clear_ordinary: float) -> Confidence:
    """`found` with the lowest thresholds, in hundredths, that keep `CLEAR_RIGHT` and `clear_ordinary`."""

    def lowest(field: str, holds: Any) -> Confidence:
        tried = [Confidence(**{**_fields(found), field: float(step)}) for step in _STEPS]
        return next(filter(holds, tried), tried[-1])

    def right(one: Confidence, name: str, *, neutral: bool | None = None) -> bool:
        return all(_right(row, one, neutral) >= CLEAR_RIGHT for row in heard if row[0].name == name and row[1] in SHOWN)

    def quiet(one: Confidence) -> bool:
        for earlier in SHOWN:
            rows = [row for row in heard if row[0].name == "ordinary" and row[1] == earlier]
            named = [_names_emotion(row, one) for row in rows]
            if named and np.concatenate(named).mean() > clear_ordinary:
                return False
        return True

    found = lowest("below", lambda one: right(one, "judges"))
    found = lowest("strange_neutral", lambda one: right(one, "further", neutral=True))
    return lowest("strange_emotion", lambda one: quiet(one) and right(one, "further", neutral=False))


def _fields(one: Confidence) -> dict[str, float]:
    return {name: getattr(one, name) for name in one.__slots__}


def _right(row: Group, confidence: Confidence, neutral: bool | None) -> float:
    """Share of the clear answers that are right: of all, of those with Neutral, or of those with an emotion."""
    one, earlier, logits = row
    said = confidence.said(logits, one.strangeness, earlier)
    decided, clear = said.argmax(axis=1), confidence.clear(said, one.strangeness)
    if neutral is not None:
        clear &= (decided == _NEUTRAL) == neutral
    return float((decided == one.labels)[clear].mean()) if clear.any() else 1.0


def _names_emotion(row: Group, confidence: Confidence) -> Any:
    one, earlier, logits = row
    said = confidence.said(logits, one.strangeness, earlier)
    return confidence.clear(said, one.strangeness) & (said.argmax(axis=1) != _NEUTRAL)


def _figures(asked: Answered, heard: Sequence[Group], confidence: Confidence) -> dict[str, Any]:
    out: dict[str, Any] = {"windows": len(asked.labels), "strangeness": float(asked.strangeness.mean())}
    for one, earlier, logits in heard:
        if one is not asked or earlier not in SHOWN:
            continue
        said = confidence.said(logits, one.strangeness, earlier)
        decided, clear = said.argmax(axis=1), confidence.clear(said, one.strangeness)
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
                "taken_for_angry": taken_for_angry(table, LABELS),
                "ece": metrics.ece(said.max(axis=1), right),
                "clear_right": float(right[clear].mean()) if clear.any() else float("nan"),
            }
        out[f"after {earlier}"] = found
    return out

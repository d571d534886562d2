"""Several windows as one answer: for a voice message, a file, a reply. The one rule for every surface."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from ser_engine.refusals import refusal
from ser_engine.types import MIN_SPEECH_S, Prediction, Window

_CLEAR_SHARE: Final = 0.25


def summarise(pairs: Sequence[tuple[Window, Prediction]]) -> Prediction:
    """Mean of the clear windows' probabilities, weighted by their seconds of speech.

    When the clear windows hold less than a quarter of all speech (or there is none), the mean is over all windows and
    the answer is *unclear*, for the reason that most of the speech has. Raises NoSpeech without windows.
    """
    if not pairs:
        raise refusal("no_speech", seconds=MIN_SPEECH_S)
    clear = [pair for pair in pairs if not pair[1].unclear]
    relied_on = _speech_s(clear) >= _CLEAR_SHARE * _speech_s(pairs) and bool(clear)
    taken = clear if relied_on else list(pairs)
    weights = [max(window.speech_ratio * window.duration_s, 1e-9) for window, _ in taken]
    total = sum(weights)
    probabilities = {
        label: sum(w * p.probabilities[label] for w, (_, p) in zip(weights, taken, strict=True)) / total
        for label in taken[0][1].probabilities
    }
    emotion = max(probabilities, key=probabilities.__getitem__)
    return Prediction(
        probabilities=probabilities,
        emotion=emotion,
        confidence=probabilities[emotion],
        unclear=not relied_on,
        reason=None if relied_on else _main_reason(pairs),
    )


def restrict(prediction: Prediction, labels: Sequence[str]) -> Prediction:
    """`prediction` given that it is one of `labels`: their probabilities scaled to sum to 1.

    A label that the prediction does not know has none; when it knows none of them, all are even.
    """
    kept = {label: prediction.probabilities.get(label, 0.0) for label in labels}
    total = sum(kept.values())
    probabilities = {label: p / total if total > 0 else 1 / len(kept) for label, p in kept.items()}
    emotion = max(probabilities, key=probabilities.__getitem__)
    return Prediction(
        probabilities=probabilities,
        emotion=emotion,
        confidence=probabilities[emotion],
        unclear=prediction.unclear,
        reason=prediction.reason,
    )


def _speech_s(pairs: Sequence[tuple[Window, Prediction]]) -> float:
    return sum(window.speech_ratio * window.duration_s for window, _ in pairs)


def _main_reason(pairs: Sequence[tuple[Window, Prediction]]) -> str:
    held: Counter[str] = Counter()
    for window, prediction in pairs:
        if prediction.reason is not None:
            held[prediction.reason] += round(1000 * max(window.speech_ratio, 0.001) * window.duration_s)
    return held.most_common(1)[0][0]

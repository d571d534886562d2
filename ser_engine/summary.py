"""Several windows as one answer: for a voice message, a file, a reply. The one rule for every surface."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from ser_engine.refusals import refusal
from ser_engine.types import MIN_SPEECH_S, Prediction, Window

_MOST: Final = 0.5


def summarise(pairs: Sequence[tuple[Window, Prediction]]) -> Prediction:
    """Mean of the clear windows' probabilities, weighted by their seconds of speech.

    Clear only when the clear windows that agree with it hold most of the speech, and its own confidence passes the
    threshold that theirs had to pass. Otherwise *unclear*: for the reason that most of the speech has, or as ``unsure``
    where the windows contradict one another. Where the clear windows do not hold most of the speech, the mean is over
    all windows. What is no speech counts only when there is nothing else. Raises NoSpeech without windows.
    """
    if not pairs:
        raise refusal("no_speech", seconds=MIN_SPEECH_S)
    spoken = [pair for pair in pairs if pair[1].reason != "no_speech"] or list(pairs)
    clear = [pair for pair in spoken if not pair[1].unclear]
    taken = clear if _hold_most(clear, spoken) else spoken
    probabilities = _mean(taken)
    emotion = max(probabilities, key=probabilities.__getitem__)
    confidence = probabilities[emotion]
    of_it = [prediction for _, prediction in spoken if prediction.emotion == emotion]
    threshold = max(prediction.unclear_below for prediction in of_it or [prediction for _, prediction in spoken])
    agreeing = [pair for pair in clear if pair[1].emotion == emotion]
    relied_on = _hold_most(agreeing, spoken) and confidence >= threshold
    return Prediction(
        probabilities=probabilities,
        emotion=emotion,
        confidence=confidence,
        unclear=not relied_on,
        reason=None if relied_on else _main_reason(spoken),
        unclear_below=threshold,
        engine=next((prediction.engine for _, prediction in pairs if prediction.engine is not None), None),
    )


def _mean(pairs: Sequence[tuple[Window, Prediction]]) -> dict[str, float]:
    weights = [max(_speech_s([pair]), 1e-9) for pair in pairs]
    return {
        label: sum(weight * pair[1].probabilities[label] for weight, pair in zip(weights, pairs, strict=True))
        / sum(weights)
        for label in pairs[0][1].probabilities
    }


def _hold_most(some: Sequence[tuple[Window, Prediction]], of: Sequence[tuple[Window, Prediction]]) -> bool:
    return bool(some) and _speech_s(some) > _MOST * _speech_s(of)


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
        unclear_below=prediction.unclear_below,
    )


def _speech_s(pairs: Sequence[tuple[Window, Prediction]]) -> float:
    return sum(window.speech_ratio * window.duration_s for window, _ in pairs)


def _main_reason(pairs: Sequence[tuple[Window, Prediction]]) -> str:
    """``unsure`` where most windows are clear, for then they contradict one another."""
    held: Counter[str] = Counter()
    for window, prediction in pairs:
        held[prediction.reason or "unsure"] += round(1000 * max(window.speech_ratio, 0.001) * window.duration_s)
    return held.most_common(1)[0][0]

"""A conversation that was never held, as stored windows: for pictures of the pages, and for measuring them.

Pure and seeded. One person has the floor at a time and now and then another cuts in; everybody mostly sounds neutral,
with stretches of another tone; about a third of the windows are unclear, as with the served model.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Final

from storage.records import WindowRecord

WINDOW_S: Final = 3.0
MIN_WINDOW_S: Final = 0.8
UNSURE_BELOW: Final = 0.46
_TONES: Final = (("Happy", 0.45), ("Angry", 0.25), ("Sad", 0.2), ("Disgust", 0.1))


class _Voice:
    """How one person sounds: neutral, with stretches of another tone."""

    def __init__(self, rng: random.Random, labels: Sequence[str]) -> None:
        self._rng = rng
        self._labels = labels
        self._usual = "Neutral" if "Neutral" in labels else labels[0]
        self._tone = self._usual
        self._until_s = rng.expovariate(1 / 150)

    def window(self, participant_id: int, start_s: float, end_s: float) -> WindowRecord:
        rng = self._rng
        if start_s >= self._until_s:
            calm = self._tone != self._usual
            tones = [(tone, weight) for tone, weight in _TONES if tone in self._labels] or [(self._usual, 1.0)]
            self._tone = self._usual if calm else rng.choices(*zip(*tones, strict=True))[0]
            self._until_s = start_s + rng.expovariate(1 / (240 if calm else 50)) + 8
        scores = {label: rng.gauss(0.0, 0.9) + (2.3 if label == self._tone else 0.0) for label in self._labels}
        total = sum(map(math.exp, scores.values()))
        probabilities = {label: math.exp(score) / total for label, score in scores.items()}
        emotion = max(probabilities, key=probabilities.__getitem__)
        reason = "unsure" if probabilities[emotion] < UNSURE_BELOW else None
        if end_s - start_s < 1.2 and rng.random() < 0.4:
            reason = "too_short"
        return WindowRecord(
            participant_id=participant_id,
            start_s=round(start_s, 2),
            end_s=round(end_s, 2),
            speech_ratio=round(rng.uniform(0.65, 1.0), 3),
            gap_ratio=0.0,
            emotion=emotion,
            confidence=probabilities[emotion],
            unclear=reason is not None,
            reason=reason,
            probabilities=probabilities,
        )


def talk(
    people: Sequence[int], labels: Sequence[str], *, seconds: float, seed: int = 15, crowded: bool = False
) -> list[WindowRecord]:
    """The windows of a conversation, in order of their start. `people` are participant ids.

    `crowded`: everybody talks most of the time, at once; for measuring, not for looking at.
    """
    rng = random.Random(seed)  # noqa: S311  # an invented talk, not a secret
    voices = {person: _Voice(rng, labels) for person in people}
    busy_until = dict.fromkeys(people, 0.0)
    eager = {person: rng.uniform(0.4, 1.6) for person in people}
    found: list[WindowRecord] = []

    def turn(person: int, at_s: float) -> float:
        start_s = max(at_s, busy_until[person])
        end_s = min(seconds, start_s + rng.lognormvariate(1.9, 0.8))
        while end_s - start_s >= MIN_WINDOW_S:
            found.append(voices[person].window(person, start_s, min(end_s, start_s + WINDOW_S)))
            start_s = min(end_s, start_s + WINDOW_S)
        busy_until[person] = end_s + 0.3
        return end_s

    if crowded:
        for person in people:
            at_s = rng.uniform(0, 5)
            while at_s < seconds:
                at_s = turn(person, at_s) + rng.expovariate(1 / 4.0)
    at_s, last = rng.uniform(0.5, 2), None
    while at_s < seconds and not crowded:
        others = [person for person in people if person != last] or list(people)
        last = rng.choices(others, [eager[person] for person in others])[0]
        end_s = turn(last, at_s)
        if len(others) > 1 and rng.random() < 0.15:
            turn(rng.choice([person for person in others if person != last]), at_s + (end_s - at_s) * rng.random())
        at_s = end_s + (rng.expovariate(1 / 1.2) if rng.random() < 0.93 else rng.uniform(8, 40))
    return sorted(found, key=lambda window: (window.start_s, window.participant_id))

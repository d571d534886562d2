"""Learning to compare: the head that hears a window beside what its speaker said earlier.

An episode is a window and up to sixteen earlier ones of the same speaker, as a call would bring them: mostly neutral,
in a share drawn anew each time. What the engine makes of them is there already (`Spoken`), so an epoch costs seconds.
The inputs, and how the head's answer is mixed with the engine's own, are those of `ser_engine.baseline`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ser_engine.baseline import MOST_COUNTED, BaselineHead, Context, WindowOutput, baseline_inputs
from ser_engine.training.corpus import LABELS
from ser_engine.training.finetune import Cycle
from ser_engine.training.metrics import Floats, Ints
from ser_engine.training.recipes import Progress

_NEUTRAL = LABELS.index("Neutral")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeSettings:
    """How the comparing head is made."""

    units: int = 48
    dropout: float = 0.3
    epochs: int = 8
    rate: float = 1e-3
    weight_decay: float = 1e-2
    batch: int = 64
    neutral_beta: tuple[float, float] = (3.0, 1.5)
    """The share of Neutral among the earlier windows is drawn from this beta distribution."""
    speech_weight: float = 1.0
    """Weight of ordinary speech beside the labelled recordings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What the engine makes of some windows, and who spoke them. Arrays have a row a window."""

    pooled: Floats
    log_probabilities: Floats
    speakers: tuple[str, ...]
    labels: Ints
    """Number of the label; −1 for ordinary speech."""

    def heard(self, row: int) -> WindowOutput:
        return WindowOutput(gated=None, log_probabilities=self.log_probabilities[row], pooled=self.pooled[row])


class Calls:
    """Draws the earlier windows of a speaker."""

    def __init__(self, spoken: Spoken, other: Spoken | None = None) -> None:
        """`other` is another view of the same windows, which the earlier ones are taken from."""
        self.spoken = other or spoken
        rows: dict[str, list[int]] = {}
        for row, speaker in enumerate(spoken.speakers):
            rows.setdefault(speaker, []).append(row)
        self._rows = {speaker: np.array(found) for speaker, found in rows.items()}

    def earlier(self, row: int, count: int, neutral: float, rng: np.random.Generator) -> list[int]:
        """At most `count` other windows of the speaker of `row`, none twice; a share `neutral` of them Neutral."""
        others = self._rows[self.spoken.speakers[row]]
        others = rng.permutation(others[others != row])
        labels = self.spoken.labels[others]
        by_label = {int(label): list(others[labels == label]) for label in np.unique(labels)}
        feelings = [label for label in by_label if label != _NEUTRAL]
        chosen: list[int] = []
        for _ in range(min(count, len(others))):
            calm = rng.random() < neutral or not any(by_label[label] for label in feelings)
            label = _NEUTRAL if calm else int(rng.choice([one for one in feelings if by_label[one]]))
            if not by_label.get(label):
                label = next(one for one in by_label if by_label[one])
            chosen.append(int(by_label[label].pop()))
        return chosen

    def context(self, rows: Sequence[int]) -> Context:
        """What a baseline of the windows `rows` says."""
        return Context(
            windows=len(rows),
            log_probabilities=self.spoken.log_probabilities[rows].mean(axis=0),
            pooled=self.spoken.pooled[rows].mean(axis=0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """Windows to learn from."""

    spoken: Spoken
    targets: Floats
    weight: float = 1.0
    earlier: Spoken | None = None
    """The view of the same windows that the earlier ones are taken from; None: `spoken` itself."""


def learn_to_compare(
    lessons: Sequence[Lesson], settings: EpisodeSettings, *, seed: int, progress: Progress
) -> tuple[Any, BaselineHead]:
    """The comparing head, as Keras network (inputs → probabilities) and as arrays."""
    rng = np.random.default_rng([seed, 43])
    progress.stage("calls", sum(len(lesson.targets) for lesson in lessons))
    inputs, targets, weights = [], [], []
    for lesson in lessons:
        calls = Calls(lesson.spoken, lesson.earlier)
        for row in range(len(lesson.targets)):
            neutral = float(rng.beta(*settings.neutral_beta))
            earlier = calls.earlier(row, int(rng.integers(1, MOST_COUNTED + 1)), neutral, rng)
            progress.advance()
            if earlier:
                context = calls.context(earlier)
                means = (context.pooled, context.log_probabilities, context.windows)
                inputs.append(baseline_inputs(lesson.spoken.pooled[row], *means))
                targets.append(lesson.targets[row])
                weights.append(lesson.weight)
    x = np.stack(inputs)
    scale = np.maximum(x.std(axis=0), 1e-3)
    keras.utils.set_random_seed(seed)
    network = build(x.shape[1], settings)
    steps = settings.epochs * -(-len(x) // settings.batch)
    rate = Cycle(rate=settings.rate, steps=steps, warm=100).schedule()
    network.compile(keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay), "categorical_crossentropy")
    progress.stage("comparing", settings.epochs)
    network.fit(
        *(x / scale, np.stack(targets).astype(np.float32)),
        sample_weight=np.array(weights, np.float32),
        batch_size=settings.batch,
        epochs=settings.epochs,
        verbose=0,
    )
    w1, b1, w2, b2 = network.get_weights()
    network.set_weights([w1 / scale[:, None], b1, w2, b2])  # it takes what is served, not what was scaled
    return network, head_of(network)


def build(inputs: int, settings: EpisodeSettings) -> Any:
    """Inputs of `baseline_inputs` → probabilities."""
    layers = keras.layers
    given = keras.Input((inputs,), name="compared")
    x = layers.Dropout(0.1, name="dropout_in")(given)
    x = layers.Dense(settings.units, activation="relu", name="hidden")(x)
    x = layers.Dropout(settings.dropout, name="dropout")(x)
    return keras.Model(given, layers.Dense(len(LABELS), activation="softmax", name="emotion")(x), name="baseline")


def head_of(network: Any) -> BaselineHead:
    """The arrays of a network of `build`."""
    w1, b1, w2, b2 = (np.asarray(array, np.float32) for array in network.get_weights())
    return BaselineHead(hidden=(w1, b1), output=(w2, b2))


def in_calls(
    head: BaselineHead,
    spoken: Spoken,
    *,
    earlier: int,
    neutral: float,
    seed: int,
    count: int | None = None,
    other: Spoken | None = None,
) -> Floats:
    """Logits of the first `count` windows after `earlier` others of their speaker, a share `neutral` of them Neutral.

    The engine's own where the speaker has said nothing else. The earlier ones are of the view `other`, if given.
    """
    calls, rng = Calls(spoken, other), np.random.default_rng([seed, earlier])
    said = np.array(spoken.log_probabilities[:count], np.float64)
    for row in range(len(said)):
        rows = calls.earlier(row, earlier, neutral, rng)
        if rows:
            said[row] = head.log_probabilities(spoken.heard(row), calls.context(rows))
    return said

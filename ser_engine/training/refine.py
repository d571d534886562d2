"""Teaching a finished engine what the world beyond its corpus sounds like.

The encoder stays as it was trained. The head behind it goes on learning from what the encoder makes of several acted
corpora, of ordinary speech and of sounds without speech; then a second, small head learns to compare a window with its
speaker's earlier ones (`episodes`). Ordinary speech has no hard label: half of its target is the engine's own answer
made softer, half lies between Neutral and every label alike. What nobody said as a sentence gets every label alike.

It is done three times. Twice whole corpora are left out, and what those networks say of them decides temperature and
threshold (`strangers`); the third time everything is in, and that engine is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from ser_engine.features import Features
from ser_engine.networks import logarithms, softmax
from ser_engine.training.corpus import LABELS
from ser_engine.training.finetune import Cycle
from ser_engine.training.loop import seed_dropout
from ser_engine.training.material import AS_RECORDED, States
from ser_engine.training.metrics import Floats
from ser_engine.training.recipes import Progress

_LENGTHS: Final = (30, 40, 50, 60, 75)
"""Batches are padded to one of these numbers of steps, so that TensorFlow meets few shapes."""
_LIKE_LENGTHS: Final = 16
"""Rows are sorted by length within this many batches: little padding, still a random order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineSettings:
    """How long, how fast, and how much of what."""

    epochs: int = 3
    """0: the head stays as it is, and only what stands behind it is made."""
    head_rate: float = 3e-4
    weight_decay: float = 1e-2
    warm_steps: int = 100
    average: float = 0.995
    """Share of the running average of the weights that a step leaves as it was."""
    batch: int = 32
    as_recorded: float = 0.4
    """Share of the rows that are the recording itself; the others are augmented views."""
    votes_share: float = 0.3
    smoothing: float = 0.05
    ordinary_softness: float = 2.0
    """By how much the engine's own logits are divided in the targets of ordinary speech."""
    ordinary_neutral: float = 0.25
    """How far the other half of those targets lies from every label alike towards Neutral."""
    pairs: int = 8
    """So many recordings stand beside a batch as they were and over a call, to be answered alike."""
    consistency: float = 10.0
    """Weight of that consistency loss."""
    kept: float = 0.25
    """Share of the weights as they were before, in the weights that are written (model averaging)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some pieces with their views and targets."""

    views: tuple[States, ...]
    """As recorded first."""
    rows: tuple[int, ...]
    targets: Floats
    """(all pieces of the views, labels)."""
    times: float = 1.0
    """How often each row comes in an epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Recordings as they were, and the same over a call."""

    before: States
    after: States
    rows: tuple[tuple[int, int], ...]
    """Where a recording lies in `before`, and where in `after`."""

    def draw(self, count: int, rng: np.random.Generator) -> list[Features]:
        """`count` recordings as they were, then the same over a call."""
        chosen = [self.rows[int(k)] for k in rng.integers(0, len(self.rows), count)]
        return [*(self.before[one] for one, _ in chosen), *(self.after[other] for _, other in chosen)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    states: States
    piece: int
    target: Floats

    @property
    def steps(self) -> int:
        return int(self.states.starts[self.piece + 1] - self.states.starts[self.piece])


def refine(
    head: Any, parts: Sequence[Part], pairs: Pairs, settings: RefineSettings, *, seed: int, progress: Progress
) -> list[float]:
    """Train `head` (states → probabilities) further and leave it with averaged weights; returns each epoch's loss."""
    before = head.get_weights()
    rng = np.random.default_rng([seed, 41])
    steps = len(_rows(parts, settings, np.random.default_rng(seed))) // settings.batch
    tuner = _Tuner(head, settings, steps)
    losses = []
    for epoch in range(settings.epochs):
        seed_dropout(head, seed, epoch)
        batches = _batches(_rows(parts, settings, rng), steps, settings.batch, rng)
        progress.stage(f"epoch {epoch + 1} of {settings.epochs}", len(batches))
        total = 0.0
        for batch in batches:
            states = pad_states([row.states[row.piece] for row in batch])
            alike = pad_states(pairs.draw(settings.pairs, rng))
            total += tuner.step(states, np.stack([row.target for row in batch]).astype(np.float32), alike)
            progress.advance()
        losses.append(round(total / len(batches), 4))
        progress.note(f"epoch {epoch + 1}: loss {losses[-1]:.3f}")
    after = tuner.averaged()
    head.set_weights([settings.kept * old + (1 - settings.kept) * new for old, new in zip(before, after, strict=True)])
    return losses


class _Tuner:
    """One optimiser over a head, and the running average of its weights."""

    def __init__(self, head: Any, settings: RefineSettings, steps: int) -> None:
        self._head, self._average, self._consistency = head, settings.average, settings.consistency
        cycle = Cycle(rate=settings.head_rate, steps=steps * settings.epochs, warm=settings.warm_steps)
        self._optimiser = keras.optimizers.AdamW(cycle.schedule(), weight_decay=settings.weight_decay, clipnorm=1.0)
        self._optimiser.build(head.trainable_variables)
        self._averages = [tf.Variable(variable, trainable=False) for variable in head.trainable_variables]
        self._call = tf.function(self._step, reduce_retracing=True)

    def step(self, states: Features, targets: Floats, alike: Features) -> float:
        return float(self._call(tf.constant(states), tf.constant(targets), tf.constant(alike)))

    def averaged(self) -> list[Floats]:
        return [average.numpy() for average in self._averages]

    def _step(self, states: Any, targets: Any, alike: Any) -> Any:
        weights = self._head.trainable_variables
        with tf.GradientTape() as tape:
            said = self._head(states, training=True)
            loss = tf.reduce_mean(keras.losses.categorical_crossentropy(targets, said))
            one, other = tf.split(self._head(alike, training=False), 2)
            loss += self._consistency * tf.reduce_mean(_apart(one, other))
        self._optimiser.apply(tape.gradient(loss, weights), weights)
        done = tf.cast(self._optimiser.iterations, tf.float32)
        keep = tf.minimum(self._average, done / (done + 20.0))
        for average, variable in zip(self._averages, weights, strict=True):
            average.assign(keep * average + (1 - keep) * variable)
        return loss


def _apart(one: Any, other: Any) -> Any:
    """Half of the symmetric Kullback-Leibler divergence plus the squared distance; (n, labels) each → (n,)."""
    one, other = tf.maximum(one, 1e-6), tf.maximum(other, 1e-6)
    difference = one - other
    logarithms_apart = tf.math.log(one) - tf.math.log(other)
    return tf.reduce_sum(difference * logarithms_apart / 2 + tf.square(difference), axis=-1)


def answering(head: Any) -> Any:
    """`head` as a function of batches of any length, compiled once: (batch, steps, width) → probabilities."""
    any_length = tf.TensorSpec([None, None, head.input_shape[-1]], tf.float32)
    return tf.function(lambda batch: head(batch, training=False), input_signature=[any_length])


def head_logits(answer: Any, states: States) -> Floats:
    """Logarithms of what `answer` (see `answering`) says of every piece of a view, (pieces, labels)."""
    out = np.zeros((len(states), len(LABELS)))
    order = np.argsort(np.diff(states.starts), kind="stable")
    for start in range(0, len(order), 32):
        chosen = [int(k) for k in order[start : start + 32]]
        out[chosen] = answer(tf.constant(pad_states([states[k] for k in chosen]))).numpy()
    return logarithms(out).astype(np.float64)


def ordinary_targets(logits: Floats, settings: RefineSettings) -> Floats:
    """Of ordinary speech, from the engine's own `logits` about it: (pieces, labels)."""
    labels = len(LABELS)
    leaning = np.full(labels, (1 - settings.ordinary_neutral) / labels)
    leaning[LABELS.index("Neutral")] += settings.ordinary_neutral
    return np.asarray(0.5 * softmax(logits / settings.ordinary_softness) + 0.5 * leaning)


def pad_states(rows: Sequence[Features]) -> Features:
    """One batch, zeros after each row's end."""
    longest = max(map(len, rows))
    out = np.zeros((len(rows), next(n for n in _LENGTHS if n >= longest), rows[0].shape[1]), np.float32)
    for place, row in zip(out, rows, strict=True):
        place[: len(row)] = row
    return out


def _rows(parts: Sequence[Part], settings: RefineSettings, rng: np.random.Generator) -> list[_Row]:
    rows = []
    for part in parts:
        for piece in part.rows:
            for _ in range(int(part.times + rng.random())):
                view = AS_RECORDED
                if len(part.views) > 1 and rng.random() >= settings.as_recorded:
                    view = int(rng.integers(1, len(part.views)))
                rows.append(_Row(states=part.views[view], piece=piece, target=part.targets[piece]))
    return rows


def _batches(rows: Sequence[_Row], steps: int, size: int, rng: np.random.Generator) -> list[list[_Row]]:
    order = [rows[int(k)] for k in rng.permutation(len(rows))[: steps * size]]
    batches = []
    for start in range(0, len(order), size * _LIKE_LENGTHS):
        chunk = sorted(order[start : start + size * _LIKE_LENGTHS], key=lambda row: row.steps)
        batches += [chunk[k : k + size] for k in range(0, len(chunk) - size + 1, size)]
    return [batches[int(k)] for k in rng.permutation(len(batches))]

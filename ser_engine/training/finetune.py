"""The loop that trains an encoder and the head behind it together, each at its own rate.

An epoch depends on the seed, its number and what the epoch before it left, and on nothing else. So a training that was
interrupted and goes on ends where an uninterrupted one does. No epoch is chosen: the rate falls to nothing, and what is
kept is a running average of the weights (model averaging). Where the rate rises again for further cycles, the averages
at the ends of all cycles are averaged (Izmailov et al., "Averaging Weights Leads to Wider Optima and Better
Generalization", 2018).
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ser_engine.errors import CorpusError
from ser_engine.features import Features
from ser_engine.training.loop import seed_dropout
from ser_engine.training.metrics import Floats
from ser_engine.training.recipes import Progress

_CHECKPOINT: Final = "checkpoint.npz"
_LENGTHS: Final = (120, 160, 200, 240, 300)
"""Batches are padded to one of these, so that TensorFlow meets few shapes."""
_BANDS: Final = 80
"""Of Whisper's log-mel."""
_LIKE_LENGTHS: Final = 16
"""Clips are sorted by length within this many batches: little padding, still a random order."""

Draw = Callable[[int, np.random.Generator], Sequence[Features]]
"""Epoch number and its generator → a view of each training clip, in the clips' order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuneSettings:
    """How long, how fast, and how much of it is noise."""

    epochs: int
    cycles: int = 1
    """How often the rate rises and falls; the first time over `epochs`."""
    later_epochs: int = 6
    """Epochs of each cycle after the first."""
    later_share: float = 0.5
    """The later cycles' highest rates, as a share of the first's."""
    batch: int = 32
    no_speech: int = 2
    """How many windows of a batch are no speech at all; their target is every label alike."""
    encoder_rate: float = 5e-5
    head_rate: float = 1e-3
    weight_decay: float = 1e-2
    warm_steps: int = 150
    average: float = 0.995
    """Share of the running average that a step leaves as it was."""
    masked_bands: int = 14
    masked_frames: int = 25
    """In half of the windows fewer than so many bands (frames) in a row are flattened (SpecAugment); 0: none."""

    def __post_init__(self) -> None:
        if not 0 <= self.no_speech < self.batch:
            raise CorpusError("no_speech must be 0 at least, and less than batch.")
        if self.masked_bands not in (0, *range(2, _BANDS + 1)) or self.masked_frames not in (
            0,
            *range(2, _LENGTHS[-1]),
        ):
            raise CorpusError(f"masked_bands must be 0, or 2 to {_BANDS}; masked_frames 0, or 2 to {_LENGTHS[-1] - 1}.")
        if self.cycles > 1 and self.later_epochs < 1:
            raise CorpusError("later_epochs must be 1 at least where there are later cycles.")

    @property
    def ends(self) -> list[int]:
        """Epochs done at the end of each cycle."""
        return [self.epochs + k * self.later_epochs for k in range(self.cycles)]

    def cycle_of(self, epoch: int) -> tuple[int, int]:
        """Number of the cycle that `epoch` belongs to, and of the epoch within it; all count from 0."""
        cycle = bisect_right(self.ends, epoch)
        return cycle, epoch - (self.ends[cycle - 1] if cycle else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """A rate that rises over `warm` steps and falls by half a cosine to a hundredth."""

    rate: float
    steps: int
    warm: int

    def schedule(self) -> Any:
        warm = self.warm if self.steps > 2 * self.warm else self.steps // 4
        return keras.optimizers.schedules.CosineDecay(
            self.rate * 0.05, max(1, self.steps - warm), warmup_target=self.rate, warmup_steps=warm, alpha=0.01
        )


class Cycles(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # keras ships no types
    """One cycle of learning rates after another."""

    def __init__(self, cycles: Sequence[Cycle]) -> None:
        super().__init__()
        self.parts = [(cycle.steps, cycle.schedule()) for cycle in cycles]

    def __call__(self, step: Any) -> Any:
        begins, (_, schedule) = 0, self.parts[0]
        rate = schedule(step)
        for (length, _), (_, following) in pairwise(self.parts):
            begins += length
            rate = tf.where(step < begins, rate, following(tf.maximum(step - begins, 0)))
        return rate


@dataclass(slots=True, kw_only=True)
class FineTuner:
    """An encoder (mel, lengths → states), a head (states → probabilities), and the averages of their weights."""

    encoder: Any
    head: Any
    settings: FineTuneSettings
    steps: int
    """Steps of one epoch."""
    averages: list[Any] = field(init=False)
    ends: list[Any] = field(init=False)
    """The mean of the averages at the ends of the cycles so far."""
    optimisers: tuple[Any, Any] = field(init=False)
    _step: Any = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.averages = [tf.Variable(variable, trainable=False) for variable in self.weights]
        self.ends = [tf.Variable(average, trainable=False) for average in self.averages]
        self.optimisers = (self._optimiser(settings.encoder_rate), self._optimiser(settings.head_rate))
        self.optimisers[0].build(self.encoder.trainable_variables)
        self.optimisers[1].build(self.head.trainable_variables)
        self._step = tf.function(self._train_step, reduce_retracing=False)

    @property
    def weights(self) -> list[Any]:
        return [*self.encoder.trainable_variables, *self.head.trainable_variables]

    def step(self, mel: NDArray[np.float32], lengths: NDArray[np.int32], targets: Floats) -> float:
        """One step on a batch; returns its loss."""
        loss = self._step(tf.constant(mel), tf.constant(lengths), tf.constant(targets, tf.float32))
        return float(loss)

    def end_cycle(self, number: int) -> None:
        """Take the averages as they are now into the mean of the cycles' ends; `number` counts from 1."""
        for mean, average in zip(self.ends, self.averages, strict=True):
            mean.assign(mean + (average - mean) / number)

    def use_averages(self) -> None:
        """Put the mean of the cycles' ends in place of the weights. Training does not go on after this."""
        for variable, mean in zip(self.weights, self.ends, strict=True):
            variable.assign(mean)

    def save(self, path: Path, epochs: int, losses: Sequence[float], key: str) -> None:
        about = json.dumps({"key": key, "epochs": epochs, "losses": list(losses)})
        arrays: dict[str, Any] = {f"a{k}": np.asarray(value) for k, value in enumerate(self._state())}
        arrays["about"] = np.frombuffer(about.encode(), np.uint8)
        draft = path.with_name("draft.npz")
        np.savez(draft, **arrays)
        draft.replace(path)

    def restore(self, path: Path, key: str) -> tuple[int, list[float]]:
        """Epochs done and their losses; (0, []) when there is no checkpoint of this very training."""
        if not path.is_file():
            return 0, []
        with np.load(path) as kept:
            about = json.loads(bytes(kept["about"]))
            if about["key"] != key:
                return 0, []
            for k, variable in enumerate(self._state()):
                variable.assign(kept[f"a{k}"])
        return int(about["epochs"]), [float(loss) for loss in about["losses"]]

    def _state(self) -> list[Any]:
        return [
            *self.weights,
            *self.averages,
            *self.optimisers[0].variables,
            *self.optimisers[1].variables,
            *self.ends,
        ]

    def _optimiser(self, rate: float) -> Any:
        settings = self.settings
        cycles = [Cycle(rate=rate, steps=self.steps * settings.epochs, warm=settings.warm_steps)]
        later = Cycle(
            rate=rate * settings.later_share, steps=self.steps * settings.later_epochs, warm=settings.warm_steps
        )
        cycles += [later] * (settings.cycles - 1)
        return keras.optimizers.AdamW(Cycles(cycles), weight_decay=settings.weight_decay, clipnorm=1.0)

    def _train_step(self, mel: Any, lengths: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            said = self.head(self.encoder(mel, lengths, training=True), training=True)
            loss = tf.reduce_mean(keras.losses.categorical_crossentropy(targets, said))
        encoder, head = self.encoder.trainable_variables, self.head.trainable_variables
        gradients = tape.gradient(loss, [*encoder, *head])
        self.optimisers[0].apply(gradients[: len(encoder)], encoder)
        self.optimisers[1].apply(gradients[len(encoder) :], head)
        done = tf.cast(self.optimisers[1].iterations, tf.float32)
        keep = tf.minimum(self.settings.average, done / (done + 20.0))
        for average, variable in zip(self.averages, self.weights, strict=True):
            average.assign(keep * average + (1 - keep) * variable)
        return loss


def fine_tune(
    tuner: FineTuner,
    draw: Draw,
    targets: Floats,
    no_speech: Sequence[Features],
    *,
    seed: int,
    key: str,
    work: Path,
    progress: Progress,
) -> list[float]:
    """Train to the end and leave `tuner` with the averaged weights; returns each epoch's loss.

    `targets` has shape (clips, labels); `no_speech` are features of what is no speech; `key` names corpus and recipe.
    """
    settings = tuner.settings
    checkpoint = work / _CHECKPOINT
    done, losses = tuner.restore(checkpoint, key)
    if done:
        progress.note(f"going on after epoch {done}")
    ends = settings.ends
    for epoch in range(done, ends[-1]):
        rng = np.random.default_rng([seed, 1, epoch])
        seed_dropout(tuner.head, seed, epoch)
        drawn = draw(epoch, rng)
        batches = _batches([len(clip) for clip in drawn], settings.batch - settings.no_speech, rng)
        progress.stage(f"epoch {epoch + 1} of {ends[-1]}", len(batches))
        total = 0.0
        for chosen in batches:
            others = [no_speech[int(k)] for k in rng.integers(0, len(no_speech), settings.no_speech)]
            rows = [*(drawn[k] for k in chosen), *others]
            mel, lengths = pad([_masked(row, settings, rng) for row in rows])
            wanted = np.full((len(chosen) + len(others), targets.shape[1]), 1 / targets.shape[1], np.float32)
            wanted[: len(chosen)] = targets[chosen]
            total += tuner.step(mel, lengths, wanted)
            progress.advance()
        if epoch + 1 in ends:
            tuner.end_cycle(ends.index(epoch + 1) + 1)
        losses.append(round(total / len(batches), 4))
        tuner.save(checkpoint, epoch + 1, losses, key)
        progress.note(f"epoch {epoch + 1}: loss {losses[-1]:.3f}")
    tuner.use_averages()
    return losses


def steps_for(clips: int, settings: FineTuneSettings) -> int:
    """Steps of an epoch; its last batch is left out when it is smaller."""
    return max(1, clips // (settings.batch - settings.no_speech))


def pad(clips: Sequence[Features]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """One batch with zeros after each clip's end, and the true lengths. Raises ValueError beyond 300 frames."""
    longest = max(map(len, clips))
    if longest > _LENGTHS[-1]:
        raise ValueError(f"a window of {longest} frames is longer than {_LENGTHS[-1]}")
    frames = next(length for length in _LENGTHS if length >= longest)
    out = np.zeros((len(clips), frames, clips[0].shape[1]), np.float32)
    for row, clip in zip(out, clips, strict=True):
        row[: len(clip)] = clip
    return out, np.array([len(clip) for clip in clips], np.int32)


def _batches(lengths: Sequence[int], size: int, rng: np.random.Generator) -> list[list[int]]:
    order = [int(k) for k in rng.permutation(len(lengths))][: max(1, len(lengths) // size) * size]
    batches = []
    for start in range(0, len(order), size * _LIKE_LENGTHS):
        chunk = sorted(order[start : start + size * _LIKE_LENGTHS], key=lambda k: lengths[k])
        batches += [chunk[k : k + size] for k in range(0, len(chunk), size)]
    return [batches[int(k)] for k in rng.permutation(len(batches))]


def _masked(clip: Features, settings: FineTuneSettings, rng: np.random.Generator) -> Features:
    out = clip.copy()
    if settings.masked_bands and rng.random() < 0.5:
        width = int(rng.integers(1, settings.masked_bands))
        start = int(rng.integers(0, clip.shape[1] - width))
        out[:, start : start + width] = clip.mean()
    if settings.masked_frames and rng.random() < 0.5:
        width = int(rng.integers(1, settings.masked_frames))
        start = int(rng.integers(0, max(1, len(clip) - width)))
        out[start : start + width] = clip.min()
    return out

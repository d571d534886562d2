"""The loop that trains a Keras network on sequences: batches of like lengths, a cosine of learning rates, checkpoints.

An epoch is a pure function of the seed, its number, and what the epoch before it left (weights and optimiser), so a
training that was interrupted and goes on ends in the same bytes as one that was not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from ser_engine.errors import CorpusError
from ser_engine.features import Features
from ser_engine.networks import logarithms
from ser_engine.training.calibrate import fit_temperature, negative_log_likelihood
from ser_engine.training.metrics import Floats, Ints, confusion, uar
from ser_engine.training.recipes import Progress

_STATE: Final = "state.json"
_PAD_TO: Final = 32
"""Batches are padded to a multiple of this, so that TensorFlow meets few shapes."""
_LIKE_LENGTHS: Final = 10
"""Clips are sorted by length within this many batches: little padding, still a random order."""

Draw = Callable[[int, np.random.Generator], list[Features]]
"""Epoch number and its generator → one feature array, unscaled, for each row of the targets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """How long and how fast."""

    cycles: tuple[int, ...]
    """Epochs under one cosine of learning rates, then under another that begins at half its peak, and so on."""
    averaged_epochs: int = 5
    """The weights at the ends of the last so many epochs are averaged."""
    batch: int = 64
    peak_rate: float = 2e-3
    clip_norm: float = 1.0
    weight_decay: float = 0.0
    helper_weight: float = 0.7
    """Weight of the loss of outputs beyond the first."""
    masked_frames: int = 25
    """At most this many frames in a row are replaced by their clip's mean (SpecAugment's time mask); 0: none."""

    def __post_init__(self) -> None:
        if not self.cycles or not all(isinstance(epochs, int) and epochs >= 1 for epochs in self.cycles):
            raise CorpusError(f"cycles must be whole numbers of epochs, one at least, not {list(self.cycles)}.")
        if self.averaged_epochs < 1 or self.batch < 1 or self.masked_frames < 0:
            raise CorpusError("averaged_epochs and batch must be 1 at least, and masked_frames 0.")

    @property
    def epochs(self) -> int:
        return sum(self.cycles)

    def rate(self, done: float) -> float:
        """Learning rate after `done` epochs: over each cycle linear up, then half a cosine down to 2 % of its peak."""
        begins, peak = 0, self.peak_rate
        for epochs in self.cycles[:-1]:
            if done < begins + epochs:
                return _cosine((done - begins) / epochs, peak)
            begins, peak = begins + epochs, peak / 2
        return _cosine(min(1.0, (done - begins) / self.cycles[-1]), peak)


@dataclass(slots=True, kw_only=True)
class State:
    """What is kept between epochs, beside the weights."""

    key: str
    epoch: int = 0
    """Epochs finished."""
    history: list[dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judges:
    """Held-out clips: scaled features, and their label numbers."""

    features: Sequence[Features]
    truth: Ints


def train(
    network: Any,
    draw: Draw,
    scale: Callable[[Features], Features],
    targets: Floats,
    settings: LoopSettings,
    *,
    judges: Judges | None = None,
    seed: int,
    key: str,
    work: Path,
    progress: Progress,
) -> tuple[Any, State]:
    """Train `network` and return it with the mean of its weights after each of the last epochs.

    (Izmailov et al., "Averaging Weights Leads to Wider Optima", 2018.) How it does on the `judges` is noted after each,
    and decides nothing.

    The network's outputs are probabilities; further outputs than the first only help the training
    (`LoopSettings.helper_weight`). `targets` has shape (rows, labels); `key` names corpus and recipe: a checkpoint with
    another key is not used.
    """
    state, network = _resume(network, key, work, settings, progress)
    averaged = min(settings.averaged_epochs, settings.epochs)
    while state.epoch < settings.epochs:
        epoch = state.epoch
        rng = np.random.default_rng([seed, 1, epoch])
        seed_dropout(network, seed, epoch)
        clips = [scale(one) for one in draw(epoch, rng)]
        loss = _epoch(network, clips, targets, epoch, settings, rng, progress)
        state.epoch += 1
        state.history.append({"loss": round(loss, 4), **_watched(network, judges)})
        if (count := state.epoch - (settings.epochs - averaged)) > 0:
            _average(network, count, work)
        _checkpoint(network, state, work)
        _note(f"epoch {state.epoch}", state.history[-1], progress)
    with np.load(_mean_of(work, averaged)) as kept:
        network.set_weights([kept[name] for name in kept.files])
    if figures := _watched(network, judges):
        state.history.append(figures)
        _note("their mean", figures, progress)
    return network, state


def _note(what: str, figures: Mapping[str, float], progress: Progress) -> None:
    progress.note(f"{what}: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))


def _average(network: Any, count: int, work: Path) -> None:
    """Take the present weights into the running mean, as its number `count`."""
    weights = network.get_weights()
    if count > 1:
        with np.load(_mean_of(work, count - 1)) as kept:
            weights = [kept[name] + (now - kept[name]) / count for name, now in zip(kept.files, weights, strict=True)]
    np.savez(_mean_of(work, count), *weights)


def _mean_of(work: Path, count: int) -> Path:
    return work / f"mean-of-{count}.npz"


def logits_of(network: Any, clips: Sequence[Features], batch: int = 128) -> Floats:
    """Logarithms of the network's probabilities: logits up to a constant a row, which no softmax sees. (n, labels)."""
    order = sorted(range(len(clips)), key=lambda k: len(clips[k]))
    out = np.zeros((len(clips), network.outputs[0].shape[-1]), np.float64)
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        answers = network.predict_on_batch(pad([clips[k] for k in chosen]))
        out[chosen] = answers[0] if isinstance(answers, list) else answers
    return logarithms(out).astype(np.float64)


def pad(clips: Sequence[Features]) -> NDArray[np.float32]:
    """One batch, zeros after each clip's end: (batch, frames, dims)."""
    frames = -(-max(map(len, clips)) // _PAD_TO) * _PAD_TO
    out = np.zeros((len(clips), frames, clips[0].shape[1]), np.float32)
    for row, clip in zip(out, clips, strict=True):
        row[: len(clip)] = clip
    return out


def _epoch(
    network: Any,
    clips: Sequence[Features],
    targets: Floats,
    epoch: int,
    settings: LoopSettings,
    rng: np.random.Generator,
    progress: Progress,
) -> float:
    batches = _batches([len(clip) for clip in clips], settings.batch, rng)
    progress.stage(f"epoch {epoch + 1} of {settings.epochs}", len(batches))
    total = 0.0
    for number, chosen in enumerate(batches):
        network.optimizer.learning_rate = settings.rate(epoch + number / len(batches))
        inputs = pad([_mask_time(clips[k], settings.masked_frames, rng) for k in chosen])
        losses = network.train_on_batch(inputs, [targets[chosen]] * len(network.outputs))
        total += float(np.ravel(losses)[0])
        progress.advance()
    return total / len(batches)


def _batches(lengths: Sequence[int], batch: int, rng: np.random.Generator) -> list[list[int]]:
    order = [int(k) for k in rng.permutation(len(lengths))]
    batches = []
    for start in range(0, len(order), batch * _LIKE_LENGTHS):
        chunk = sorted(order[start : start + batch * _LIKE_LENGTHS], key=lambda k: lengths[k])
        batches += [chunk[k : k + batch] for k in range(0, len(chunk), batch)]
    return [batches[int(k)] for k in rng.permutation(len(batches))]


def _cosine(done: float, peak: float, warm: float = 0.08) -> float:
    """Linear over the share `warm` of the way, then half a cosine from `peak` down to 2 % of it. `done` 0 to 1."""
    if done < warm:
        return peak * (0.1 + 0.9 * done / warm)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (done - warm) / (1 - warm))))


def _mask_time(clip: Features, most: int, rng: np.random.Generator) -> Features:
    width = int(rng.integers(0, most + 1))
    if width == 0 or len(clip) <= 2 * width:
        return clip
    start = int(rng.integers(0, len(clip) - width))
    masked = clip.copy()
    masked[start : start + width] = clip.mean(axis=0)
    return masked


def _watched(network: Any, judges: Judges | None) -> dict[str, float]:
    if judges is None:
        return {}
    logits = logits_of(network, judges.features)
    temperature = fit_temperature(logits, judges.truth)
    table = confusion(judges.truth, logits.argmax(axis=1), logits.shape[1])
    loss = negative_log_likelihood(logits, judges.truth, temperature)
    return {"held_out_loss": round(loss, 4), "held_out_uar": round(uar(table), 4)}


def seed_dropout(network: Any, seed: int, epoch: int) -> None:
    """Dropout draws from state that no checkpoint keeps; set it anew for each epoch."""
    for number, layer in enumerate(network.layers):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(np.array([(seed * 1000 + epoch) % 2**32, number], np.uint32))


def _resume(network: Any, key: str, work: Path, settings: LoopSettings, progress: Progress) -> tuple[State, Any]:
    work.mkdir(parents=True, exist_ok=True)
    optimiser = keras.optimizers.AdamW(
        settings.peak_rate, weight_decay=settings.weight_decay, global_clipnorm=settings.clip_norm
    )
    helpers = len(network.outputs) - 1
    network.compile(
        optimizer=optimiser,
        loss=["categorical_crossentropy"] * (1 + helpers),
        loss_weights=[1.0] + [settings.helper_weight] * helpers,
    )
    path = work / _STATE
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["key"] == key:
            state = State(**kept)
            progress.note(f"going on after epoch {state.epoch}")
            return state, keras.saving.load_model(_last(work, state.epoch))
        progress.note("the checkpoint belongs to another corpus or recipe: beginning anew")
    return State(key=key, history=[]), network


def _checkpoint(network: Any, state: State, work: Path) -> None:
    """The new checkpoint is whole before the state names it, and the old one goes last."""
    network.save(_last(work, state.epoch))
    draft = work / f"{_STATE}.draft"
    draft.write_text(json.dumps(asdict(state)), encoding="utf-8")
    draft.replace(work / _STATE)
    _last(work, state.epoch - 1).unlink(missing_ok=True)


def _last(work: Path, epoch: int) -> Path:
    return work / f"epoch-{epoch}.keras"

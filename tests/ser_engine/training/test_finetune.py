"""The loop that trains encoder and head together: it learns, and an interruption leaves no trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from ser_engine.training import finetune
from ser_engine.training.recipes import Silent

pytestmark = pytest.mark.integration

LABELS, BANDS, CLIPS = 3, 8, 24


class SmallEncoder(keras.Model):  # type: ignore[misc]  # keras ships no types
    """Stands where Whisper's layers stand: mel and lengths in, states out."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(6, activation="tanh")
        self(np.zeros((1, 4, BANDS), np.float32), np.array([4], np.int32))

    def call(self, mel: Any, lengths: Any, training: bool = False) -> Any:
        inside = keras.ops.arange(mel.shape[1])[None, :] < lengths[:, None]
        return keras.ops.where(inside[:, :, None], self.dense(mel), 0.0)


class Stopped(Exception):
    """The training was interrupted."""


class StopsAfter(Silent):
    """Interrupts a training once `epochs` are done."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def note(self, text: str) -> None:
        self.left -= text.startswith("epoch")
        if self.left == 0:
            raise Stopped


def a_tuner(epochs: int) -> finetune.FineTuner:
    keras.utils.set_random_seed(3)
    layers = keras.layers
    head = keras.Sequential(
        [keras.Input((None, 6)), layers.GlobalAveragePooling1D(), layers.Dropout(0.2), layers.Dense(LABELS, "softmax")]
    )
    settings = finetune.FineTuneSettings(
        epochs=epochs - epochs // 3,
        cycles=2 if epochs >= 3 else 1,
        later_epochs=epochs // 3,
        batch=10,
        no_speech=2,
        encoder_rate=1e-2,
        head_rate=3e-2,
        warm_steps=2,
        average=0.5,
        masked_bands=2,
    )
    return finetune.FineTuner(
        encoder=SmallEncoder(), head=head, settings=settings, steps=finetune.steps_for(CLIPS, settings)
    )


def material() -> tuple[list[NDArray[np.float32]], NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, LABELS, CLIPS)
    clips = [rng.standard_normal((int(n), BANDS)).astype(np.float32) for n in rng.integers(30, 120, CLIPS)]
    for clip, label in zip(clips, truth, strict=True):
        clip[:, label] += 2
    return clips, np.eye(LABELS)[truth]


def run(tuner: finetune.FineTuner, work: Path, progress: Silent | None = None, key: str = "k") -> list[float]:
    clips, targets = material()
    no_speech = [np.zeros((40, BANDS), np.float32)]
    return finetune.fine_tune(
        tuner,
        lambda epoch, rng: clips,
        targets,
        no_speech,
        seed=1,
        key=key,
        work=work,
        progress=progress or Silent(),
    )


def test_it_learns(tmp_path: Path) -> None:
    tuner = a_tuner(6)
    losses = run(tuner, tmp_path)

    clips, targets = material()
    said = np.asarray(tuner.head(tuner.encoder(*finetune.pad(clips))))
    assert losses[-1] < losses[0]
    assert (said.argmax(axis=1) == targets.argmax(axis=1)).mean() > 0.8


@pytest.mark.slow
def test_an_interrupted_training_ends_in_the_same_weights(tmp_path: Path) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    whole.mkdir()
    halves.mkdir()
    straight = a_tuner(3)
    losses = run(straight, whole)
    with pytest.raises(Stopped):
        run(a_tuner(3), halves, StopsAfter(1))
    resumed = a_tuner(3)

    assert run(resumed, halves) == losses
    for one, other in zip(straight.weights, resumed.weights, strict=True):
        assert np.array_equal(one, other)


def test_another_trainings_checkpoint_is_left_alone(tmp_path: Path) -> None:
    first = run(a_tuner(2), tmp_path, key="one corpus")

    assert run(a_tuner(2), tmp_path, key="another") == first


def test_the_rate_rises_and_falls_once_a_cycle() -> None:
    rates = finetune.Cycles([finetune.Cycle(rate=1.0, steps=100, warm=10), finetune.Cycle(rate=0.5, steps=60, warm=10)])
    course = np.array([float(rates(np.int64(step))) for step in range(160)])

    assert course.argmax() == pytest.approx(10, abs=1)
    assert course[:100].max() == pytest.approx(1.0, abs=0.01)
    assert course[100:].max() == pytest.approx(0.5, abs=0.01)
    assert course[[99, 159]].max() < 0.02


def test_every_epoch_belongs_to_one_cycle() -> None:
    settings = finetune.FineTuneSettings(epochs=3, cycles=3, later_epochs=2)
    assert settings.ends == [3, 5, 7]
    found = [settings.cycle_of(epoch) for epoch in range(7)]
    assert found == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (2, 1)]


def test_batches_hold_each_clip_at_most_once_and_like_lengths_together() -> None:
    lengths = list(np.random.default_rng(1).integers(60, 300, 100))
    batches = finetune._batches(lengths, 8, np.random.default_rng(2))

    seen = [clip for batch in batches for clip in batch]
    assert len(seen) == len(set(seen)) == 96
    spread = np.mean([np.ptp([lengths[clip] for clip in batch]) for batch in batches])
    assert spread < 0.4 * np.ptp(lengths)


def test_a_clip_longer_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="301 frames"):
        finetune.pad([np.zeros((301, BANDS), np.float32)])

"""The seed recipe's decisions, without training: targets, learning rates, batches, the network's shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ser_engine.errors import CorpusError
from ser_engine.training import loop, seed
from ser_engine.training.corpus import Clip
from ser_engine.training.recipes import Silent, TrainOptions

pytestmark = pytest.mark.integration  # TensorFlow is imported


def clip(label: str, **votes: int) -> Clip:
    return Clip(path=Path(label), speaker="1", label=label, votes=votes)


def test_targets_mix_what_was_meant_with_what_was_heard() -> None:
    rows = seed.targets(
        [clip("Happy", Happy=3, Angry=1, Neutral=6), clip("Sad"), clip("Sad", Neutral=9)], votes_share=0.3
    )
    np.testing.assert_allclose(rows[0], [0.3 * 0.25, 0.7 + 0.3 * 0.75, 0, 0], atol=1e-6)
    assert rows[1].tolist() == rows[2].tolist() == [0, 0, 1, 0]
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-6)


def test_the_learning_rate_rises_falls_and_begins_again_at_half() -> None:
    settings = loop.LoopSettings(cycles=(16, 7), peak_rate=1.0)
    rates = np.array([settings.rate(done) for done in np.linspace(0, 23, 521)])
    assert rates.max() == pytest.approx(1.0, abs=0.01)
    assert settings.rate(0) == pytest.approx(0.1)
    assert settings.rate(16 - 0.01) == pytest.approx(0.02, abs=0.001)
    assert max(settings.rate(16 + part * 7) for part in np.linspace(0, 1, 50)) == pytest.approx(0.5, abs=0.005)
    assert settings.rate(23 + 5) == pytest.approx(0.01)
    assert settings.epochs == 23


def test_epochs_asked_for_are_one_cycle() -> None:
    shorter = seed.with_options(seed.RECIPE, TrainOptions(epochs=3, units=8))
    assert (shorter.loop.cycles, shorter.units) == ((3,), 8)
    assert seed.with_options(seed.RECIPE, TrainOptions()) == seed.RECIPE


def _small_training(work: Path, *, judges: loop.Judges | None = None, stop_after: int | None = None) -> list[Any]:
    """Weights after a training of four epochs, and of each epoch on the way where nothing stopped it."""
    features = keras.Input((None, 2))
    pooled = keras.layers.GlobalAveragePooling1D()(features)
    network = keras.Model(features, keras.layers.Dense(2, activation="softmax", name="said")(pooled))
    network.set_weights([np.zeros((2, 2)), np.zeros(2)])
    clips = [np.full((40, 2), k / 8, np.float32) for k in range(8)]
    after: list[Any] = []

    class Watcher(Silent):
        def note(self, text: str) -> None:
            if text.startswith("epoch"):
                number = int(text.split(":")[0].split()[1])
                after.append(keras.saving.load_model(work / f"epoch-{number}.keras").get_weights())
                if number == stop_after:
                    raise KeyboardInterrupt

    trained, _ = loop.train(
        network,
        lambda _epoch, _rng: clips,
        lambda one: one,
        np.eye(2, dtype=np.float32)[[0, 1] * 4],
        loop.LoopSettings(cycles=(4,), averaged_epochs=2, batch=4, peak_rate=0.1),
        judges=judges,
        seed=1,
        key="small",
        work=work,
        progress=Watcher(),
    )
    return [*after, trained.get_weights()]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, when it saves
def test_what_is_kept_is_the_mean_of_the_last_epochs_whoever_judges(tmp_path: Path) -> None:
    *epochs, kept = _small_training(tmp_path / "once")
    assert len(epochs) == 4
    for k, weight in enumerate(kept):
        np.testing.assert_allclose(weight, (epochs[2][k] + epochs[3][k]) / 2, rtol=1e-6)
        assert np.abs(weight - epochs[3][k]).max() > 1e-4

    judges = loop.Judges(features=[np.zeros((40, 2), np.float32)] * 2, truth=np.array([0, 1]))
    judged = _small_training(tmp_path / "judged", judges=judges)[-1]
    with pytest.raises(KeyboardInterrupt):
        _small_training(tmp_path / "again", stop_after=3)  # one of the two that are averaged is done
    resumed = _small_training(tmp_path / "again")[-1]
    for k, weight in enumerate(kept):
        np.testing.assert_array_equal(judged[k], weight)
        np.testing.assert_array_equal(resumed[k], weight)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_checkpoint_of_another_recipe_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"key": "older", "epoch": 2, "best_epoch": 1}')
    assert len(_small_training(tmp_path)) == 5


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_any_seed_reaches_dropout() -> None:
    dropout = keras.layers.Dropout(0.5)
    network = keras.Sequential([keras.Input((2,)), dropout])
    states = []
    for number in (1, 2**32 - 1):
        loop.seed_dropout(network, number, epoch=3)
        states.append(np.array(dropout.seed_generator.state).tolist())
    assert states[0] == [1003, 0]
    assert states[1] == [((2**32 - 1) * 1000 + 3) % 2**32, 0]


@pytest.mark.parametrize("cycles", [(), (0,), (2.5,)])
def test_epochs_that_cannot_be_are_refused(cycles: Any) -> None:
    with pytest.raises(CorpusError, match="whole numbers of epochs"):
        loop.LoopSettings(cycles=cycles)


def test_every_clip_is_in_one_batch_beside_clips_of_its_length() -> None:
    lengths = list(np.random.default_rng(0).integers(50, 400, 1000))
    batches = loop._batches(lengths, 32, np.random.default_rng(1))
    assert sorted(k for batch in batches for k in batch) == list(range(1000))
    padding = sum(max(lengths[k] for k in batch) * len(batch) for batch in batches) / sum(lengths)
    assert padding < 1.2
    again = loop._batches(lengths, 32, np.random.default_rng(1))
    assert again == batches


def test_padding_is_zero_and_a_masked_stretch_is_the_clips_mean() -> None:
    short, long = np.full((40, 3), 2.0, np.float32), np.arange(300, dtype=np.float32).reshape(100, 3)
    batch = loop.pad([short, long])
    assert batch.shape == (2, 128, 3)
    assert not batch[0, 40:].any()
    np.testing.assert_array_equal(batch[1, :100], long)
    masked = loop._mask_time(long, 25, np.random.default_rng(3))
    changed = np.flatnonzero((masked != long).any(axis=1))
    assert 0 < len(changed) <= 25
    np.testing.assert_allclose(masked[changed], np.broadcast_to(long.mean(axis=0), (len(changed), 3)))


def test_the_network_is_the_old_apps() -> None:
    trained = seed.build()
    kept = [layer for layer in trained.layers if not layer.name.startswith(("early", "mean", "not_equal", "any"))]
    kinds = [type(layer).__name__ for layer in kept]
    assert kinds == [
        *("InputLayer", "Masking", "Bidirectional", "Dropout", "Bidirectional", "Dropout", "Dense", "Dense")
    ]
    assert kept[2].forward_layer.units == 128
    assert kept[4].forward_layer.units == 64
    assert trained.outputs[0].shape == (None, 4)
    assert seed.FEATURES.dims == 120

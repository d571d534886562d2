"""The seed recipe's decisions, without training: targets, learning rates, batches, the network's shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ser_engine.training import loop, seed
from ser_engine.training.corpus import Clip
from ser_engine.training.recipes import TrainOptions

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

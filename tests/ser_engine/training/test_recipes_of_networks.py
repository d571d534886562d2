"""The networks of the default and the fast engine: their ONNX twins, and what they are asked to learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from ser_engine.networks import softmax
from ser_engine.training import default, fast, finish, tuned
from ser_engine.training.corpus import LABELS, Clip
from ser_engine.training.export import FEATURES, LENGTHS, export_network
from ser_engine.training.whisper import WIDTH

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("recipe", [replace(default.RECIPE, units=16), fast.RECIPE], ids=["default", "fast"])
def test_the_onnx_twin_gives_the_same_probabilities_at_true_lengths(recipe: tuned.TunedRecipe, tmp_path: Path) -> None:
    network = tuned.build_head(recipe)
    export_network(network, tmp_path / "network.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx")
    lengths = np.array([75, 20, 51], np.int32)
    batch = np.random.default_rng(0).standard_normal((3, 75, WIDTH)).astype(np.float32)
    for row, length in zip(batch, lengths, strict=True):
        row[length:] = 0

    (logits,) = session.run(None, {FEATURES: batch, LENGTHS: lengths})

    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    found = exponents / exponents.sum(axis=1, keepdims=True)
    assert np.abs(found - np.asarray(network(batch))).max() < 1e-5


def test_targets_mix_intention_votes_and_a_little_of_everything() -> None:
    votes = {"Angry": 6, "Disgust": 2, "Neutral": 2, "Happy": 0, "Sad": 0, "Fear": 3}
    clips = [Clip(path=Path("a.wav"), speaker="1", label="Angry", votes=votes)]

    (row,) = tuned.smoothed_targets(clips, default.RECIPE)

    assert row.sum() == pytest.approx(1)
    even = default.RECIPE.smoothing / len(LABELS)
    assert row[LABELS.index("Angry")] == pytest.approx(0.95 * (0.7 + 0.3 * 0.6) + even)
    assert row[LABELS.index("Disgust")] == pytest.approx(0.95 * 0.3 * 0.2 + even)
    assert row[LABELS.index("Sad")] == pytest.approx(even)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, when it saves
def test_caution_makes_the_answers_less_sure_and_as_many_clear(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, len(LABELS), 400)
    logits = rng.standard_normal((400, len(LABELS))) + 2 * np.eye(len(LABELS))[truth]
    network = tuned.build_head(replace(fast.RECIPE, units=4))
    found = []
    for caution in (1.0, 1.05):
        out = tmp_path / str(caution)
        out.mkdir()
        finish.write(out, network, labels=LABELS, features=tuned.FEATURES, training={})
        held_out = finish.HeldOut(logits=logits, truth=truth, coverage=0.6, caution=caution)
        found.append(finish.calibrate(out, held_out))
        confidence = softmax(logits / found[-1].temperature).max(axis=1)
        assert (confidence >= found[-1].unclear_below).mean() == pytest.approx(0.6, abs=0.02)

    plain, cautious = found
    assert cautious.temperature == pytest.approx(1.05 * plain.temperature, abs=1e-4)
    assert cautious.unclear_below <= plain.unclear_below


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_network_that_learned_nothing_is_never_clear(tmp_path: Path) -> None:
    """Seven in ten of its answers would be, though four in five are wrong."""
    rng = np.random.default_rng(0)
    truth, logits = rng.integers(0, len(LABELS), 400), rng.standard_normal((400, len(LABELS)))
    finish.write(
        tmp_path, tuned.build_head(replace(fast.RECIPE, units=4)), labels=LABELS, features=tuned.FEATURES, training={}
    )

    manifest = finish.calibrate(tmp_path, finish.HeldOut(logits=logits, truth=truth, coverage=0.7))

    confidence = softmax(logits / manifest.temperature).max(axis=1)
    assert (confidence >= manifest.unclear_below).mean() < 0.1

"""Every shipped model: whole, sensible, never sure of what is no speech, and the same on both runtimes."""

from __future__ import annotations

import numpy as np
import pytest

from ser_engine import Recognizer, segment_pcm
from ser_engine.models import ENCODER_ONNX, NETWORK_KERAS, NETWORK_ONNX, available_models, find_model, verify
from ser_engine.types import Window
from tests.fakes.clips import clip, clip_paths

pytestmark = [
    pytest.mark.integration,
    # Keras reading TensorFlow's variables with numpy 2.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

MODELS = available_models()


def windows() -> list[Window]:
    return [window for path in clip_paths() for window in segment_pcm(clip(path))]


@pytest.mark.parametrize("model", MODELS)
def test_directory_is_whole(model: str) -> None:
    manifest = verify(find_model(model))
    assert {NETWORK_KERAS, NETWORK_ONNX} <= set(manifest.files)
    assert set(manifest.labels) in (
        {"Angry", "Happy", "Sad", "Disgust"},
        {"Angry", "Happy", "Sad", "Disgust", "Neutral"},
    )
    assert manifest.evaluation or "held_out" in manifest.training
    if ENCODER_ONNX in manifest.files:
        assert (find_model(model) / ENCODER_ONNX).stat().st_size < 20 * 2**20


@pytest.mark.parametrize("model", MODELS)
def test_tensorflow_and_onnx_runtime_agree(model: str) -> None:
    """Within 1e-4 of probability on the repository's clips, at their true lengths; before anything is made cheaper."""
    clips = [window.pcm for window in windows()]
    served = Recognizer.load(model, quick={}).probabilities(clips)
    reference = Recognizer.load(model, runtime="tensorflow", quick={}).probabilities(clips)
    assert np.abs(served - reference).max() < 1e-4


@pytest.mark.parametrize("model", MODELS)
def test_answers_are_neither_collapsed_nor_too_good(model: str) -> None:
    """The clips are of people in the training corpus; still, one label for all of them would be a collapse."""
    answers = [prediction.emotion for prediction in Recognizer.load(model).predict(windows())]
    assert max(answers.count(label) for label in set(answers)) / len(answers) < 0.7


@pytest.mark.parametrize("model", MODELS)
def test_batching_does_not_change_answers(model: str) -> None:
    recognizer = Recognizer.load(model)
    clips = [window.pcm for window in windows()[:12]] + [windows()[0].pcm[:14_000]]
    together = recognizer.probabilities(clips)
    alone = np.concatenate([recognizer.probabilities([pcm]) for pcm in clips])
    assert np.abs(together - alone).max() < 1e-4

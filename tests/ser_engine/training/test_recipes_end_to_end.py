"""The recipes of the default and the fast engine, from recordings to a directory that the recogniser loads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ser_engine.models import verify
from ser_engine.recognizer import Recognizer
from ser_engine.training import default, fast, tuned, views
from ser_engine.training.corpus import LABELS, Corpus, read_corpus
from ser_engine.training.recipes import Silent, TrainOptions
from tests.fakes.whisper import made_tensors

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras, when it saves
]

CLIPS = Path(__file__).parents[3] / "sandbox" / "clips"


@pytest.fixture
def few_clips(monkeypatch: pytest.MonkeyPatch) -> Corpus:
    """Clips of three speakers, and an encoder that is read at once."""
    monkeypatch.setattr(tuned, "read_encoder", lambda: made_tensors(1))
    monkeypatch.setattr(tuned, "CLEANED_FROM", 2)
    defaults = views.no_speech.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "count", 3)
    every = read_corpus(CLIPS)
    few = every.of_speakers(every.speakers[:3])
    assert {clip.label for clip in few.clips} == set(LABELS)
    return few


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [default.RECIPE, fast.RECIPE], ids=["default", "fast"])
def test_a_few_recordings_become_an_engine(recipe: tuned.TunedRecipe, few_clips: Corpus, tmp_path: Path) -> None:
    small = replace(recipe, layers=1, views=1)

    tuned.train(small, few_clips, tmp_path, TrainOptions(epochs=1, units=4), Silent())

    manifest = verify(tmp_path)
    assert set(manifest.files) == {"network.keras", "network.onnx", "encoder.onnx"}
    assert manifest.training["speakers"] + len(manifest.training["held_out_speakers"]) == 3
    assert len(manifest.training["losses"]) == 1
    assert not (tmp_path / ".training").exists()

    clips = [clip.read() for clip in few_clips.clips[:3]]
    served, reference = (
        Recognizer.load(tmp_path, runtime=r).probabilities(clips) for r in ("onnxruntime", "tensorflow")
    )
    assert served.shape == (3, len(LABELS))
    assert np.abs(served - reference).max() < 1e-4

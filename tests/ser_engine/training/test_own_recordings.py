"""Training on one's own recordings through the command line: a table, a folder, a model that loads and answers.

The only test that trains with TensorFlow; the network is as small as it gets and sees a handful of clips.
"""

from __future__ import annotations

import csv
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bot.__main__ import main
from ser_engine.models import find_model, load_manifest
from ser_engine.recognizer import Recognizer
from ser_engine.training.corpus import read_corpus
from ser_engine.training.recipes import RECIPES, TrainOptions, recipe

pytestmark = pytest.mark.integration

CLIPS = Path(__file__).parents[3] / "bot" / "sandbox" / "clips"


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Some of the demo's clips as somebody would lay out their own: a folder and a CSV of three columns."""
    folder = tmp_path / "mine"
    folder.mkdir()
    with (CLIPS / "clips.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["actor"] in {"1015", "1020", "1079"}]
    lines = ["file,label,speaker"]
    for row in rows:
        shutil.copy(CLIPS / row["file"], folder)
        lines.append(f"{row['file']},{row['intended']},{row['actor']}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


class StopsAfter:
    """Somebody presses Ctrl-C when the first epoch is done."""

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch
        self.notes: list[str] = []

    def stage(self, text: str, total: int) -> None: ...

    def advance(self, steps: int = 1) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)
        if text.startswith(self._epoch):
            raise KeyboardInterrupt


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # TensorFlow's tensors, numpy 2
def test_from_a_folder_and_a_csv_to_a_model_that_answers(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "voices"
    words = ["train", "--corpus", str(recordings), "--engine", "seed", "--out", str(out), "--units", "2"]
    result = CliRunner().invoke(main, [*words, "--epochs", "2"])
    assert result.exit_code == 0, result.output

    manifest = load_manifest(out)
    assert manifest.labels == ("Angry", "Happy", "Sad", "Disgust")
    assert manifest.training["speakers"] == 2
    assert len(manifest.training["held_out_speakers"]) == 1
    assert {path.name for path in out.iterdir()} == {"network.keras", "network.onnx", "scaler.json", "model.json"}

    # The two runtimes are the same network.
    pcm = [clip.read() for clip in read_corpus(CLIPS).clips[:6]]
    by_onnx = Recognizer.load(out, runtime="onnxruntime").probabilities(pcm)
    by_keras = Recognizer.load(out, runtime="tensorflow").probabilities(pcm)
    np.testing.assert_allclose(by_onnx, by_keras, atol=1e-4)

    # The same seed gives the same bytes, also when it was stopped between the epochs.
    again = tmp_path / "again" / "voices"
    options = TrainOptions(epochs=2, units=2)
    with pytest.raises(KeyboardInterrupt):
        recipe("seed")(read_corpus(recordings), again, options, StopsAfter("epoch 1"))
    watcher = StopsAfter("never")
    recipe("seed")(read_corpus(recordings), again, options, watcher)
    assert watcher.notes[0] == "going on after epoch 1"
    assert {name: digest(again / name) for name in manifest.files} == manifest.files
    assert digest(again / "model.json") == digest(out / "model.json")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_cannot_be_trained_on_is_said_in_a_sentence(recordings: Path, tmp_path: Path) -> None:
    run = CliRunner()
    result = run.invoke(main, ["train", "--corpus", str(tmp_path / "nowhere"), "--out", str(tmp_path / "seed")])
    assert result.exit_code == 1
    assert "no corpus folder" in result.output
    result = run.invoke(main, ["train", "--corpus", str(recordings), "--out", str(tmp_path / "mine")])
    assert result.exit_code == 1
    assert "--engine" in result.output
    assert set(RECIPES) == {"seed", "fast", "default"}


def test_evaluate_says_which_speaker_or_model_is_missing(recordings: Path) -> None:
    words = ["evaluate", "--corpus", str(recordings)]
    assert "no speaker nobody" in CliRunner().invoke(main, [*words, "--actors", "nobody"]).output
    assert "no model" in CliRunner().invoke(main, [*words, "--model", "no-such-model"]).output


@pytest.mark.parametrize("engine", ["seed"])
def test_the_shipped_engine_is_better_than_chance_and_has_not_collapsed(engine: str) -> None:
    """Guards, not a measurement: the clips are of people the engine was not trained on, picked as easy ones."""
    recognizer = Recognizer.load(find_model(engine))
    clips = [clip for clip in read_corpus(CLIPS).clips if clip.label in recognizer.info.labels]
    assert {clip.speaker for clip in clips} <= set(recognizer.manifest.training["held_out_speakers"])
    decided = [recognizer.info.labels[int(row.argmax())] for row in recognizer.probabilities([c.read() for c in clips])]
    right = np.mean([clip.label == label for clip, label in zip(clips, decided, strict=True)])
    assert 0.4 < right <= 1
    assert max(decided.count(label) for label in set(decided)) / len(decided) < 0.95

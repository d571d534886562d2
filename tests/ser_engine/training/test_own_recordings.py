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
from ser_engine.errors import CorpusError
from ser_engine.models import find_model, load_manifest
from ser_engine.recognizer import Recognizer
from ser_engine.training.corpus import read_corpus
from ser_engine.training.recipes import RECIPES, Silent, TrainOptions, recipe

pytestmark = pytest.mark.integration

CLIPS = Path(__file__).parents[3] / "sandbox" / "clips"


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


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("engine", "foreign"), [("seed", "encoder.onnx"), ("fast", "scaler.json"), ("default", "scaler.pkl")]
)
def test_another_engines_folder_is_not_trained_into(
    engine: str, foreign: str, recordings: Path, tmp_path: Path
) -> None:
    """What lies there would be stated as this engine's own; a pickle would even be read."""
    out = tmp_path / "out"
    out.mkdir()
    (out / foreign).write_bytes(b"another engine's")

    with pytest.raises(CorpusError, match=f"{foreign} of another engine"):
        recipe(engine)(read_corpus(recordings), out, TrainOptions(epochs=1), Silent())

    assert [path.name for path in out.iterdir()] == [foreign]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_finished_model_is_not_trained_over_by_accident(recordings: Path, tmp_path: Path) -> None:
    kept = b"somebody's afternoon"
    (tmp_path / "model.json").write_bytes(kept)
    words = ["train", "--corpus", str(recordings), "--engine", "seed", "--out", str(tmp_path)]

    result = CliRunner().invoke(main, words)

    assert result.exit_code == 1
    assert "holds a finished model. Name another folder, or --restart" in " ".join(result.output.split())
    assert (tmp_path / "model.json").read_bytes() == kept


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_folder_that_cannot_be_is_said_before_the_work_is_done(
    command: str, recordings: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    more = ["--engine", "seed"] if command == "train" else ["--model", "seed", "--actors", "1015"]

    result = CliRunner().invoke(main, [command, "--corpus", str(recordings), "--out", str(tmp_path / "file"), *more])

    assert result.exit_code == 1
    assert "File exists" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["broaden", "quantise"])
@pytest.mark.parametrize(("model", "said"), [("seed", "has no encoder"), ("no-such-model", "There is no model")])
def test_an_engine_that_cannot_be_used_leaves_no_folder(
    command: str, model: str, said: str, recordings: Path, tmp_path: Path
) -> None:
    folders = [word for name in ("--corpus", "--ordinary", "--sounds") for word in (name, str(recordings))]
    result = CliRunner().invoke(main, [command, "--model", model, *folders, "--out", str(tmp_path / "out")])
    assert (result.exit_code, said in result.output) == (1, True), result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "said"), [("broaden", "Name a second corpus"), ("quantise", "who is held out: a column split")]
)
def test_corpora_that_are_refused_leave_no_folder(command: str, said: str, recordings: Path, tmp_path: Path) -> None:
    """One in a finished model's would let the next run write over the model without --restart."""
    folders = [word for name in ("--corpus", "--ordinary", "--sounds") for word in (name, str(recordings))]
    finished = Path(shutil.copytree(find_model("fast"), tmp_path / "finished"))
    for out in (tmp_path / "new", finished):
        words = [command, "--model", "fast", *folders, "--out", str(out), "--restart"]
        result = CliRunner().invoke(main, words)
        assert (result.exit_code, said in result.output) == (1, True), result.output
    assert not (tmp_path / "new").exists()
    assert not (finished / ".training").exists()


def test_a_disk_that_fills_is_said_in_words(recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """numpy's error states no reason of the system's."""

    def full(*_: object) -> None:
        raise OSError("4096 requested and 0 written")

    monkeypatch.setattr("ser_engine.training.recipes.recipe", lambda _: full)
    words = ["train", "--corpus", str(recordings), "--engine", "seed", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "cannot be written: 4096 requested and 0 written." in result.output


def test_what_cannot_be_trained_on_is_said_in_a_sentence(recordings: Path, tmp_path: Path) -> None:
    run = CliRunner()
    result = run.invoke(main, ["train", "--corpus", str(tmp_path / "nowhere"), "--out", str(tmp_path / "seed")])
    assert result.exit_code == 1
    assert "no corpus folder" in result.output
    result = run.invoke(main, ["train", "--corpus", str(recordings), "--out", str(tmp_path / "mine")])
    assert result.exit_code == 1
    assert "--engine" in result.output
    assert all(name in result.output for name in RECIPES)


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

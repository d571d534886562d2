"""`undertone evaluate` measures on whom a model has not heard, and says so when it is made to do otherwise."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bot.cli.evaluate import evaluate
from tests.fakes.clips import clip_paths
from tests.fakes.model import make_model

pytestmark = pytest.mark.integration


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Four people of one's own, without a split."""
    folder = tmp_path / "mine"
    folder.mkdir()
    lines = ["file,label,speaker"]
    for path in clip_paths()[:16]:
        shutil.copy(path, folder)
        actor, _, emotion, _ = path.stem.split("_")
        lines.append(f"{path.name},{emotion},{actor}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def trained(directory: Path, *held_out: str, corpus: str = "mine") -> Path:
    """A model that says who was held out when it was trained."""
    make_model(directory)
    manifest = json.loads((directory / "model.json").read_text())
    manifest["training"] = {"corpus": corpus, "held_out_speakers": held_out}
    (directory / "model.json").write_text(json.dumps(manifest))
    return directory


def measure(recordings: Path, *models: Path, actors: str | None = None) -> Result:
    words = ["--corpus", str(recordings), "--json", *(word for model in models for word in ("--model", str(model)))]
    return CliRunner().invoke(evaluate, [*words, *(("--actors", actors) if actors else ())])


def test_without_a_split_those_are_measured_whom_the_model_held_out(recordings: Path, tmp_path: Path) -> None:
    result = measure(recordings, trained(tmp_path / "a", "1020", "1021"), trained(tmp_path / "b", "1020"))
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["actors"] == ["1020"]
    assert "trained on" not in result.stderr


def test_a_model_of_another_corpus_has_heard_none_of_them(recordings: Path, tmp_path: Path) -> None:
    result = measure(recordings, trained(tmp_path / "a", "1020", corpus="theirs"))
    assert len(json.loads(result.stdout)["actors"]) > 1
    assert "trained on" not in result.stderr


def test_who_is_measured_on_the_training_is_told(recordings: Path, tmp_path: Path) -> None:
    model = trained(tmp_path / "a", "1020")
    for actors, words in (("all", "trained on 3 of these 4"), ("1015", "trained on 1 of these 1"), ("1020", "")):
        result = measure(recordings, model, actors=actors)
        assert result.exit_code == 0, result.output
        assert (words in result.stderr) if words else ("trained on" not in result.stderr)


def test_models_that_held_out_different_people_cannot_be_compared(recordings: Path, tmp_path: Path) -> None:
    result = measure(recordings, trained(tmp_path / "a", "1020"), trained(tmp_path / "b", "1021"))
    assert result.exit_code == 1
    assert "held out by all of these models" in result.stderr


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "has no column 'file'"),
        ("file,label,speaker\n", "names no recording"),
        ("file\n", "names no recording"),
        ("file,label,speaker\nJürgen.wav,angry,a".encode("latin-1"), "not in UTF-8"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_words(tmp_path: Path, table: str | bytes, words: str) -> None:
    (tmp_path / "manifest.csv").write_bytes(table.encode() if isinstance(table, str) else table)
    result = measure(tmp_path, make_model(tmp_path / "a"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert words in result.stderr


def test_a_table_called_manifest_may_be_written_in_any_way_too(recordings: Path, tmp_path: Path) -> None:
    table = (recordings / "labels.csv").read_text().replace("file,label,speaker", "Path,Emotion,Person")
    (recordings / "labels.csv").unlink()
    (recordings / "manifest.csv").write_text(table.replace(",", ";"))
    result = measure(recordings, make_model(tmp_path / "a"))
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["clips"] == 16


def test_in_calls_and_without_labels_what_would_change_nothing_is_refused(recordings: Path, tmp_path: Path) -> None:
    model = str(make_model(tmp_path / "a"))
    words = ["--corpus", str(recordings), "--model", model, "--call", "--out", str(tmp_path / "out"), "--record"]
    result = CliRunner().invoke(evaluate, words)
    assert result.exit_code == 2
    assert "--out, --record cannot be used with --call" in result.stderr
    (recordings / "labels.csv").write_text("file\n" + clip_paths()[0].name)
    result = CliRunner().invoke(evaluate, [*words[:4], "--condition", "noise", "--actors", "all"])
    assert result.exit_code == 2
    assert "--condition, --actors cannot be used where the table has no labels" in result.stderr


def test_recordings_of_one_label_are_measured_by_who_knows_it(recordings: Path, tmp_path: Path) -> None:
    lines = (recordings / "labels.csv").read_text().splitlines()
    neutral = [line for line in lines[1:] if ",NEU," in line]
    (recordings / "labels.csv").write_text("\n".join([lines[0], *neutral]))
    five, four = (
        make_model(tmp_path / "five"),
        make_model(tmp_path / "four", labels=("Angry", "Happy", "Sad", "Disgust")),
    )
    result = measure(recordings, five)
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["models"]["five"]["conditions"]["clean"].values()
    assert found["clips"] == len(neutral) > 0
    for more in ((), ("--call",)):
        words = ["--corpus", str(recordings), "--model", str(four), *more]
        result = CliRunner().invoke(evaluate, words)
        assert result.exit_code == 1
        assert f"None of the {len(neutral)} recordings is Angry, Happy, Sad, Disgust" in result.stderr


@pytest.mark.parametrize("more", [(), ("--call",)])
def test_models_of_the_same_name_are_not_taken_for_one(recordings: Path, tmp_path: Path, more: tuple[str, ...]) -> None:
    models = [make_model(tmp_path / folder / "mine", seed=seed) for folder, seed in (("a", 5), ("b", 6))]
    words = ["--corpus", str(recordings), *more, *(word for model in models for word in ("--model", str(model)))]
    result = CliRunner().invoke(evaluate, words)
    assert result.exit_code == 1
    assert "directories of the same name" in result.stderr


@pytest.mark.parametrize("name", ["m" * 80, "a b|c & d"])
def test_a_model_in_a_folder_of_any_name_is_measured_and_its_figures_are_kept(
    recordings: Path, tmp_path: Path, name: str
) -> None:
    model = make_model(tmp_path / name)
    result = CliRunner().invoke(evaluate, ["--corpus", str(recordings), "--model", str(model), "--record"])
    assert result.exit_code == 0, result.output
    (line, *_) = [line for line in result.stdout.splitlines() if "| clean |" in line]
    assert line.replace("\\|", "").count("|") == 12
    evaluation = json.loads((model / "model.json").read_text())["evaluation"]
    assert shlex.split(evaluation["command"])[-2:] == ["--model", name]
    assert evaluation["conditions"]["clean"]


def test_who_is_measured_on_the_training_is_told_in_calls_too(recordings: Path, tmp_path: Path) -> None:
    model = trained(tmp_path / "a", "1020")
    words = ["--corpus", str(recordings), "--model", str(model), "--call", "--actors"]
    for actors, told in (("all", True), ("1020", False)):
        result = CliRunner().invoke(evaluate, [*words, actors])
        assert result.exit_code == 0, result.output
        assert ("trained on 3 of these 4" in result.stderr) == told


def test_a_corpus_that_a_model_was_broadened_with_is_told(recordings: Path, tmp_path: Path) -> None:
    model = make_model(tmp_path / "a")
    manifest = json.loads((model / "model.json").read_text())
    corpora = {"further": ["mine"], "ordinary": ["read"], "sounds": []}
    manifest["training"] = {"corpus": "theirs", "held_out_speakers": ["1020"], "broadened": {"corpora": corpora}}
    (model / "model.json").write_text(json.dumps(manifest))
    result = measure(recordings, model)
    assert result.exit_code == 0, result.output
    assert "trained on 4 of these 4" in result.stderr
    (recordings / "labels.csv").write_text(f"file,corpus\n{clip_paths()[0].name},read\n{clip_paths()[1].name},other")
    result = measure(recordings, model)
    assert result.exit_code == 0, result.output
    assert "trained on read, so" in result.stderr


def test_figures_that_cannot_be_kept_are_printed_and_it_is_said(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "report.json").mkdir(parents=True)
    model = trained(tmp_path / "a", "1020")
    result = CliRunner().invoke(
        evaluate, ["--corpus", str(recordings), "--model", str(model), "--json", "--out", str(out)]
    )
    assert json.loads(result.stdout)["actors"] == ["1020"]
    assert (result.exit_code, "report.json cannot be read or written: Is a directory." in result.stderr) == (1, True), (
        result.output
    )

"""`undertone evaluate` measures on whom a model has not heard, and says so when it is made to do otherwise."""

from __future__ import annotations

import json
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

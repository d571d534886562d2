"""`undertone evaluate` on the shipped engine and the demo's clips: what a program and a person get."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.__main__ import main
from ser_engine.models import find_model, load_manifest, verify

pytestmark = pytest.mark.integration

CLIPS = Path(__file__).parents[3] / "sandbox" / "clips"


def test_json_for_programs_and_a_folder_for_people(tmp_path: Path) -> None:
    words = ["evaluate", "--corpus", str(CLIPS), "--actors", "1015,1020,1021", "--model", "seed"]
    result = CliRunner().invoke(
        main, [*words, "--condition", "clean", "--condition", "loss", "--json", "--out", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["actors"] == ["1015", "1020", "1021"]
    figures = report["models"]["seed"]["conditions"]
    assert set(figures) == {"clean", "loss"}
    clean = figures["clean"]["four"]
    assert clean["clips"] == sum(map(sum, clean["confusion"]))
    assert clean["uar_interval"][0] <= clean["uar"] <= clean["uar_interval"][1]
    assert clean["crowd"] is None  # the demo's table has no votes
    assert json.loads((tmp_path / "report.json").read_text()) == report
    assert "| seed | loss |" in (tmp_path / "report.md").read_text()
    assert {path.suffix for path in tmp_path.iterdir()} == {".md", ".json", ".svg"}


def test_recordings_without_a_label_that_is_measured_are_refused_in_words(tmp_path: Path) -> None:
    shutil.copy(CLIPS / "1015_IEO_NEU_XX.flac", tmp_path)
    (tmp_path / "labels.csv").write_text("file,label,speaker\n1015_IEO_NEU_XX.flac,neutral,me\n")

    result = CliRunner().invoke(main, ["evaluate", "--corpus", str(tmp_path), "--actors", "me", "--model", "seed"])

    assert result.exit_code == 1
    assert "None of the 1 recordings is Angry, Happy, Sad, Disgust" in " ".join(result.output.split())


def test_figures_can_be_recorded_in_the_model(tmp_path: Path) -> None:
    model = tmp_path / "mine"
    shutil.copytree(find_model("seed"), model, ignore=shutil.ignore_patterns(".*"))
    words = ["evaluate", "--corpus", str(CLIPS), "--actors", "1015,1020", "--model", str(model), "--record"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    evaluation = load_manifest(model).evaluation
    assert (
        evaluation["command"] == "undertone evaluate --corpus clips --actors 1015,1020 --condition clean --model mine"
    )
    assert 0 <= evaluation["conditions"]["clean"]["four"]["uar"] <= 1
    assert verify(model).files == verify(find_model("seed")).files

"""`undertone crossvalidate`: what is asked reaches the trainings, what they found reaches the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bot.cli.crossvalidate import crossvalidate
from ser_engine.training import crossval
from ser_engine.training.tuned import TunedRecipe

pytestmark = pytest.mark.integration

CLIPS = Path(__file__).parents[3] / "sandbox" / "clips"
FIGURE = {
    **{"view": "over a call", "recordings": "own sentences", "clips": 1067},
    **{"four": 0.5562, "four_interval": [0.52, 0.59], "five": 0.489, "five_interval": [0.46, 0.52]},
    "temperature": 1.07,
}


def run(tmp_path: Path, *more: str) -> Any:
    return CliRunner().invoke(crossvalidate, ["--corpus", str(CLIPS), "--work", str(tmp_path), *more])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command wants to be trained; nothing is."""
    seen: dict[str, Any] = {}

    def note(recipe: TunedRecipe, corpus: Any, **options: Any) -> dict[str, Any]:
        seen.update(options, recipe=recipe, clips=len(corpus.clips))
        return {"speakers": 63, "figures": [FIGURE]}

    monkeypatch.setattr(crossval, "cross_validate", note)
    return seen


def test_changes_folds_and_sentences_reach_the_trainings(tmp_path: Path, asked: dict[str, Any]) -> None:
    result = run(tmp_path, "--engine", "fast", "--folds", "3", "--sentences", "--set", "votes_share=0.0")

    assert result.exit_code == 0, result.output
    assert (asked["recipe"].name, asked["recipe"].votes_share, asked["recipe"].teacher) == ("fast", 0.0, None)
    assert (asked["count"], asked["hold_out_sentences"], asked["clips"]) == (3, True, 40)
    assert "fast, 3 folds of 63 speakers, sentences held out" in " ".join(result.output.split())
    assert "0.556" in result.output
    assert "1.07" in result.output


def test_as_json(tmp_path: Path, asked: dict[str, Any]) -> None:
    result = run(tmp_path, "--json")

    assert json.loads(result.stdout)["figures"] == [FIGURE]
    assert asked["recipe"].name == "default"


def test_an_engine_of_four_labels_has_no_figure_over_five(
    tmp_path: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FIGURE, "five", None)
    monkeypatch.setitem(FIGURE, "five_interval", None)

    result = run(tmp_path, "--engine", "seed", "--set", "loop.cycles=[8]")

    assert result.exit_code == 0, result.output
    assert (asked["recipe"].name, asked["recipe"].loop.epochs) == ("seed", 8)
    assert "–" in result.output


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--set", "votes=1"], "there is no 'votes'"),
        (["--folds", "20"], "20 groups"),
        (["--set", "layers=x"], "as in JSON"),
        (["--set", "views=1", "--work", __file__], " cannot be read or written: Not a directory"),
    ],
)
def test_what_cannot_be_is_said_in_words(tmp_path: Path, more: list[str], words: str) -> None:
    result = run(tmp_path, *more)

    assert result.exit_code == 1
    assert words in " ".join(result.output.split())
    assert "Traceback" not in result.output

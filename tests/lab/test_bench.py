"""`undertone bench` measures in ratios to one yardstick, in one run."""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

from lab.bench import Step, bench, measure
from tests.fakes.model import make_model

pytestmark = pytest.mark.integration


def test_ratios_are_to_the_first_step() -> None:
    steps = [
        Step(name="yardstick", call=lambda: time.sleep(0.02)),
        Step(name="half", call=lambda: time.sleep(0.01)),
        Step(name="four at once", call=lambda: time.sleep(0.02), windows=4),
    ]
    rounds = []
    yardstick, half, four = measure(steps, 5, lambda: rounds.append(1))
    assert len(rounds) == 5
    assert yardstick.of_yardstick == 1
    assert half.of_yardstick == pytest.approx(0.5, abs=0.2)
    assert four.of_yardstick == pytest.approx(0.25, abs=0.15)
    assert yardstick.people_a_core == pytest.approx(3000 / yardstick.ms)


def test_every_step_of_the_engine_is_measured(tmp_path: Path) -> None:
    made = make_model(tmp_path / "tiny")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of librosa's imports
        result = CliRunner().invoke(bench, ["--rounds", "3", "--model", str(made), "--no-packets", "--json"])
    assert result.exit_code == 0, result.output
    body = json.loads(result.stdout)
    assert 0 < body["deviation"] < 2e-3
    names = [row["name"] for row in body["results"]]
    assert [name for name in names if name.startswith("model")] == [
        "model tiny, whole way, batch 1",
        "model tiny, whole way, batch 4",
    ]
    assert sum("front end" in name for name in names) == 3

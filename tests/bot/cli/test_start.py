"""`undertone doctor --start`: the steps of a real start add up, and imports are summed by package."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.cli import start
from bot.cli.doctor import doctor

pytestmark = pytest.mark.integration

LOG = """\
import time: self [us] | cumulative | imported package
import time:       100 |        100 |     numpy.linalg
import time:      2000 |       2100 |   numpy
import time:      5000 |       7100 | bot.service
something that a library wrote
"""


def child(stdout: str = "", stderr: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess([], 0, stdout, stderr)


def test_the_steps_of_a_real_start_add_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNDERTONE_MODEL", "seed")
    found = start.steps()
    ready = found.pop("ready")
    assert sum(found.values()) == pytest.approx(ready)
    assert {"importing the service", "opening the database", "waiting for the recognition"} <= set(found)
    assert all(seconds >= 0 for seconds in found.values())
    assert list(tmp_path.iterdir()) == []


def test_imports_are_summed_by_package_and_the_longest_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "_child", lambda *_: child(stderr=LOG))
    assert list(start.imports().items()) == [("bot", 0.005), ("numpy", 0.0021)]


def test_doctor_prints_both(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = json.dumps({"importing the service": 1.5, "ready": 1.5})
    monkeypatch.setattr(start, "_child", lambda *_: child("a line of the log\n" + answer, LOG))
    said = CliRunner().invoke(doctor, ["--start"]).stdout
    assert "  1.50 s  importing the service" in said
    assert "  0.01 s  bot" in said
    assert json.loads(CliRunner().invoke(doctor, ["--start", "--json"]).stdout)["steps"]["ready"] == 1.5


def test_a_start_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: str) -> subprocess.CompletedProcess[str]:
        raise subprocess.CalledProcessError(1, [], stderr="Traceback\nModelError: There is no model 'x'.")

    monkeypatch.setattr(start, "_child", fail)
    result = CliRunner().invoke(doctor, ["--start"])
    assert result.exit_code == 1
    assert "There is no model" in result.stderr

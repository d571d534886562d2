"""The libraries under the recognition tell nobody about the machine that they run on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOADS = "from ser_engine import Recognizer; Recognizer.load('seed')"


@pytest.mark.integration
def test_a_loaded_model_leaves_no_trace_in_the_home_of_who_runs_it(tmp_path: Path) -> None:
    """ONNX Runtime keeps a number of the machine and what it has not yet sent under the home; in tests and on build
    servers it does neither, so the environment names none of these."""
    bare = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", LOADS],
        cwd=ROOT,
        env={**bare, "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("*")) == []

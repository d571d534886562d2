"""What docs/engine.md promises works as it is written there, in a process that imported nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ser_engine
from tests.fakes.clips import clip_paths
from tests.fakes.model import make_model

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]


def five_lines() -> str:
    text = (ROOT / "docs" / "engine.md").read_text()
    return text.split("```python\n", 1)[1].split("```", 1)[0]


def run(code: str) -> str:
    done = subprocess.run(  # noqa: S603  our own code, in a fresh interpreter
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_documented_five_lines_run(tmp_path: Path) -> None:
    directory = make_model(tmp_path / "tiny")
    code = five_lines().replace('"default"', repr(str(directory))).replace('"clip.wav"', repr(str(clip_paths()[0])))
    said = run(code)
    assert "Prediction(" in said
    assert "confidence=" in said


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "('numpy', 'scipy', 'av', 'onnxruntime', 'tensorflow', 'librosa', 'discord', 'aiohttp', 'sqlalchemy')"
    assert run(f"import ser_engine, sys; print([name for name in {heavy} if name in sys.modules])").strip() == "[]"


def test_serving_needs_neither_tensorflow_nor_librosa(tmp_path: Path) -> None:
    directory = make_model(tmp_path / "tiny")
    heavy = "('tensorflow', 'keras', 'librosa', 'sklearn', 'discord', 'aiohttp', 'sqlalchemy')"
    code = f"from ser_engine import Recognizer\nRecognizer.load({str(directory)!r})\nimport sys\n"
    assert run(code + f"print([name for name in {heavy} if name in sys.modules])").strip() == "[]"


def test_every_public_name_is_there() -> None:
    for name in ser_engine.__all__:
        assert getattr(ser_engine, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ser_engine.nothing  # noqa: B018

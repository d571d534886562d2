"""What docs/engine.md promises works as it is written there, in a process that imported nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ser_engine
from ser_engine import decode
from ser_engine.types import SAMPLE_RATE_HZ
from tests.fakes.clips import clip_paths
from tests.fakes.media import encode
from tests.fakes.model import make_model

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]


def five_lines() -> str:
    text = (ROOT / "docs" / "engine.md").read_text()
    return text.split("```python\n", 1)[1].split("```", 1)[0]


def run(code: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(  # noqa: S603  our own code, in a fresh interpreter
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_documented_five_lines_run_as_printed(tmp_path: Path) -> None:
    """To the letter, in a folder with a clip.wav: the shipped engine answers, and nothing is loaded that only the bot,
    the training or the old app needs."""
    pcm = decode(clip_paths()[0].read_bytes())
    (tmp_path / "clip.wav").write_bytes(encode(pcm, SAMPLE_RATE_HZ, "wav"))
    heavy = "('tensorflow', 'keras', 'librosa', 'sklearn', 'discord', 'aiohttp', 'sqlalchemy', 'bot', 'storage')"
    said = run(f"{five_lines()}\nimport sys\nprint([name for name in {heavy} if name in sys.modules])", tmp_path)
    answer, loaded = said.splitlines()
    assert answer.startswith("Prediction(probabilities={'Angry': ")
    assert loaded == "[]"


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

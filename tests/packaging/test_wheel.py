"""A wheel carries all that runs (models, the demo's clips, the pages) and serves from anywhere, without a checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ser_engine.models import available_models, find_model, load_manifest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bot", "lab", "sandbox", "ser_engine", "storage")
MODELS = "data/share/undertone/model"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, for setuptools leaves its work beside the source; nothing is asked of a network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in (*PACKAGES, "model"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-index", "--no-deps"]
    run([*pip, "--no-build-isolation", "--wheel-dir", str(folder), str(source)], cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel in it, as ``pip install --target`` makes one."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index", "--no-deps"]
    run([*pip, "--target", str(target), str(wheel)], cwd=target)
    return target


def run(words: list[str], *, cwd: Path, **variables: str) -> str:
    done = subprocess.run(  # noqa: S603  our own commands
        words,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def undertone(installed: Path, cwd: Path, *words: str) -> str:
    """The command from the installed wheel, in a folder that is no checkout."""
    command = [sys.executable, "-m", "bot", *words]
    return run(command, cwd=cwd, PYTHONPATH=str(installed), UNDERTONE_DATA_DIR=str(cwd / "data"), PORT="0")


def test_every_file_that_is_read_at_run_time_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for package in PACKAGES:
        wanted = {
            str(path.relative_to(ROOT))
            for path in (ROOT / package).rglob("*")
            if path.is_file() and not any(part == "__pycache__" or part.startswith(".") for part in path.parts)
        }
        assert wanted - names == set()
    assert sum(name.endswith(".flac") for name in names) == 40
    folders = {name.split("/")[0] for name in names} - set(PACKAGES)
    assert {folder.rpartition(".")[2] for folder in folders} == {"data", "dist-info"}


def test_the_models_are_in_it_and_what_is_only_about_them_is_not(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name.partition("/")[2] for name in archive.namelist() if ".data/" in name}
    shipped = [name for name in available_models() if find_model(name).parent == ROOT / "model"]
    expected = {
        f"{MODELS}/{name}/{file}" for name in shipped for file in ("model.json", *load_manifest(find_model(name)).files)
    }
    assert {"seed", "fast", "default"} == set(shipped)
    assert names == {*expected, f"{MODELS}/MODEL_CARD.md"}


def test_an_installed_wheel_analyses(installed: Path, tmp_path: Path) -> None:
    clip = installed / "sandbox" / "clips" / "1030_IEO_ANG_HI.flac"
    for model in ("seed", "fast", "default"):
        said = json.loads(undertone(installed, tmp_path, "analyze", "--json", "--model", model, str(clip)))
        assert said["summary"]["emotion"] in said["summary"]["probabilities"]
    shown = undertone(installed, tmp_path, "model", "show", "default")
    assert str(installed / "share" / "undertone" / "model" / "default") in shown


def test_an_installed_wheel_finds_itself_well(installed: Path, tmp_path: Path) -> None:
    said = undertone(installed, tmp_path, "doctor", "--offline")
    assert "model: default" in said
    assert "file hashes agree" in said
    assert "schema up to date" in said  # the migrations are there

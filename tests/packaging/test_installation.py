"""The ordinary installation serves and brings nothing that only trains; what cannot be served is said in words."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType

import pytest

from bot.settings import load_settings

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
SERVING = ("bot", "lab", "sandbox", "ser_engine", "storage")
TRAINING = ROOT / "ser_engine" / "training"
TOO_HEAVY = {"tensorflow", "tensorflow-cpu", "keras", "librosa", "numba", "scipy", "scikit-learn", "onnx", "libclang"}
MAY_ASK = {
    "ser_engine/networks.py": {"keras", "tensorflow", "joblib"},  # the reference, and the old app's scaler
    "lab/old_way.py": {"keras", "librosa"},
    "ser_engine/backends/ray_replica.py": {"ray"},
    "ser_engine/backends/ray_serve.py": {"ray"},
    "storage/patience.py": {"asyncpg"},  # once SQLAlchemy has it, or has said what is missing
}
"""Serving files that import what only an extra brings, each behind `need_training`, `need_ray` or `without_driver`."""

SITE = """
import importlib.machinery
ABSENT = {absent!r}
found = importlib.machinery.PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in ABSENT else found(name, path, target)
importlib.machinery.PathFinder.find_spec = staticmethod(find_spec)
"""
"""Makes an interpreter, and those that it spawns, believe that packages are not installed."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def locked(kind: str) -> frozenset[str]:
    """The distributions of a lock file."""
    text = (ROOT / "requirements" / f"{kind}.lock").read_text()
    return frozenset(normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE))


@cache
def homes() -> Mapping[str, frozenset[str]]:
    """The distributions that bring a top-level package."""
    return {name: frozenset(map(normal, brought)) for name, brought in packages_distributions().items()}


def third_party(path: Path) -> Iterator[str]:
    """Top-level packages that a file imports anywhere, but for Python's own and the project's."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [str(node.module)]
        else:
            continue
        tops = (name.partition(".")[0] for name in names)
        yield from (top for top in tops if top not in sys.stdlib_module_names and top not in SERVING)


def test_serving_imports_only_what_its_lock_brings() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for package in SERVING
        for path in sorted((ROOT / package).rglob("*.py"))
        if not path.is_relative_to(TRAINING)
        for name in third_party(path)
        if name not in MAY_ASK.get(str(path.relative_to(ROOT)), ()) and not homes().get(name, {name}) & locked("run")
    ]
    assert not wrong, wrong


def test_training_imports_only_what_the_whole_lock_brings() -> None:
    files = sorted(TRAINING.rglob("*.py"))
    names = {name for path in files for name in third_party(path)}
    assert names & {"keras", "tensorflow", "onnx"}
    assert not [name for name in names if not homes().get(name, {name}) & locked("dev")]


def test_the_lock_that_serves_is_light_and_part_of_the_whole_one() -> None:
    assert not locked("run") & TOO_HEAVY
    assert locked("run") <= locked("dev")
    assert locked("server") == locked("run") | {"asyncpg"}
    assert locked("dev") >= {"tensorflow", "librosa", "scikit-learn", "onnx", "pytest", "asyncpg"}


@pytest.mark.parametrize("kind", ["run", "server", "dev"])
def test_a_lock_has_hashes_and_names_no_host(kind: str) -> None:
    text = (ROOT / "requirements" / f"{kind}.lock").read_text()
    assert "://" not in text
    assert "--index" not in text
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=\S)", text.strip()))


@pytest.fixture(scope="module")
def thin(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of an interpreter that sees only what the ordinary installation has."""
    folder = tmp_path_factory.mktemp("thin")
    absent = {name for name, brought in homes().items() if not brought & locked("run")} - {"undertone", *SERVING}
    (folder / "sitecustomize.py").write_text(SITE.format(absent=sorted(absent)))
    path = os.pathsep.join((str(folder), str(ROOT)))
    return {**os.environ, "PYTHONPATH": path, "UNDERTONE_DATA_DIR": str(folder / "data"), "PORT": "0"}


def undertone(thin: Mapping[str, str], cwd: Path, *words: str, **variables: str) -> tuple[int, str]:
    done = subprocess.run(  # noqa: S603  our own commands
        [sys.executable, "-m", "bot", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**thin, **variables},
    )
    return done.returncode, done.stdout + done.stderr


def test_every_serving_module_imports_without_the_rest(thin: Mapping[str, str]) -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in SERVING
        for path in sorted((ROOT / package).rglob("*.py"))
        if not path.is_relative_to(TRAINING) and "migrations" not in path.parts
    ]
    work = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]; print('all')"
    done = subprocess.run(  # noqa: S603  our own words
        [sys.executable, "-c", work, *modules], capture_output=True, text=True, check=False, cwd=ROOT, env=dict(thin)
    )
    assert done.stdout == "all\n", done.stderr


def test_it_recognises_without_the_rest(thin: Mapping[str, str], tmp_path: Path) -> None:
    status, said = undertone(thin, tmp_path, "analyze", str(ROOT / "sandbox/clips/1030_IEO_ANG_HI.flac"))
    assert status == 0, said
    assert "Angry" in said


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (("train", "--corpus", ".", "--out", "out"), {}),
        (("crossvalidate", "--corpus", ".", "--work", "work"), {}),
        (("model", "adopt", "old"), {}),
        (("bench", "--no-packets"), {}),
        (("run",), {"UNDERTONE_RUNTIME": "tensorflow", "UNDERTONE_WORKERS": "0", "DISCORD_TOKEN": "x"}),
    ],
    ids=["train", "crossvalidate", "adopt", "bench", "runtime"],
)
def test_who_needs_the_extra_is_told(
    words: tuple[str, ...], variables: Mapping[str, str], thin: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    for name in ("final_ser_model.keras", "scaler.pkl"):
        (tmp_path / "old" / name).write_bytes(b"not read before the extra is there")
    status, said = undertone(thin, tmp_path, *words, **variables)
    assert status == 1
    assert "--editable '.[train]'" in said
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir() if path.name != "old"] == []
    assert {path.name for path in (tmp_path / "old").iterdir()} == {"final_ser_model.keras", "scaler.pkl"}


# --- before pip


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("requirements_check", ROOT / "requirements" / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("kind", "version", "implementation", "bits", "words"),
    [
        ("run", (3, 11, 0), "CPython", 64, ""),
        ("run", (3, 14, 2), "CPython", 64, ""),
        ("dev", (3, 13, 0), "CPython", 64, ""),
        ("dev", (3, 14, 0), "CPython", 64, "tests and its training need Python 3.11 to 3.13; this is 3.14"),
        ("run", (3, 15, 0), "CPython", 64, "needs Python 3.11 to 3.14; this is 3.15"),
        ("run", (3, 10, 9), "CPython", 64, "this is 3.10"),
        ("run", (2, 7, 18), "CPython", 64, "this is 2.7"),
        ("run", (3, 11, 0), "PyPy", 64, "this is PyPy"),
        ("run", (3, 11, 0), "CPython", 32, "this one has 32"),
    ],
)
def test_a_python_that_cannot_be_served_is_told(
    check: ModuleType, kind: str, version: tuple[int, ...], implementation: str, bits: int, words: str
) -> None:
    said = check.about_python(kind, version, implementation, bits)
    assert (words in said) if words else said == ""


@pytest.mark.parametrize(
    ("system", "machine", "libc", "macos", "words"),
    [
        ("Linux", "x86_64", (2, 36), None, ""),
        ("Linux", "aarch64", (2, 28), None, ""),
        ("Linux", "x86_64", (2, 17), None, "this has glibc 2.17"),
        ("Linux", "x86_64", None, None, "another C library"),
        ("Linux", "armv7l", (2, 36), None, "this is Linux on armv7l"),
        ("Darwin", "arm64", None, (14, 5), ""),
        ("Darwin", "arm64", None, (13, 6), "this is 13.6"),
        ("Darwin", "x86_64", None, (14, 5), "this is Darwin on x86_64"),
        ("Windows", "AMD64", None, None, ""),
        ("Windows", "ARM64", None, None, "this is Windows on arm64"),
    ],
)
def test_a_machine_that_cannot_be_served_is_told(
    check: ModuleType,
    system: str,
    machine: str,
    libc: tuple[int, int] | None,
    macos: tuple[int, int] | None,
    words: str,
) -> None:
    said = check.about_machine(system, machine, libc, macos)
    assert (words in said) if words else said == ""


def test_the_bounds_are_those_of_the_package(check: ModuleType) -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    newest = check.NEWEST["run"]
    assert wanted == f">={check.version_words(check.OLDEST)},<{newest[0]}.{newest[1] + 1}"


def install(tmp_path: Path, **variables: str) -> tuple[int, str]:
    """What `make run` says, with only the commands in `tmp_path` and the system's own to be found."""
    done = subprocess.run(  # noqa: S603  our own script
        ["/bin/sh", str(ROOT / "requirements" / "install.sh"), "run"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "VENV": str(tmp_path / "venv"), **variables},
    )
    return done.returncode, done.stdout + done.stderr


def command(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_a_python_that_is_there_but_cannot_run_is_passed_over(tmp_path: Path) -> None:
    command(tmp_path, "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    command(tmp_path, "python3.12", f'exec {sys.executable} "$@"')
    command(tmp_path, "uv", 'echo "uv $*"')
    status, said = install(tmp_path)
    assert status == 0, said
    assert f"uv venv --quiet --python {sys.executable} {tmp_path / 'venv'}" in said
    assert "run.lock" in said


def test_a_python_that_was_named_and_cannot_be_served_ends_in_words(tmp_path: Path) -> None:
    command(tmp_path, "python3.15", "echo 'Undertone needs Python 3.11 to 3.14; this is 3.15.'; exit 1")
    command(tmp_path, "uv", "echo 'must not be called'")
    status, said = install(tmp_path, PYTHON="python3.15")
    assert status == 1
    assert said.startswith("Undertone needs Python 3.11 to 3.14; this is 3.15.")
    assert "must not be called" not in said


def test_a_python_that_was_named_and_is_not_there_ends_in_words(tmp_path: Path) -> None:
    status, said = install(tmp_path, PYTHON="python3.99")
    assert status == 1
    assert "python3.99 cannot be run here" in said


def test_a_python_that_was_named_is_not_passed_over_for_the_one_in_use(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    command(tmp_path / "bin", "python", "echo 3.11")
    command(tmp_path, "python-of-mine", "echo 3.13")

    def make(goal: str, python: Path) -> str:
        line = ["make", "-n", "-C", str(ROOT), goal, f"VENV={tmp_path}", f"PYTHON={python}"]
        done = subprocess.run(line, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})  # noqa: S603
        return done.stdout + done.stderr

    said = make("lint", tmp_path / "python-of-mine")
    assert f"{tmp_path} was made with Python 3.11, not with {tmp_path / 'python-of-mine'}; 'make clean' first" in said
    assert "ruff" in make("lint", tmp_path / "bin/python")
    assert "rm -rf" in make("clean", tmp_path / "python-of-mine")


@pytest.mark.parametrize(
    "line",
    [
        "DISCORD_TOKEN=a",
        "export DISCORD_TOKEN=a",
        " DISCORD_TOKEN = a",
        "DISCORD_TOKEN=",
        "DISCORD_TOKEN= # none",
        "DISCORD_TOKEN=\r",
        "# DISCORD_TOKEN=a",
        "OTHER_DISCORD_TOKEN=a",
    ],
)
def test_make_run_sees_a_token_where_the_program_sees_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.delenv("DISCORD_TOKEN", raising=False)
    pattern = re.search(r"grep -qsE '([^']+)' \.env", (ROOT / "Makefile").read_text())
    assert pattern is not None
    file = tmp_path / ".env"
    file.write_bytes(f"PORT=1\n{line}\n".encode())
    found = subprocess.run(["grep", "-qsE", pattern[1], file], check=False).returncode == 0  # noqa: S603, S607
    assert found == (load_settings(env_file=file).discord_token is not None)

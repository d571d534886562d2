"""Imports run one way: `ser_engine` and `storage` know nothing of each other or of `bot`, and nothing in the product
leans on the sandbox except the command that starts the demo."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parent.parent

FORBIDDEN = {
    "ser_engine": {"bot", "storage", "discord", "davey", "dave", "aiohttp", "sqlalchemy", "alembic", "aiosqlite"},
    "storage": {"bot", "ser_engine", "discord", "davey", "dave", "aiohttp"},
    "bot": {"tests"},
    "bot/web": {"discord", "davey", "dave", "bot.voice", "bot.client", "bot.commands", "bot.sandbox"},
    "bot/pictures": {"discord", "aiohttp", "bot.web", "bot.voice", "bot.client", "bot.commands", "bot.listening"},
    "bot/voice": {"storage", "aiohttp", "bot.listening", "bot.web", "bot.client", "bot.commands", "bot.sandbox"},
    "bot/sandbox": {"storage", "ser_engine", "bot.listening", "bot.web", "bot.client", "bot.commands", "bot.service"},
}
MAY_USE_THE_SANDBOX = {"bot/cli/run.py", "bot/cli/soak.py", "bot/cli/soak_stage.py", "bot/cli/demo.py"}
HEAVY = {"tensorflow", "keras", "librosa", "sklearn", "onnxruntime", "onnx", "pydub"}


def _imports(path: Path, *, top_level_only: bool = False) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import, `if TYPE_CHECKING` left out."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in tree.body if top_level_only else ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).parent.parts
            base = [*package[: len(package) - node.level + 1], *([node.module] if node.module else [])]
            module = ".".join(base) if node.level else str(node.module)
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("layer", FORBIDDEN)
def test_no_import_runs_against_the_layers(layer: str) -> None:
    files = sorted((ROOT / layer).rglob("*.py"))
    assert files, f"{layer} is empty"
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in files
        for line, name in _imports(path)
        if any(_within(name, package) for package in FORBIDDEN[layer])
    ]
    assert not wrong, wrong


def test_only_the_demo_and_the_soak_use_the_sandbox() -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "bot").rglob("*.py")
        if not path.is_relative_to(ROOT / "bot" / "sandbox")
        and any(_within(name, "bot.sandbox") for _, name in _imports(path))
    }
    assert users <= MAY_USE_THE_SANDBOX


def test_nothing_heavy_is_imported_at_the_top_of_the_service() -> None:
    """TensorFlow and librosa load only in worker processes and in the commands that train and measure."""
    allowed = (ROOT / "ser_engine" / "training", ROOT / "bot" / "cli")
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for package in ("bot", "storage", "ser_engine")
        for path in (ROOT / package).rglob("*.py")
        if not any(path.is_relative_to(folder) for folder in allowed)
        for line, name in _imports(path, top_level_only=True)
        if name.split(".", maxsplit=1)[0] in HEAVY
    ]
    assert not wrong, wrong

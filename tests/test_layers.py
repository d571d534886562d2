"""Imports run one way: `ser_engine` and `storage` know nothing of each other or of `bot`; the loopback Discord in
`sandbox` knows nothing of the product; only `lab` stands both up together."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parent.parent

DISCORD = {"discord", "davey", "dave"}
FORBIDDEN = {
    "ser_engine": {"bot", "lab", "sandbox", "storage", *DISCORD, "aiohttp", "sqlalchemy", "alembic", "aiosqlite"},
    "storage": {"bot", "lab", "sandbox", "ser_engine", *DISCORD, "aiohttp"},
    "sandbox": {"bot", "lab", "storage", "sqlalchemy"},
    "bot": {"lab", "sandbox", "tests"},
    "lab": {"tests"},
    "bot/web": {*DISCORD, "bot.voice", "bot.client", "bot.commands"},
    "bot/pictures": {"discord", "aiohttp", "bot.web", "bot.voice", "bot.client", "bot.commands", "bot.listening"},
    "bot/report": {"discord", "aiohttp", "bot.web", "bot.voice", "bot.client", "bot.commands", "bot.listening"},
    "bot/voice": {"storage", "aiohttp", "bot.listening", "bot.web", "bot.client", "bot.commands", "bot.pictures"},
    "bot/listening": {"bot.web", "bot.client", "bot.commands", "bot.service", "bot.cli"},
    "bot/commands": {"aiohttp", "bot.web", "bot.client", "bot.service", "bot.cli"},
}
VOICE_NEEDS = {"discord", "davey", "nacl", "numpy"}
"""What the voice layer may import from outside at the top of a file: its four packages bring no more."""
CODEC_ONLY = "ser_engine.opus"
"""All that the loopback Discord may take from the engine: the Opus codec."""
MOST_LINES = 300
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


def test_the_loopback_discord_takes_only_the_codec_from_the_engine() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sorted((ROOT / "sandbox").rglob("*.py"))
        for line, name in _imports(path)
        if _within(name, "ser_engine") and not _within(name, CODEC_ONLY)
    ]
    assert not wrong, wrong


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


def test_the_voice_layer_stands_alone() -> None:
    """Other people's bots use it: nothing else of `bot`, of the engine the codec and its types, nothing else at all."""
    wrong = []
    for path in sorted((ROOT / "bot" / "voice").rglob("*.py")):
        for line, name in _imports(path):
            ours = _within(name, "bot.voice") or _within(name, CODEC_ONLY) or _within(name, "ser_engine.types")
            if name.split(".")[0] in ("bot", "lab", "sandbox", "ser_engine", "storage") and not ours:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {name}")
        for line, name in _imports(path, top_level_only=True):
            first = name.split(".")[0]
            if first not in sys.stdlib_module_names | VOICE_NEEDS | {"bot", "ser_engine"}:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {name}")
    assert not wrong, wrong


def test_every_file_fits_in_the_head() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for package in ("bot", "ser_engine", "storage")
        for path in (ROOT / package).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert not long

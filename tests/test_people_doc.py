"""docs/people.md keeps its word: every test that it names is there, and every rule and line names one."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parent
LINES = [
    line
    for line in (ROOT.parent / "docs" / "people.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and line not in ("| rule | test |", "| promise | test |")
]
NAMED = re.compile(r"`((?:[a-z0-9_]+/)*test_\w+\.py)(?:::(\w+))?`")
COMMAND = re.compile(r"`python -m ([\w.]+)`")


@cache
def functions_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def test_all_ten_rules_are_there() -> None:
    numbers = [int(found[1]) for line in LINES if (found := re.match(r"\| (\d+)\. ", line))]
    assert numbers == list(range(1, 11))


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[2:50])
def test_every_line_names_tests_that_exist(line: str) -> None:
    tests = line.strip("| ").rpartition(" | ")[2]
    named = NAMED.findall(tests)
    assert named, "no test"
    quoted = re.findall(r"`[^`]+`", tests)
    assert len(quoted) == len(named) + len(COMMAND.findall(tests)), f"something else than tests: {quoted}"
    for file, function in named:
        path = ROOT / file
        assert path.is_file(), file
        assert not function or function in functions_of(path), f"{file} has no {function}"
    for module in COMMAND.findall(tests):
        assert find_spec(module) is not None, module

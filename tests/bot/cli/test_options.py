"""What the options of every command refuse."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import click
import pytest

from bot.cli.program import _COMMANDS

pytestmark = pytest.mark.unit


def options(command: click.Command) -> Iterator[click.Parameter]:
    yield from command.params
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from options(inner)


@pytest.mark.parametrize("value", ["nan", "-nan", "inf", "-inf", "1e999", "soon"])
def test_what_cannot_be_counted_with_is_refused_by_every_command(value: str) -> None:
    seen = set()
    for name, (module, attribute, _) in _COMMANDS.items():
        for option in options(getattr(importlib.import_module(module), attribute)):
            if isinstance(option.type, click.types.FloatParamType):
                seen.add((name, option.opts[0]))
                with pytest.raises(click.BadParameter):
                    option.type(value, option)
    assert ("demo", "--seconds") in seen

"""`docs/reference.md`, made from the code: every command, setting, end reason and counter with its own explanation.

`make docs` writes it; a test compares it with the code.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, cast

import click
import discord
from discord import app_commands

from bot import texts
from bot.__main__ import main
from bot.app import App
from bot.commands.register import register
from bot.commands.whose_voice import Remembered
from bot.listening.ends import EndReason
from bot.settings import Settings, load_settings, variable
from bot.voice.counters import ReceiveCounters
from storage.owners import PROCESS_ENDED

FILE: Final = Path(__file__).resolve().parent.parent / "docs" / "reference.md"
_HEAD: Final = """# Reference

Made from the code by `make docs`; a test fails when it is out of date.
"""


def reference() -> str:
    """The whole document."""
    return "\n".join([_HEAD, *_terminal(), *asyncio.run(_discord()), *_settings(), *_ends(), *_counters()]) + "\n"


def _table(title: str, intro: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"## {title}\n"
    if intro:
        yield f"{intro}\n"
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        cells = " | ".join(cell.replace("|", "\\|") for cell in row)
        yield f"| {cells} |"
    yield ""


def _terminal() -> Iterator[str]:
    context = click.Context(main, info_name="undertone")
    rows: list[tuple[str, ...]] = []
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        if command is not None:
            rows += _words(f"undertone {name}", command)
    yield from _table("Command line", "", ("command", "what it does", "options"), rows)


def _words(name: str, command: click.Command) -> Iterator[tuple[str, ...]]:
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from _words(f"{name} {each.name}", each)
        return
    options = [max(param.opts, key=len) for param in command.params if isinstance(param, click.Option)]
    taken = [param.human_readable_name for param in command.params if isinstance(param, click.Argument)]
    usage = " ".join([name, *taken])
    yield f"`{usage}`", command.get_short_help_str(200), " ".join(f"`{option}`" for option in options)


async def _discord() -> list[str]:
    client = discord.Client(intents=discord.Intents.none())
    tree = app_commands.CommandTree(client)
    register(client, tree, cast(App, _Nothing()), Remembered())
    rows: list[tuple[str, ...]] = []
    for kind in discord.AppCommandType:
        for command in tree.get_commands(type=kind):
            rows += _slash("/" if kind is discord.AppCommandType.chat_input else "Apps → ", command)
    await client.close()
    return [*_table("In Discord", "", ("command", "what it does"), rows)]


def _slash(prefix: str, command: Any) -> Iterator[tuple[str, str]]:
    if isinstance(command, app_commands.Group):
        for each in command.commands:
            yield from _slash(f"{prefix}{command.name} ", each)
        return
    parameters = getattr(command, "parameters", ())
    takes = "".join(f" {each.name}" if each.required else f" [{each.name}]" for each in parameters)
    description = getattr(command, "description", "") or "Tell how the recordings of a message sound"
    yield f"`{prefix}{command.name}{takes}`", str(description)


def _settings() -> Iterator[str]:
    said = _explained(Settings)
    rows: list[tuple[str, ...]] = []
    for name, field in Settings.model_fields.items():
        rows.append((f"`{variable(name)}`", _default(field.default), said.get(name, "")))
    intro = "From the environment or `.env` ([`.env.example`](../.env.example) has them with comments)."
    yield from _table("Settings", intro, ("variable", "default", "meaning"), rows)


def _default(value: object) -> str:
    """As it is written in `.env`; nothing for what is not set."""
    if value is None or value == ():
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _ends() -> Iterator[str]:
    words = texts.of("en").END_REASONS
    rows = [(f"`{reason}`", words[reason]) for reason in (*EndReason, PROCESS_ENDED)]
    yield from _table("How a session ends", "", ("stored as", "what people read"), rows)


def _counters() -> Iterator[str]:
    said = _explained(ReceiveCounters)
    rows = [(f"`{name}`", said.get(name, "")) for name in ReceiveCounters.__dataclass_fields__]
    yield from _table("What is counted of a call", "", ("counter", "meaning"), rows)


def _explained(owner: type) -> dict[str, str]:
    """The sentence below each field of a class."""
    (body,) = (node for node in ast.parse(inspect.getsource(owner)).body if isinstance(node, ast.ClassDef))
    found = {}
    for field, after in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[field.target.id] = " ".join(str(after.value.value).split())
    return found


class _Nothing:
    """Stands for the service's parts: commands keep it and ask nothing but settings of it until they are used."""

    settings = load_settings(None)

    def __getattr__(self, name: str) -> _Nothing:
        return self


if __name__ == "__main__":
    FILE.write_text(reference(), encoding="utf-8")

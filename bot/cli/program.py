"""The command line. A subcommand is imported only when it is called, so `undertone --help` stays instant."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from typing import Any, Final

import click

from ser_engine.loading import loading

_COMMANDS: Final = {
    # name: (module, attribute, one line of help)
    "run": ("bot.cli.run", "run", "Run the bot and its web pages."),
    "demo": ("lab.cli", "demo", "Show everything against a Discord inside the process; no account needed."),
    "analyze": ("bot.cli.analyze", "analyze", "Tell how recordings sound."),
    "train": ("bot.cli.train", "train", "Train a model directory from a corpus folder."),
    "broaden": ("bot.cli.broaden", "broaden", "Teach a trained engine with further corpora and ordinary speech."),
    "quantise": ("bot.cli.quantise", "quantise", "Make an engine's encoder compute in bytes."),
    "evaluate": ("bot.cli.evaluate", "evaluate", "Measure models on a corpus folder."),
    "crossvalidate": (
        "bot.cli.crossvalidate",
        "crossvalidate",
        "Compare recipes on speakers and sentences held out.",
    ),
    "model": ("bot.cli.model", "model", "Look at model directories, make one cheaper, adopt one of the old app."),
    "bench": ("lab.bench", "bench", "Measure what a window and a voice packet cost on this machine."),
    "load": ("lab.load", "load", "Find how many people this machine carries, against a loopback Discord."),
    "doctor": ("bot.cli.doctor", "doctor", "Check the settings and say what to do."),
    "report": ("bot.cli.report", "report", "Write a stored session's report as a file of its own."),
    "backup": ("bot.cli.backup", "backup", "Copy the database and its key."),
    "log-name": ("bot.cli.log_name", "log_name", "Say what Discord ids are called in the log."),
    "db": ("bot.cli.db", "db", "Look after the database."),
    "soak": ("lab.soak", "soak", "Let simulated speakers join, leave, cut and move at random."),
}


_OUTPUT_IS_GONE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class _LazyGroup(click.Group):
    def main(self, *args: Any, **options: Any) -> Any:
        try:
            return super().main(*args, **options)
        except OSError as error:  # of the output, for a file has its name with it and is answered where it is opened
            if error.filename is not None or error.errno not in _OUTPUT_IS_GONE:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left of it goes there when Python ends
            click.echo(f"The output cannot be written: {error.strerror}.", err=True)
            sys.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        try:
            with loading():
                command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if error.name not in ("lab", "sandbox"):
                raise
            raise click.ClickException(
                f"`undertone {cmd_name}` needs the folders lab and sandbox, which this installation lacks. "
                "Install Undertone from its repository: pip install ."
            ) from None
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.{attribute} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _COMMANDS.items()])


def _version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from bot.release import program_version  # reads what is installed, which takes a moment

        click.echo(f"undertone, version {program_version()}")
        context.exit()


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def main() -> None:
    """Undertone tells people how a conversation sounds."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):
            continue
        if isinstance(stream.buffer, io.RawIOBase):  # PYTHONUNBUFFERED: what a full disk cuts off would not be noticed
            stream = io.TextIOWrapper(io.BufferedWriter(stream.buffer), encoding=stream.encoding, line_buffering=True)
            setattr(sys, name, stream)
        stream.reconfigure(errors="backslashreplace")  # a word that the console cannot show must not end the program

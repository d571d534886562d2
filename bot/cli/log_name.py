"""`undertone log-name`: what a Discord id is called in the log."""

from __future__ import annotations

import click

from bot.cli.running import fail
from bot.errors import StartError
from bot.log_names import log_names
from bot.secret import key_of
from bot.settings import load_settings


@click.command("log-name")
@click.argument("ids", nargs=-1, required=True, type=click.IntRange(min=0), metavar="ID…")
def log_name(ids: tuple[int, ...]) -> None:
    """Say what Discord ids are called in this installation's log, in which no id stands as it is."""
    try:
        log_names.use(key_of(load_settings(), make=False))
    except StartError as error:
        fail(str(error))
    for discord_id in ids:
        click.echo(f"{discord_id}  {log_names.of(discord_id)}")

"""`undertone run`: the bot and its web pages against Discord."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from bot import recognition
from bot.cli.options import Named
from bot.cli.running import fail, first_of, settings_of, until_stopped
from bot.errors import SettingsError


@click.command()
@click.option("--host", help="Address to listen on (UNDERTONE_HOST).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the web pages (PORT).")
@click.option("--data-dir", type=Named(), help="Folder of the database (UNDERTONE_DATA_DIR).")
@click.option("--model", help="Name or path of the model (UNDERTONE_MODEL).")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="UNDERTONE_LOG_LEVEL")
def run(**options: Any) -> None:
    """Run the bot and its web pages until Ctrl-C."""
    settings = settings_of(routed=True, **options)
    try:
        _ = settings.token
    except SettingsError as error:
        fail(str(error))

    async def main(stop: asyncio.Event) -> None:
        warming, module = await recognition.begin(settings, "bot.service")
        async with module.Service(settings, warming=warming) as service:
            click.echo(f"Web pages: {service.entry_url}   (stop with Ctrl-C)")
            if not settings.can_sign_in:
                click.echo("Whoever has this address sees every report. The key in it is a new one at each start.")
            await first_of(stop, service.wait())
            click.echo("Stopping: sessions end with their summary …")

    until_stopped(main)

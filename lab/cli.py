"""`undertone demo`: the service against a Discord inside the process."""

from __future__ import annotations

import asyncio
import logging

import click

from bot import logs, recognition
from bot.cli.options import Number
from bot.cli.running import check_host, fail, first_of, next_free_port, port_trouble, settings_of, until_stopped
from bot.errors import SettingsError, StartError
from bot.settings import load_settings

DEMO_PORT = 8080
"""The demo's pages take the next free port from here when nobody named one."""


@click.command()
@click.option("--host", help="Address to listen on (UNDERTONE_HOST).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the web pages; the channel's page has the next.")
@click.option("--model", help="Name or path of the model (UNDERTONE_MODEL).")
@click.option("--seconds", type=Number(min=1), help="End by itself after this time.")
@click.option("--quiet", is_flag=True, help="Print the two addresses and nothing else.")
def demo(host: str | None, port: int | None, model: str | None, seconds: float | None, quiet: bool) -> None:
    """Show everything against a Discord inside the process; no account, no network."""
    chosen = port if port is not None else _port_from_environment()
    settings = settings_of(host=host, model=model, port=chosen)
    if settings.log_level == "info":
        # A loopback answers a heartbeat before discord.py has noted when it sent it, and discord.py warns of 41 s.
        logs.configure("warning", json=settings.log_json, gateway_level=logging.ERROR)
    try:
        web_port, chat_port = demo_ports(settings.host, chosen)
    except StartError as error:
        fail(str(error))
    if chosen is None and web_port != DEMO_PORT and not quiet:
        click.echo(f"Port {DEMO_PORT} is taken, so the pages are on {web_port}.")

    async def main(stop: asyncio.Event) -> None:
        say = (lambda _: None) if quiet else click.echo
        say("Starting the recognition and a Discord for it …")
        warming, module = await recognition.begin(settings, "lab.demo")
        async with module.Demo(settings, web_port=web_port, chat_port=chat_port, warming=warming) as show:
            click.echo(f"\n  The channel, as people see it:  {show.chat_url}")
            click.echo(f"  The live report:                {show.report_url}\n")
            works = [show.play()]
            if seconds is not None:
                works.append(asyncio.sleep(seconds))
            await first_of(stop, *works)
            say("Stopping: the session ends with its summary …")
        say("Bye.")

    until_stopped(main)


def _port_from_environment() -> int | None:
    """PORT, when somebody set it; then the demo keeps to it."""
    try:
        settings = load_settings()
    except SettingsError as error:
        fail(str(error))
    return settings.port if "port" in settings.model_fields_set else None


def demo_ports(host: str, wanted: int | None) -> tuple[int, int]:
    """Ports of the web pages and of the channel's page. Raises StartError: a port that was named and is taken, a host
    that is not this machine."""
    check_host(host)
    if wanted == 0:
        return 0, 0
    if wanted is not None and (trouble := port_trouble(host, wanted)) is not None:
        raise trouble
    web_port = wanted if wanted is not None else next_free_port(host, DEMO_PORT)
    return web_port, next_free_port(host, web_port + 1)

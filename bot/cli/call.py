"""`undertone doctor --call CHANNEL_ID`: joins a call for a minute and prints what was met there.

Nobody is heard but the person who asks, if they say who they are; what they say is thrown away. The report holds no id,
no name, no key, no address and no audio, so that it can be pasted into a bug report.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiohttp
import click
import discord

from bot.cli.running import fail
from bot.errors import SettingsError
from bot.own_messages import TROUBLE
from bot.settings import Settings, load_settings
from bot.voice import check_call

READY_S: Final = 30.0


class CannotCheck(Exception):
    """The check could not begin; the text says why."""


def printed(channel_id: int, *, me: int | None, seconds: float) -> None:
    """Print the report of a call, or end in words. It names nobody, so it can be pasted into a bug report."""
    try:
        click.echo(asyncio.run(report(load_settings(), channel_id, me=me, seconds=seconds)))
    except (SettingsError, CannotCheck) as error:
        fail(str(error))


def voices_of(guild: discord.Guild) -> list[discord.VoiceChannel | discord.StageChannel]:
    return [*guild.voice_channels, *guild.stage_channels]


async def report(
    settings: Settings,
    channel_id: int,
    *,
    me: int | None,
    seconds: float,
    connector: aiohttp.BaseConnector | None = None,
) -> str:
    """Log in, join the channel for so long, and report.

    Raises:
        CannotCheck: the token is refused, Discord does not answer, there is no such voice channel, or the bot is in a
            call of that server: by the same token, the check would take it out of there.
    """
    discord.http.Route.BASE = settings.discord_api_base
    options: dict[str, Any] = {} if connector is None else {"connector": connector}
    client = discord.AutoShardedClient(
        intents=discord.Intents(guilds=True, voice_states=True), chunk_guilds_at_startup=False, **options
    )
    running = asyncio.create_task(client.start(settings.token), name="doctor-client")
    ready = asyncio.create_task(client.wait_until_ready(), name="doctor-ready")
    try:
        await asyncio.wait({running, ready}, timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        if not client.is_ready():
            raise CannotCheck("Discord did not answer within 30 s.")
        channel = client.get_channel(channel_id)
        if not isinstance(channel, discord.VoiceChannel | discord.StageChannel):
            raise CannotCheck(f"{channel_id} is no voice channel that the bot can see.")
        if client.user is not None and any(client.user.id in one.voice_states for one in voices_of(channel.guild)):
            raise CannotCheck("The bot is in a call of this server already: stop listening there first.")
        return await check_call(channel, consent=lambda user_id: user_id == me, seconds=seconds)
    except discord.LoginFailure as error:
        raise CannotCheck("Discord refuses DISCORD_TOKEN.") from error
    except (*TROUBLE, discord.GatewayNotFound) as error:
        raise CannotCheck(f"{settings.discord_api_base} does not answer ({type(error).__name__}).") from error
    finally:
        await client.close()
        for task in (running, ready):
            task.cancel()
        await asyncio.gather(running, ready, return_exceptions=True)

"""What is known about a message before it is answered: what its place chose, what its author said, which language."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import discord

from bot.app import App
from bot.commands.language import public_texts
from bot.commands.membership import end_stale_answers_of_author
from bot.errors import MessageGone, gone
from bot.listening.surface import DISCORD_TROUBLE
from bot.texts import Texts
from storage.errors import StorageError
from storage.records import Decision, Purpose, VoiceMode

LOOK_S: Final = 3.0


async def mode_of(app: App, message: discord.Message) -> VoiceMode:
    """What becomes of voice messages where it stands."""
    if message.guild is None:
        return VoiceMode.ON_REQUEST
    server = await app.storage.server(message.guild.id)
    return server.voice_mode(message.channel.id, getattr(message.channel, "parent_id", None))


async def standing_of(app: App, message: discord.Message) -> Decision | None:
    """What the author answered for voice messages in this server, since they joined it last."""
    if message.guild is None:
        return None
    await end_stale_answers_of_author(app, message)
    return await app.storage.standing_consent(message.guild.id, message.author.id, Purpose.VOICE)


async def original_of(app: App, message: discord.Message) -> discord.Message | None:
    """The message that this one forwards, where the bot can see it. The forward itself does not say who wrote it.

    It may stand in a server that another process has, or in a thread that was closed: neither is in this one's memory.
    """
    reference = message.reference
    if reference is None or reference.message_id is None or not message.message_snapshots:
        return None
    client, guild_id = app.client(), reference.guild_id
    if guild_id is not None and app.neighbours.has(guild_id) and client.get_guild(guild_id) is None:
        return None  # the bot is not in that server
    known = client.get_channel(reference.channel_id)  # a reference need not name the server, a channel knows it
    partial = client.get_partial_messageable(reference.channel_id, guild_id=guild_id)
    channel = known if isinstance(known, discord.abc.Messageable) else partial
    try:
        async with asyncio.timeout(LOOK_S):
            return await channel.fetch_message(reference.message_id)
    except DISCORD_TROUBLE:
        return None


async def opted_out(app: App, original: discord.Message | None, *, but: int) -> bool:
    """Whether somebody else than `but` wrote what is forwarded, and opted out of being analysed."""
    if original is None or original.author.id == but:
        return False
    if original.guild is None and isinstance(original.channel, discord.PartialMessageable):
        guild_id = original.channel.guild_id  # that process ends answers from before the author joined it again
        return guild_id is not None and (
            await app.storage.standing_consent(guild_id, original.author.id, Purpose.VOICE) is Decision.OPT_OUT
        )
    return await standing_of(app, original) is Decision.OPT_OUT


async def texts_for(app: App, message: discord.Message) -> Texts:
    """The words for an answer that everybody reads who reads the message."""
    return await texts_of_server(app, message.guild)


async def texts_of_server(app: App, guild: discord.Guild | None) -> Texts:
    server = None
    if guild is not None:
        with suppress(StorageError):  # then in the language that it has in Discord: better than no word
            server = await app.storage.server(guild.id)
    return public_texts(server, guild)


def raise_gone(error: BaseException) -> None:
    """Raise MessageGone when that is what Discord says."""
    if gone(error):
        raise MessageGone from error

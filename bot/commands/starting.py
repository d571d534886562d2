"""Starting to listen, for the command and for the button after the statement."""

from __future__ import annotations

import discord

from bot.app import App
from bot.commands.common import Interaction, asker_of, guild_of, say
from bot.commands.language import texts_of
from bot.commands.permissions import require_start, require_voice
from bot.errors import NotPossible
from bot.listening.manager import StartRequest
from bot.own_messages import message_link
from bot.voice import refusal

VoiceChannel = discord.VoiceChannel | discord.StageChannel


async def start(interaction: Interaction, app: App) -> None:
    """Start in the asking person's voice channel and say where the panel is. The interaction is deferred already."""
    guild = guild_of(interaction)
    require_start(asker_of(interaction), await app.storage.server(guild.id))
    channel = voice_channel_of(guild, interaction.user.id)
    require_voice(channel.permissions_for(guild.me), channel.id)
    if (why := refusal(channel)) is not None:
        raise NotPossible(f"JOIN_FAILURES.{why.code}")
    if not app.backend.ready:
        raise NotPossible("STARTING_UP")
    session = await app.sessions.start(
        StartRequest(
            guild_id=guild.id,
            channel_id=channel.id,
            channel=channel,
            started_by=interaction.user.id,
            present=lambda: people_in(channel),
            asked_in=interaction.channel_id,
        )
    )
    texts, panel = texts_of(interaction), session.panel.posted
    if panel is None:
        await say(interaction, texts("LISTENING_IN", channel_id=channel.id))
    else:
        url = message_link(guild.id, panel.channel_id, panel.message_id)
        await say(interaction, texts("LISTENING_IN_PANEL", channel_id=channel.id, url=url))


def voice_channel_of(guild: discord.Guild, user_id: int) -> VoiceChannel:
    """Where that person is. Raises NotPossible when they are in no voice channel."""
    channels: list[VoiceChannel] = [*guild.voice_channels, *guild.stage_channels]
    for channel in channels:
        if user_id in channel.voice_states:
            return channel
    raise NotPossible("NOT_IN_VOICE")


def people_in(channel: VoiceChannel) -> list[tuple[int, bool]]:
    """User ids in the channel, and whether each is a bot."""
    people = []
    for user_id in channel.voice_states:
        member = channel.guild.get_member(user_id)
        people.append((user_id, member.bot if member is not None else False))
    return people

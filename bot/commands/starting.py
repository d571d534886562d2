"""Starting to listen and stopping, for the commands and for the buttons."""

from __future__ import annotations

import asyncio

import discord

from bot.app import App
from bot.cards import embed_of
from bot.commands.common import Interaction, acknowledged, asker_of, guild_of, member_of, say
from bot.commands.language import texts_of
from bot.commands.membership import end_stale_answers, people_in
from bot.commands.permissions import require_start, require_stop, require_voice
from bot.errors import NotAllowed, NotPossible
from bot.listening.board import ended_card
from bot.listening.manager import StartRequest
from bot.listening.session import ListeningSession
from bot.own_messages import message_link
from bot.voice import refusal

VoiceChannel = discord.VoiceChannel | discord.StageChannel


async def start(interaction: Interaction, app: App, wanted: VoiceChannel | None = None) -> None:
    """Start in a voice channel, the asking person's own when none is named, and say where the panel is.

    The interaction is deferred already.
    """
    guild = guild_of(interaction)
    server = await app.storage.server(guild.id)
    require_start(asker_of(interaction), server)
    channel = wanted if wanted is not None else voice_channel_of(guild, interaction.user.id)
    require_joining(member_of(interaction), channel)
    require_voice(channel.permissions_for(guild.me), channel.id)
    if (why := refusal(channel)) is not None:
        raise NotPossible(f"JOIN_FAILURES.{why.code}")
    if not app.backend.ready:
        raise NotPossible("NOT_READY")
    await end_stale_answers_in(app, channel)
    session = await app.sessions.start(
        StartRequest(
            guild_id=guild.id,
            channel_id=channel.id,
            channel=channel,
            started_by=interaction.user.id,
            present=lambda: people_in(channel, server.unheard_role_ids),
            asked_in=interaction.channel_id,
        )
    )
    texts, panel = texts_of(interaction), session.panel.posted
    if session.ending:  # stopped, or taken out of the channel, while it came in
        record = await asyncio.shield(session.ended)
        reason = (record.end_reason if record is not None else None) or ""
        lasted_s = session.limits.elapsed_s
        card = ended_card(texts, channel_id=channel.id, reason=reason, duration_s=lasted_s, report_url=None)
        await say(interaction, embed=embed_of(card))
    elif panel is None:
        await say(interaction, texts("LISTENING_IN", channel_id=channel.id))
    else:
        url = message_link(guild.id, panel.channel_id, panel.message_id)
        await say(interaction, texts("LISTENING_IN_PANEL", channel_id=channel.id, url=url))


async def stop(interaction: Interaction, app: App, session: ListeningSession) -> None:
    """Nothing is heard from here on, however long Discord takes to acknowledge it."""
    require_stop(asker_of(interaction), session.server, started_by=session.record.started_by)
    await acknowledged(interaction, app.sessions.stop(session.record.guild_id))
    await say(interaction, texts_of(interaction).STOPPING_SESSION)


def voice_channel_of(guild: discord.Guild, user_id: int) -> VoiceChannel:
    """Where that person is. Raises NotPossible when they are in no voice channel, or Discord has not told who is."""
    if guild.unavailable:
        raise NotPossible("SERVER_NOT_TOLD")
    channels: list[VoiceChannel] = [*guild.voice_channels, *guild.stage_channels]
    for channel in channels:
        if user_id in channel.voice_states:
            return channel
    raise NotPossible("NOT_IN_VOICE")


def require_joining(member: discord.Member, channel: VoiceChannel) -> None:
    """Whoever starts in a channel may join it themselves. Raises NotAllowed."""
    if member.id not in channel.voice_states and not channel.permissions_for(member).connect:
        raise NotAllowed("CANNOT_JOIN_IT", channel_id=channel.id)


async def end_stale_answers_in(app: App, channel: VoiceChannel) -> None:
    """What people in the channel answered before they left the server counts no more when listening starts."""
    for member in channel.members:
        await end_stale_answers(app, member)

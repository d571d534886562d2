"""What a person's membership in a server means: since when their answers count, and whether they may be heard."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import discord

from bot.app import App
from storage.records import Purpose


async def end_stale_answers(app: App, member: discord.Member) -> None:
    """Leaving a server ends one's standing answers there.

    Discord tells only bots with a privileged intent who leaves; but it tells everybody since when a member is one, and
    what was answered before that was answered before leaving.
    """
    if member.joined_at is not None:
        await _end_before(app, member.guild.id, member.id, member.joined_at)


async def end_stale_answers_of_author(app: App, message: discord.Message) -> None:
    """The same for the author of a message, of whom an interaction does not tell since when they are a member."""
    guild, author = message.guild, message.author
    if guild is None:
        return
    member = author if isinstance(author, discord.Member) else guild.get_member(author.id)
    if member is None:
        try:
            member = await guild.fetch_member(author.id)
        except discord.NotFound as error:  # left, and is not back
            await _end_before(app, guild.id, author.id, _said_at(error))
            return
    await end_stale_answers(app, member)


def _said_at(error: discord.HTTPException) -> datetime:
    """When Discord said so, by its own clock, as answers and memberships are dated. It tells whole seconds."""
    date = error.response.headers.get("Date")
    return parsedate_to_datetime(date) + timedelta(seconds=1) if date is not None else discord.utils.utcnow()


async def _end_before(app: App, guild_id: int, user_id: int, joined_at: datetime) -> None:
    """In the database, and in a session that runs and has read the answer already."""
    ended = await app.storage.end_consents_before(guild_id, user_id, joined_at)
    if Purpose.LIVE in ended and (session := app.sessions.of(guild_id)) is not None:
        await session.people.decide(user_id, None, discord.utils.time_snowflake(joined_at))


def unheard(member: discord.Member | None, role_ids: Collection[int]) -> bool:
    """Whether the server chose that this person is never heard: a bot, or somebody with one of these roles."""
    return member is not None and (member.bot or any(role.id in role_ids for role in member.roles))


def people_in(
    channel: discord.VoiceChannel | discord.StageChannel, role_ids: Collection[int]
) -> list[tuple[int, bool]]:
    """User ids in the channel, and whether each is never heard."""
    return [(user_id, unheard(channel.guild.get_member(user_id), role_ids)) for user_id in channel.voice_states]

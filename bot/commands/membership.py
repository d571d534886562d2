"""What a person's membership in a server means: since when their answers count, and whether they may be heard."""

from __future__ import annotations

from collections.abc import Collection

import discord

from storage import Storage


async def end_stale_answers(storage: Storage, member: discord.Member) -> None:
    """Leaving a server ends one's standing answers there.

    Discord tells only bots with a privileged intent who leaves; but it tells everybody since when a member is one, and
    what was answered before that was answered before leaving.
    """
    if member.joined_at is not None:
        await storage.end_consents_before(member.guild.id, member.id, member.joined_at)


async def end_stale_answers_of_author(storage: Storage, message: discord.Message) -> None:
    """The same for the author of a message, of whom an interaction does not tell since when they are a member."""
    guild, author = message.guild, message.author
    if guild is None:
        return
    member = author if isinstance(author, discord.Member) else guild.get_member(author.id)
    if member is None:
        try:
            member = await guild.fetch_member(author.id)
        except discord.NotFound:  # left, and is not back
            await storage.end_consents_before(guild.id, author.id, discord.utils.utcnow())
            return
    await end_stale_answers(storage, member)


def unheard(member: discord.Member | None, role_ids: Collection[int]) -> bool:
    """Whether the server chose that this person is never heard: a bot, or somebody with one of these roles."""
    return member is not None and (member.bot or any(role.id in role_ids for role in member.roles))


def people_in(
    channel: discord.VoiceChannel | discord.StageChannel, role_ids: Collection[int]
) -> list[tuple[int, bool]]:
    """User ids in the channel, and whether each is never heard."""
    return [(user_id, unheard(channel.guild.get_member(user_id), role_ids)) for user_id in channel.voice_states]

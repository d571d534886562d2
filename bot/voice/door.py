"""Whether a channel lets the bot in. Discord does not answer a request that it refuses, so this is asked before."""

from __future__ import annotations

import discord

from .states import Reason

JOINS = discord.Permissions(view_channel=True, connect=True)


def refusal(channel: discord.VoiceChannel | discord.StageChannel) -> Reason | None:
    """Why Discord would not let the bot into `channel` now; None when it would.

    A full channel still takes those who may *Move Members* there, and who sits in it already.
    """
    me: discord.Member | None = channel.guild.me
    if me is None or me.id in channel.voice_states:
        return None
    allowed = channel.permissions_for(me)
    if not allowed >= JOINS:
        return Reason.FORBIDDEN
    if channel.user_limit and len(channel.voice_states) >= channel.user_limit and not allowed.move_members:
        return Reason.CHANNEL_FULL
    return None

"""Whether a channel lets the bot in. Discord does not answer a request that it refuses, so this is asked before."""

from __future__ import annotations

import discord

from .compat import client_of
from .states import Reason

JOINS = discord.Permissions(view_channel=True, connect=True)


def misuse(channel: discord.VoiceChannel | discord.StageChannel) -> Reason | None:
    """What of the bot itself stands in the way of joining `channel`; None when nothing does.

    Discord gives a bot one call in a server, and two that hold it would take it from each other.
    """
    if not client_of(channel).intents.voice_states:
        return Reason.NO_VOICE_STATES
    return Reason.IN_ANOTHER_CALL if channel.guild.voice_client is not None else None


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

"""Who may do what: Discord's permission arithmetic, as its documentation describes it."""

from __future__ import annotations

from enum import IntFlag
from typing import Final

from sandbox.models import Channel, ChannelType, Guild


class Permission(IntFlag):
    KICK_MEMBERS = 1 << 1
    ADMINISTRATOR = 1 << 3
    MANAGE_CHANNELS = 1 << 4
    MANAGE_GUILD = 1 << 5
    ADD_REACTIONS = 1 << 6
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    CONNECT = 1 << 20
    SPEAK = 1 << 21
    MUTE_MEMBERS = 1 << 22
    DEAFEN_MEMBERS = 1 << 23
    MOVE_MEMBERS = 1 << 24
    USE_VAD = 1 << 25
    USE_APPLICATION_COMMANDS = 1 << 31
    SEND_MESSAGES_IN_THREADS = 1 << 38
    SEND_VOICE_MESSAGES = 1 << 46
    SET_VOICE_CHANNEL_STATUS = 1 << 48


ALL: Final = (1 << 53) - 1

EVERYONE: Final = (
    Permission.ADD_REACTIONS
    | Permission.VIEW_CHANNEL
    | Permission.SEND_MESSAGES
    | Permission.EMBED_LINKS
    | Permission.ATTACH_FILES
    | Permission.READ_MESSAGE_HISTORY
    | Permission.CONNECT
    | Permission.SPEAK
    | Permission.USE_VAD
    | Permission.USE_APPLICATION_COMMANDS
    | Permission.SEND_MESSAGES_IN_THREADS
    | Permission.SEND_VOICE_MESSAGES
)
"""What a new server lets everybody do."""

BOT: Final = EVERYONE & ~Permission.SEND_VOICE_MESSAGES | Permission.SET_VOICE_CHANNEL_STATUS
"""What the bot's invite link asks for; no Administrator."""


def in_guild(guild: Guild, user_id: int) -> int:
    """A member's permissions before any channel's overwrites; 0 for somebody who is not a member."""
    member = guild.members.get(user_id)
    if member is None:
        return 0
    if user_id == guild.owner_id:
        return ALL
    granted = guild.everyone.permissions
    for role_id in member.role_ids:
        if role_id in guild.roles:
            granted |= guild.roles[role_id].permissions
    return ALL if granted & Permission.ADMINISTRATOR else granted


def in_channel(guild: Guild, channel: Channel, user_id: int) -> int:
    """A member's permissions in a channel: the server's, then @everyone's, the roles' and the member's overwrites."""
    granted = in_guild(guild, user_id)
    if granted == ALL or not granted:
        return granted
    roles = set(guild.members[user_id].role_ids)
    tiers = (
        [o for o in channel.overwrites if o.id == guild.id],
        [o for o in channel.overwrites if o.kind == 0 and o.id in roles],
        [o for o in channel.overwrites if o.kind == 1 and o.id == user_id],
    )
    for tier in tiers:
        allow = deny = 0
        for overwrite in tier:
            allow |= overwrite.allow
            deny |= overwrite.deny
        granted = granted & ~deny | allow
    return granted if granted & Permission.VIEW_CHANNEL else 0


def to_write(channel: Channel) -> Permission:
    """What it takes to post there: in a thread another permission counts than in its channel."""
    in_thread = channel.type is ChannelType.PUBLIC_THREAD
    return Permission.SEND_MESSAGES_IN_THREADS if in_thread else Permission.SEND_MESSAGES

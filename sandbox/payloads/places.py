"""People and places as Discord writes them."""

from __future__ import annotations

from datetime import datetime

from sandbox.models import (
    SPOKEN,
    Channel,
    ChannelType,
    Guild,
    Json,
    Member,
    Role,
    User,
    VoiceState,
    utc_now,
)
from sandbox.permissions import in_channel
from sandbox.state import State


def timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def user(record: User) -> Json:
    return {
        "id": str(record.id),
        "username": record.handle,
        "global_name": None if record.bot else record.name,
        "discriminator": "0",
        "avatar": None,
        "bot": record.bot,
        "public_flags": 0,
        "flags": 0,
    }


def role(record: Role) -> Json:
    return {
        "id": str(record.id),
        "name": record.name,
        "color": record.colour,
        "colors": {"primary_color": record.colour, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "icon": None,
        "unicode_emoji": None,
        "position": record.position,
        "permissions": str(record.permissions),
        "managed": record.managed,
        "mentionable": False,
        "flags": 0,
    }


def member(record: Member, *, with_user: bool = True) -> Json:
    body: Json = {
        "nick": record.nick,
        "avatar": None,
        "banner": None,
        "roles": [str(role_id) for role_id in record.role_ids],
        "joined_at": timestamp(record.joined_at),
        "premium_since": None,
        "communication_disabled_until": None,
        "deaf": record.deaf,
        "mute": record.mute,
        "pending": False,
        "flags": 0,
    }
    if with_user:
        body["user"] = user(record.user)
    return body


def channel(record: Channel, state: State) -> Json:
    body: Json = {
        "id": str(record.id),
        "type": int(record.type),
        "last_message_id": str(record.last_message_id) if record.last_message_id else None,
        "flags": 0,
    }
    if record.type is ChannelType.DM:
        recipient = state.users[record.recipient_id or 0]
        return body | {"recipients": [user(recipient)]}
    if record.type is ChannelType.PUBLIC_THREAD:
        return body | _thread(record)
    body |= {
        "guild_id": str(record.guild_id),
        "name": record.name,
        "position": record.position,
        "parent_id": str(record.parent_id) if record.parent_id else None,
        "topic": record.topic,
        "nsfw": False,
        "rate_limit_per_user": 0,
        "permission_overwrites": [
            {"id": str(o.id), "type": o.kind, "allow": str(o.allow), "deny": str(o.deny)} for o in record.overwrites
        ],
    }
    if record.type in SPOKEN:
        body |= {
            "bitrate": record.bitrate,
            "user_limit": record.user_limit,
            "rtc_region": None,
            "video_quality_mode": 1,
        }
    if record.type is ChannelType.VOICE:
        body["status"] = record.status
    return body


def _thread(record: Channel) -> Json:
    return {
        "guild_id": str(record.guild_id),
        "name": record.name,
        "parent_id": str(record.parent_id),
        "owner_id": str(record.owner_id),
        "message_count": 0,
        "member_count": 1,
        "rate_limit_per_user": 0,
        "thread_metadata": {
            "archived": record.archived,
            "auto_archive_duration": 1440,
            "archive_timestamp": timestamp(utc_now()),
            "locked": False,
        },
    }


def interaction_channel(record: Channel, state: State, user_id: int) -> Json:
    """The partial channel of an interaction, with the permissions of the one who caused it."""
    body = channel(record, state)
    body.pop("permission_overwrites", None)
    guild = state.guilds.get(record.guild_id or 0)
    return body | {"permissions": str(in_channel(guild, record, user_id))} if guild else body


def voice_state(record: VoiceState, *, who: Member | None = None) -> Json:
    body: Json = {
        "guild_id": str(record.guild_id),
        "channel_id": str(record.channel_id) if record.channel_id else None,
        "user_id": str(record.user_id),
        "session_id": record.session_id,
        "self_mute": record.self_mute,
        "self_deaf": record.self_deaf,
        "self_video": False,
        "mute": record.mute,
        "deaf": record.deaf,
        "suppress": record.suppress,
        "request_to_speak_timestamp": None,
    }
    if who is not None:
        body["member"] = member(who)
    return body


def guild(record: Guild) -> Json:
    """As ``GET /guilds/{id}`` answers."""
    return {
        "id": str(record.id),
        "name": record.name,
        "icon": None,
        "splash": None,
        "discovery_splash": None,
        "banner": None,
        "description": None,
        "home_header": None,
        "owner_id": str(record.owner_id),
        "application_id": None,
        "region": "deprecated",
        "afk_channel_id": None,
        "afk_timeout": 300,
        "system_channel_id": str(record.system_channel_id) if record.system_channel_id else None,
        "system_channel_flags": 0,
        "rules_channel_id": None,
        "public_updates_channel_id": None,
        "safety_alerts_channel_id": None,
        "widget_enabled": False,
        "widget_channel_id": None,
        "verification_level": 0,
        "default_message_notifications": 1,
        "explicit_content_filter": 0,
        "mfa_level": 0,
        "nsfw": False,
        "nsfw_level": 0,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "premium_progress_bar_enabled": False,
        "preferred_locale": record.locale,
        "vanity_url_code": None,
        "max_members": 500_000,
        "max_presences": None,
        "max_video_channel_users": 25,
        "max_stage_video_channel_users": 50,
        "features": [],
        "emojis": [],
        "stickers": [],
        "roles": [role(r) for r in record.roles.values()],
        "incidents_data": None,
    }


def guild_create(record: Guild, state: State, *, bot_id: int, all_members: bool) -> Json:
    """As the gateway sends it. Without the members and presences intents only the bot and those in voice are listed."""
    members = [
        m for m in record.members.values() if all_members or m.user.id == bot_id or m.user.id in record.voice_states
    ]
    voice_states = [voice_state(v) for v in record.voice_states.values()]
    for body in voice_states:
        body.pop("guild_id")
    return guild(record) | {
        "joined_at": timestamp(record.members[bot_id].joined_at),
        "large": False,
        "unavailable": False,
        "member_count": len(record.members),
        "members": [member(m) for m in members],
        "channels": [channel(c, state) for c in record.channels.values()],
        "voice_states": voice_states,
        "presences": [],
        "threads": [channel(t, state) for t in record.threads.values()],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }

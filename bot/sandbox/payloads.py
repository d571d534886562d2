"""Records as Discord writes them: ids as strings, times in ISO 8601, every field that a client relies on.

The shapes follow Discord's documentation and its public OpenAPI description; fields that clients treat as optional and
that this world has no use for are left out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from bot.sandbox.models import (
    Attachment,
    Channel,
    ChannelType,
    Guild,
    Json,
    Member,
    Message,
    Reaction,
    Role,
    User,
    VoiceState,
)
from bot.sandbox.permissions import in_channel
from bot.sandbox.state import State


class Urls(Protocol):
    """Where files are served."""

    def attachment(self, attachment: Attachment) -> str: ...


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
    if record.type is ChannelType.VOICE:
        body |= {
            "bitrate": record.bitrate,
            "user_limit": record.user_limit,
            "rtc_region": None,
            "video_quality_mode": 1,
            "status": record.status,
        }
    return body


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
        "suppress": False,
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
        "system_channel_id": None,
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
        "preferred_locale": "en-US",
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
        "threads": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def attachment(record: Attachment, urls: Urls, *, ephemeral: bool = False) -> Json:
    url = urls.attachment(record)
    body: Json = {
        "id": str(record.id),
        "filename": record.filename,
        "size": len(record.content),
        "url": url,
        "proxy_url": url,
        "content_type": record.content_type,
    }
    optional = {
        "description": record.description,
        "width": record.width,
        "height": record.height,
        "duration_secs": record.duration_secs,
        "waveform": record.waveform,
        "ephemeral": ephemeral or None,
    }
    return body | {key: value for key, value in optional.items() if value is not None}


def emoji(text: str) -> Json:
    """A character, or ``name:id`` of a custom emoji."""
    name, _, emoji_id = text.partition(":")
    return {"id": emoji_id or None, "name": name if emoji_id else text}


def reaction(record: Reaction, viewer_id: int) -> Json:
    count = len(record.user_ids)
    return {
        "emoji": emoji(record.emoji),
        "count": count,
        "count_details": {"burst": 0, "normal": count},
        "me": viewer_id in record.user_ids,
        "me_burst": False,
        "burst_colors": [],
    }


def message(record: Message, state: State, urls: Urls, *, viewer_id: int, nested: bool = False) -> Json:
    """As REST answers it; `viewer_id` decides which reactions are ``me``. A reply carries what it replies to, once."""
    files = {a.filename: urls.attachment(a) for a in record.attachments}
    shown_inside = attachment_names(record.embeds) | attachment_names(record.components)
    body: Json = {
        "id": str(record.id),
        "channel_id": str(record.channel_id),
        "type": _message_type(record),
        "author": user(record.author),
        "content": record.content,
        "timestamp": timestamp(record.created_at),
        "edited_timestamp": timestamp(record.edited_at) if record.edited_at else None,
        "tts": record.tts,
        "mention_everyone": record.mention_everyone,
        "mentions": [user(state.users[u]) for u in record.mention_ids if u in state.users],
        "mention_roles": [str(role_id) for role_id in record.mention_role_ids],
        "attachments": [
            attachment(a, urls, ephemeral=record.ephemeral)
            for a in record.attachments
            if a.filename not in shown_inside
        ],
        "embeds": [with_urls(e, files) for e in record.embeds],
        "components": [with_urls(c, files) for c in record.components],
        "pinned": False,
        "flags": record.flags,
    }
    if record.reactions:
        body["reactions"] = [reaction(r, viewer_id) for r in record.reactions]
    if record.nonce is not None:
        body["nonce"] = record.nonce
    if record.interaction is not None:
        body["interaction_metadata"] = record.interaction
        body["application_id"] = body["webhook_id"] = str(record.webhook_id)
    if record.reply_to_id:
        body["message_reference"] = {
            "type": 0,
            "message_id": str(record.reply_to_id),
            "channel_id": str(record.channel_id),
        } | ({"guild_id": str(record.guild_id)} if record.guild_id else {})
        if not nested:
            referenced = state.message(record.channel_id, record.reply_to_id)
            body["referenced_message"] = (
                message(referenced, state, urls, viewer_id=viewer_id, nested=True) if referenced else None
            )
    return body


def _message_type(record: Message) -> int:
    """0 plain, 19 a reply, 20 the answer to a slash command, 23 to a context menu; the others do not occur here."""
    if record.reply_to_id:
        return 19
    if record.interaction is None or record.interaction["type"] != 2:
        return 0
    return 20 if record.interaction["command_type"] == 1 else 23


def attachment_names(node: object) -> set[str]:
    """The files that an embed or a component shows by ``attachment://name``."""
    if isinstance(node, dict):
        return {name for value in node.values() for name in attachment_names(value)}
    if isinstance(node, list):
        return {name for value in node for name in attachment_names(value)}
    if isinstance(node, str) and node.startswith("attachment://"):
        return {node.removeprefix("attachment://")}
    return set()


def with_urls(node: Json, files: dict[str, str]) -> Json:
    """A copy in which ``attachment://name`` has become the address of that file."""
    return {key: _with_urls(value, files) for key, value in node.items()}


def _with_urls(node: object, files: dict[str, str]) -> object:
    if isinstance(node, dict):
        return {key: _with_urls(value, files) for key, value in node.items()}
    if isinstance(node, list):
        return [_with_urls(value, files) for value in node]
    if isinstance(node, str) and node.startswith("attachment://"):
        return files.get(node.removeprefix("attachment://"), node)
    return node

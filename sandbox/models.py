"""What the simulated Discord holds: users, servers, channels, messages, voice states.

Plain mutable records: they are the rows of a server that lives in memory. They are changed through `State` alone, which
tells the gateway and the page about it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, IntFlag
from typing import Any, Final

Json = dict[str, Any]
"""One JSON object of the wire protocol."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class ChannelType(IntEnum):
    TEXT = 0
    DM = 1
    VOICE = 2
    CATEGORY = 4
    PUBLIC_THREAD = 11
    STAGE = 13
    """Whoever joins listens; a moderator lets them speak."""
    FORUM = 15
    """Holds threads and no messages of its own."""


SPOKEN: Final = frozenset({ChannelType.VOICE, ChannelType.STAGE})
"""Channels in which people talk, and write as well."""


class MessageFlag(IntFlag):
    EPHEMERAL = 1 << 6
    LOADING = 1 << 7
    SUPPRESS_EMBEDS = 1 << 2
    SUPPRESS_NOTIFICATIONS = 1 << 12
    VOICE_MESSAGE = 1 << 13
    HAS_SNAPSHOT = 1 << 14
    """Forwards another message: what that held stands in a copy, and nothing beside it."""
    COMPONENTS_V2 = 1 << 15


@dataclass(slots=True, kw_only=True)
class User:
    id: int
    name: str
    """The name that people see; the account's handle is derived from it."""
    colour: str = "#5b7fd1"
    """Of the avatar on the page, as ``#rrggbb``; Discord has pictures instead."""
    bot: bool = False
    locale: str = "en-GB"
    """The language of this person's client, which Discord sends with what they do."""

    @property
    def handle(self) -> str:
        return "".join(c for c in self.name.lower().replace(" ", "_") if c.isalnum() or c in "._") or f"user{self.id}"


@dataclass(slots=True, kw_only=True)
class Role:
    id: int
    name: str
    permissions: int = 0
    colour: int = 0
    position: int = 0
    managed: bool = False


@dataclass(slots=True, kw_only=True)
class Overwrite:
    """What a channel allows or denies a role (kind 0) or a member (kind 1) beyond the server's roles."""

    id: int
    kind: int
    allow: int = 0
    deny: int = 0


@dataclass(slots=True, kw_only=True)
class Member:
    user: User
    guild_id: int
    role_ids: list[int] = field(default_factory=list)
    nick: str | None = None
    joined_at: datetime = field(default_factory=utc_now)
    mute: bool = False
    deaf: bool = False

    @property
    def name(self) -> str:
        return self.nick or self.user.name


@dataclass(slots=True, kw_only=True)
class Channel:
    id: int
    type: ChannelType
    name: str = ""
    guild_id: int | None = None
    position: int = 0
    parent_id: int | None = None
    topic: str | None = None
    overwrites: list[Overwrite] = field(default_factory=list)
    owner_id: int | None = None
    """Who began a thread."""
    archived: bool = False
    """A thread that was closed."""
    recipient_id: int | None = None
    """The other side of a direct message."""
    status: str | None = None
    """The line under a voice channel's name."""
    user_limit: int = 0
    bitrate: int = 64_000
    last_message_id: int | None = None


@dataclass(slots=True, kw_only=True)
class VoiceState:
    guild_id: int
    channel_id: int | None
    """None once they have left."""
    user_id: int
    session_id: str
    self_mute: bool = False
    self_deaf: bool = False
    mute: bool = False
    deaf: bool = False
    suppress: bool = False
    """On a stage without an invitation to speak: heard by nobody."""
    speaking: bool = False
    """Heard right now; the page draws a ring. Not part of Discord's voice state."""


@dataclass(slots=True, kw_only=True)
class Attachment:
    id: int
    channel_id: int
    filename: str
    content_type: str
    content: bytes
    description: str | None = None
    width: int | None = None
    height: int | None = None
    duration_secs: float | None = None
    waveform: str | None = None


@dataclass(slots=True, kw_only=True)
class Reaction:
    emoji: str
    """The character itself, or ``name:id`` of a custom one."""
    user_ids: list[int] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Message:
    id: int
    channel_id: int
    author: User
    content: str = ""
    guild_id: int | None = None
    created_at: datetime = field(default_factory=utc_now)
    edited_at: datetime | None = None
    embeds: list[Json] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)
    mention_ids: list[int] = field(default_factory=list)
    mention_role_ids: list[int] = field(default_factory=list)
    mention_everyone: bool = False
    reply_to_id: int | None = None
    forwarded: Message | None = None
    """A copy of the message that this one forwards."""
    flags: int = 0
    nonce: str | int | None = None
    tts: bool = False
    interaction: Json | None = None
    """``interaction_metadata`` of a message that answers a command or a press."""
    webhook_id: int | None = None
    visible_to: int | None = None
    """The one user who sees an ephemeral message; None: everybody in the channel."""
    late_edits: int = 0
    """Edits made when it was over an hour old, which Discord limits."""

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & MessageFlag.EPHEMERAL)

    @property
    def loading(self) -> bool:
        """True while it only says that the bot is thinking."""
        return bool(self.flags & MessageFlag.LOADING)

    def custom_ids(self) -> list[str]:
        """The custom ids of its buttons and menus, in order, disabled ones left out."""
        found: list[str] = []
        _collect_custom_ids(self.components, found)
        return found


def _collect_custom_ids(components: list[Json], found: list[str]) -> None:
    for component in components:
        if "custom_id" in component and not component.get("disabled"):
            found.append(component["custom_id"])
        _collect_custom_ids(component.get("components", []), found)
        if "accessory" in component:
            _collect_custom_ids([component["accessory"]], found)


@dataclass(slots=True, kw_only=True)
class Guild:
    id: int
    name: str
    owner_id: int
    locale: str = "en-US"
    """The server's own language, which its settings choose."""
    system_channel_id: int | None = None
    """Where Discord's own messages to the server stand."""
    roles: dict[int, Role] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    threads: dict[int, Channel] = field(default_factory=dict)
    members: dict[int, Member] = field(default_factory=dict)
    voice_states: dict[int, VoiceState] = field(default_factory=dict)
    """By user id."""

    @property
    def everyone(self) -> Role:
        return self.roles[self.id]

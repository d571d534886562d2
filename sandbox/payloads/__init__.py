"""Records as Discord writes them: ids as strings, times in ISO 8601, every field that a client relies on.

The shapes follow Discord's documentation and its public OpenAPI description; fields that clients treat as optional and
that this world has no use for are left out.
"""

from sandbox.payloads.messages import Urls, attachment, emoji, message
from sandbox.payloads.places import (
    channel,
    guild,
    guild_create,
    interaction_channel,
    member,
    role,
    user,
    voice_state,
)

__all__ = [
    "Urls",
    "attachment",
    "channel",
    "emoji",
    "guild",
    "guild_create",
    "interaction_channel",
    "member",
    "message",
    "role",
    "user",
    "voice_state",
]

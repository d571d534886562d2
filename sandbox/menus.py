"""What a menu of a message offers: its own texts, or the people, roles and channels of the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sandbox import components, payloads
from sandbox.models import Channel, Json
from sandbox.world import World

USERS, ROLES, MENTIONABLES, CHANNELS = 5, 6, 7, 8
_BY_KIND: Final = {USERS: ("users",), ROLES: ("roles",), MENTIONABLES: ("users", "roles"), CHANNELS: ("channels",)}


def of_menu(world: World, menu: Json, channel: Channel, chosen: Sequence[str]) -> tuple[set[str], Json]:
    """What can be chosen, and what the interaction tells about what was (its ``resolved``)."""
    if menu["type"] == components.SELECT:
        return {option["value"] for option in menu.get("options", [])}, {}
    guild = world.state.guilds.get(channel.guild_id or 0)
    if guild is None:
        return set(), {}
    wanted = menu.get("channel_types")
    there: dict[str, dict[str, Json]] = {
        "users": {str(m.user.id): payloads.user(m.user) for m in guild.members.values()},
        "roles": {str(r.id): payloads.role(r) for r in guild.roles.values()},
        "channels": {
            str(c.id): payloads.interaction_channel(c, world.state, world.bot.id)
            for c in guild.channels.values()
            if not wanted or int(c.type) in wanted
        },
    }
    offered = {name: there[name] for name in _BY_KIND[menu["type"]]}
    resolved = {name: {key: body for key, body in all_.items() if key in chosen} for name, all_ in offered.items()}
    return {key for all_ in offered.values() for key in all_}, {"resolved": resolved}

"""Who may start and stop listening: pure rules over what Discord sent with the interaction and what the server chose.

Menus hide commands from people, but a menu is no lock: these are asked for every use.
"""

from __future__ import annotations

from dataclasses import dataclass

import discord

from bot.errors import BotLacksPermission, NotAllowed
from storage.records import ServerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """The person who wants something, as far as the rules care."""

    user_id: int
    manages_server: bool
    role_ids: frozenset[int] = frozenset()


def needs_attestation(asker: Asker, server: ServerSettings) -> bool:
    """True when this start has to state first that the server is no workplace, school or exam.

    Raises NotAllowed when the asker is not somebody who can.
    """
    if server.attested_at is not None:
        return False
    if not asker.manages_server:
        raise NotAllowed("NEEDS_MANAGE_SERVER")
    return True


def may_start(asker: Asker, server: ServerSettings) -> bool:
    """Whether the asker may start listening in an attested server: the chosen role, or Manage Server."""
    return asker.manages_server or not asker.role_ids.isdisjoint(server.listen_role_ids)


def require_start(asker: Asker, server: ServerSettings) -> None:
    """Raises NotAllowed, with what is needed instead."""
    if may_start(asker, server):
        return
    if server.listen_role_ids:
        raise NotAllowed("NEEDS_ROLE", roles=" · ".join(f"<@&{role}>" for role in server.listen_role_ids))
    raise NotAllowed("NEEDS_MANAGER")


def require_stop(asker: Asker, server: ServerSettings, *, started_by: int | None) -> None:
    """The one who started it, or anyone who may start. Raises NotAllowed."""
    if asker.user_id != started_by and not may_start(asker, server):
        raise NotAllowed("MAY_NOT_STOP")


def require_voice(permissions: discord.Permissions, channel_id: int) -> None:
    """What the bot itself needs in the voice channel. Raises BotLacksPermission, naming all that is missing."""
    missing = [name for name in ("view_channel", "connect") if not getattr(permissions, name)]
    if missing:
        raise BotLacksPermission(missing, channel_id)

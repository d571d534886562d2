"""Who is called what, and who is what in a server: asked when a page is shown, and never stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What somebody is in a server now."""

    role_ids: frozenset[int]
    manages_server: bool = False
    """Has *Manage Server*."""


class NameDirectory(Protocol):
    """What Discord knows of names and membership now. Each answer is None when it is not known, and quick: from the
    client's cache, or a look-up bounded to a second or two."""

    async def name(self, guild_id: int, user_id: int) -> str | None:
        """How a member is called in that server."""
        ...

    async def channel(self, guild_id: int, channel_id: int) -> str | None:
        """A channel's name, without the number sign."""
        ...

    async def guild(self, guild_id: int) -> str | None:
        """A server's name."""
        ...

    async def membership(self, guild_id: int, user_id: int) -> Membership | None:
        """The roles of a member; None for everybody else, and while Discord does not answer."""
        ...


class NoNames:
    """Without a connection to Discord everybody keeps their pseudonym, and nobody is a member of anything."""

    async def name(self, guild_id: int, user_id: int) -> str | None:
        return None

    async def channel(self, guild_id: int, channel_id: int) -> str | None:
        return None

    async def guild(self, guild_id: int) -> str | None:
        return None

    async def membership(self, guild_id: int, user_id: int) -> Membership | None:
        return None

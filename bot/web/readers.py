"""Who may read a server's reports beside those who took part: the holders of the role that the server chose.

The role is asked of Discord for every visit, so whoever loses it, or leaves the server, reads no further.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

from bot.web.names import Membership, NameDirectory

MAX_SERVERS: Final = 25
"""Servers that a list without a filter asks about, those with the newest sessions; a filter by server reaches any."""


class ViewerRoles(Protocol):
    """What storage has to tell of the roles that servers chose."""

    async def viewer_roles(self, guild_id: int | None = None) -> Mapping[int, int]: ...


class Readers:
    def __init__(self, storage: ViewerRoles, names: NameDirectory) -> None:
        self._storage = storage
        self._names = names
        self.not_asked = 0
        """Servers that were left out of a list because there were more than `MAX_SERVERS`."""

    async def reads(self, guild_id: int, user_id: int) -> bool:
        """Whether the server lets this person read all its reports."""
        return guild_id in await self.servers(user_id, only=guild_id)

    async def servers(self, user_id: int, *, only: int | None = None) -> frozenset[int]:
        """The servers whose reports this person may all read; `only` asks about that one alone."""
        roles = await self._storage.viewer_roles(guild_id=only)
        asked = list(roles.items())[:MAX_SERVERS]
        self.not_asked += len(roles) - len(asked)
        found = await asyncio.gather(*(self._names.membership(guild_id, user_id) for guild_id, _ in asked))
        return frozenset(
            guild_id
            for (guild_id, role_id), member in zip(asked, found, strict=True)
            if member is not None and role_id in member.role_ids
        )

    async def membership(self, guild_id: int, user_id: int) -> Membership | None:
        return await self._names.membership(guild_id, user_id)

"""A directory of names that is a table, and can be slow."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from bot.web.names import Membership


class FakeNames:
    """Satisfies NameDirectory."""

    def __init__(
        self,
        *,
        people: Mapping[int, str] | None = None,
        channels: Mapping[int, str] | None = None,
        guilds: Mapping[int, str] | None = None,
        members: Mapping[tuple[int, int], Membership] | None = None,
        delay_s: float = 0.0,
    ) -> None:
        self.people = dict(people or {})
        self.channels = dict(channels or {})
        self.guilds = dict(guilds or {})
        self.members = dict(members or {})
        """By server and user."""
        self.asked: list[int] = []
        """Servers that were asked about a member."""
        self.delay_s = delay_s

    async def name(self, guild_id: int, user_id: int) -> str | None:
        await asyncio.sleep(self.delay_s)
        return self.people.get(user_id)

    async def channel(self, guild_id: int, channel_id: int) -> str | None:
        await asyncio.sleep(self.delay_s)
        return self.channels.get(channel_id)

    async def guild(self, guild_id: int) -> str | None:
        await asyncio.sleep(self.delay_s)
        return self.guilds.get(guild_id)

    async def membership(self, guild_id: int, user_id: int) -> Membership | None:
        await asyncio.sleep(self.delay_s)
        self.asked.append(guild_id)
        return self.members.get((guild_id, user_id))

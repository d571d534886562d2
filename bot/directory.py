"""What the web pages ask of Discord: how people and places are called, and who has which role."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import aiohttp
import discord

from bot.web.names import Membership

ASK_S: Final = 2.0
FRESH_S: Final = 30.0
"""A membership is asked for anew after this time: without a privileged intent Discord does not tell who lost a role."""
MOST_KEPT: Final = 2_000
AT_ONCE: Final = 8

_TROUBLE: Final = (discord.HTTPException, aiohttp.ClientError, TimeoutError)


class Directory:
    """Satisfies `bot.web.names.NameDirectory`. `client` gives the client while it is connected."""

    def __init__(
        self, client: Callable[[], discord.Client | None], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._monotonic = monotonic
        self._kept: OrderedDict[tuple[int, int], tuple[float, Membership | None]] = OrderedDict()
        self._asking = asyncio.Semaphore(AT_ONCE)
        self.unanswered = 0
        """Memberships that Discord did not tell in time: those people were let in nowhere."""

    async def name(self, guild_id: int, user_id: int) -> str | None:
        guild = self._guild(guild_id)
        if guild is None:
            return None
        member = guild.get_member(user_id)
        if member is None:
            try:
                async with asyncio.timeout(ASK_S):
                    member = await guild.fetch_member(user_id)
            except _TROUBLE:
                return None
        return member.display_name

    async def channel(self, guild_id: int, channel_id: int) -> str | None:
        guild = self._guild(guild_id)
        channel = guild.get_channel(channel_id) if guild is not None else None
        return channel.name if channel is not None else None

    async def guild(self, guild_id: int) -> str | None:
        guild = self._guild(guild_id)
        return guild.name if guild is not None else None

    async def membership(self, guild_id: int, user_id: int) -> Membership | None:
        key = (guild_id, user_id)
        kept = self._kept.get(key)
        if kept is not None and self._monotonic() - kept[0] < FRESH_S:
            return kept[1]
        guild = self._guild(guild_id)
        if guild is None:
            return None
        found: Membership | None = None
        try:
            async with asyncio.timeout(ASK_S), self._asking:
                member = await guild.fetch_member(user_id)
        except discord.NotFound:  # not a member; that is an answer
            pass
        except _TROUBLE:
            self.unanswered += 1
            return None
        else:
            found = Membership(
                role_ids=frozenset(role.id for role in member.roles),
                manages_server=member.guild_permissions.manage_guild,
            )
        self._kept[key] = (self._monotonic(), found)
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return found

    def _guild(self, guild_id: int) -> discord.Guild | None:
        client = self._client()
        return client.get_guild(guild_id) if client is not None else None

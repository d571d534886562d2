"""What the web pages ask of Discord: how people and places are called, and who has which role.

Without a privileged intent a client knows hardly any member who is in no call. And a process that has only some of the
bot's shards shows the reports of the other servers too, of which its client knows nothing. It asks for those over REST,
which every process may, a few at a time, and keeps the answers for a short time.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
import discord

from bot.web.names import Membership

ASK_S: Final = 2.0
FRESH_S: Final = 30.0
"""A membership is asked for anew after this time: without a privileged intent Discord does not tell who lost a role."""
CALLED_FOR_S: Final = 300.0
"""How long a name that was asked for is kept."""
MOST_KEPT: Final = 2_000
AT_ONCE: Final = 8

_TROUBLE: Final = (discord.HTTPException, discord.ClientException, aiohttp.ClientError, TimeoutError)


class Directory:
    """Satisfies `bot.web.names.NameDirectory`. `client` gives the client while it is connected, and `here` says whether
    this process has a server."""

    def __init__(
        self,
        client: Callable[[], discord.Client | None],
        *,
        here: Callable[[int], bool] = lambda _: True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._here = here
        self._monotonic = monotonic
        self._kept: OrderedDict[tuple[str, int, int], tuple[float, Any]] = OrderedDict()
        self._asking = asyncio.Semaphore(AT_ONCE)
        self.asked_elsewhere = 0
        """Questions about servers that another process has."""
        self.unanswered = 0
        """Memberships that Discord did not tell in time: those people were let in nowhere."""

    async def name(self, guild_id: int, user_id: int) -> str | None:
        guild = self._guild(guild_id)
        if guild is not None and (member := guild.get_member(user_id)) is not None:
            return member.display_name

        async def ask(client: discord.Client) -> str:
            return (await (guild or await self._fetched(client, guild_id)).fetch_member(user_id)).display_name

        return await self._called(("person", guild_id, user_id), ask)

    async def channel(self, guild_id: int, channel_id: int) -> str | None:
        if (guild := self._guild(guild_id)) is not None:
            channel = guild.get_channel(channel_id)
            return channel.name if channel is not None else None

        async def ask(client: discord.Client) -> str | None:
            return getattr(await client.fetch_channel(channel_id), "name", None)

        return await self._called(("channel", guild_id, channel_id), ask)

    async def guild(self, guild_id: int) -> str | None:
        if (guild := self._guild(guild_id)) is not None:
            return guild.name

        async def ask(client: discord.Client) -> str:
            return (await self._fetched(client, guild_id)).name

        return await self._called(("guild", guild_id, 0), ask)

    async def membership(self, guild_id: int, user_id: int) -> Membership | None:
        key = ("membership", guild_id, user_id)
        found: Membership | None = None
        if (kept := self._kept_of(key, FRESH_S)) is not None:
            found = kept[0]
            return found
        guild, client = self._guild(guild_id), self._client()
        if client is None or (guild is None and self._here(guild_id)):
            return None
        try:
            async with asyncio.timeout(ASK_S), self._asking:
                member = await (guild or await self._fetched(client, guild_id)).fetch_member(user_id)
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
        self._keep(key, found)
        return found

    async def _called(
        self, key: tuple[str, int, int], ask: Callable[[discord.Client], Awaitable[str | None]]
    ) -> str | None:
        """A name that Discord is asked for; None where this process would know it.

        A page names the same people again and again, so what Discord says is kept. That it did not answer is not.
        """
        client, elsewhere = self._client(), not self._here(key[1])
        if client is None or (not elsewhere and self._guild(key[1]) is None):
            return None
        name: str | None = None
        if (kept := self._kept_of(key, CALLED_FOR_S)) is not None:
            name = kept[0]
            return name
        try:
            async with asyncio.timeout(ASK_S), self._asking:
                self.asked_elsewhere += elsewhere
                name = await ask(client)
        except (discord.NotFound, discord.Forbidden):  # nobody, or nothing, that it may know of; that is an answer
            pass
        except _TROUBLE:
            return None
        self._keep(key, name)
        return name

    async def _fetched(self, client: discord.Client, guild_id: int) -> discord.Guild:
        """A server that another process has, with its roles as they were a moment ago."""
        key = ("fetched", guild_id, 0)
        kept = self._kept_of(key, FRESH_S)
        guild: discord.Guild = kept[0] if kept is not None else await client.fetch_guild(guild_id, with_counts=False)
        if kept is None:
            self._keep(key, guild)
        return guild

    def _kept_of(self, key: tuple[str, int, int], for_s: float) -> tuple[Any] | None:
        kept = self._kept.get(key)
        return (kept[1],) if kept is not None and self._monotonic() - kept[0] < for_s else None

    def _keep(self, key: tuple[str, int, int], what: Any) -> None:
        self._kept[key] = (self._monotonic(), what)
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def _guild(self, guild_id: int) -> discord.Guild | None:
        client = self._client()
        return client.get_guild(guild_id) if client is not None else None

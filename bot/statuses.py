"""The status lines of voice channels, which discord.py cannot read: asked for over the gateway (opcode 43)."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import discord

from bot.voice import compat

REQUEST_CHANNEL_INFO: Final = 43
ANSWER_S: Final = 2.0


class ChannelStatuses:
    """Of the servers of one client."""

    def __init__(self, client: discord.Client) -> None:
        self._waiting: dict[int, set[asyncio.Future[dict[int, str | None]]]] = {}
        """By server: everybody who asked about it. Each waits for themselves: one may give up, or be cut off."""
        compat.on_gateway_event(client, "CHANNEL_INFO", self._answered)

    async def of(self, guild: discord.Guild, channel_id: int) -> str | None:
        """What stands there now; None when nothing does. Raises TimeoutError when Discord does not say."""
        answer: asyncio.Future[dict[int, str | None]] = asyncio.get_running_loop().create_future()
        asking = self._waiting.setdefault(guild.id, set())
        asking.add(answer)
        try:
            if len(asking) == 1:
                await compat.ask_gateway(guild, REQUEST_CHANNEL_INFO, {"guild_id": str(guild.id), "fields": ["status"]})
            async with asyncio.timeout(ANSWER_S):
                return (await answer).get(channel_id)
        finally:
            asking.discard(answer)
            if not asking and self._waiting.get(guild.id) is asking:
                del self._waiting[guild.id]

    def _answered(self, data: Any) -> None:
        try:
            guild_id = int(data["guild_id"])
            lines = {int(channel["id"]): channel.get("status") or None for channel in data["channels"]}
        except (KeyError, TypeError, ValueError):
            return
        for answer in self._waiting.pop(guild_id, ()):
            if not answer.done():
                answer.set_result(lines)

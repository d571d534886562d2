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
        self._waiting: dict[int, asyncio.Future[dict[int, str | None]]] = {}
        compat.on_gateway_event(client, "CHANNEL_INFO", self._answered)

    async def of(self, guild: discord.Guild, channel_id: int) -> str | None:
        """What stands there now; None when nothing does. Raises TimeoutError when Discord does not say."""
        answer = self._waiting.get(guild.id)
        if answer is None:
            answer = self._waiting[guild.id] = asyncio.get_running_loop().create_future()
            answer.add_done_callback(lambda _: self._waiting.pop(guild.id, None))
            await compat.ask_gateway(guild, REQUEST_CHANNEL_INFO, {"guild_id": str(guild.id), "fields": ["status"]})
        try:
            async with asyncio.timeout(ANSWER_S):
                return (await asyncio.shield(answer)).get(channel_id)
        finally:
            answer.cancel()  # one that has come stays; one that has not is asked for anew

    def _answered(self, data: Any) -> None:
        try:
            guild_id = int(data["guild_id"])
            lines = {int(channel["id"]): channel.get("status") or None for channel in data["channels"]}
        except (KeyError, TypeError, ValueError):
            return
        if (answer := self._waiting.get(guild_id)) is not None and not answer.done():
            answer.set_result(lines)

"""What the gateway can tell and discord.py does not ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import discord


def on_gateway_event(client: discord.Client, name: str, take: Callable[[Any], None]) -> None:
    """Have `take` called with each gateway event that discord.py does not know."""
    client._connection.parsers[name] = take


async def ask_gateway(guild: discord.Guild, op: int, data: Any) -> None:
    """Send a request that discord.py does not know over the gateway connection of a server's shard."""
    await guild._state._get_websocket(guild.id).send_as_json({"op": op, "d": data})


def gateway_socket(guild: discord.Guild) -> Any:
    """The main gateway's websocket by which a server's events come, as aiohttp has it; None before the first."""
    try:
        return guild._state._get_websocket(guild.id).socket
    except (AttributeError, KeyError):
        return None

"""What the gateway can tell and discord.py does not ask for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import discord
from discord.gateway import KeepAliveHandler


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


def end_heartbeats(client: discord.Client) -> None:
    """End the threads that keep a client's connections alive, those of its calls too.

    Of one that was just being made when the client ended nobody knows, and its thread would outlive the event loop.
    """
    for thread in threading.enumerate():
        if isinstance(thread, KeepAliveHandler):
            state: Any = thread.ws._connection  # the client's, or that of a call
            call = getattr(state, "voice_client", None)
            if state is client._connection or getattr(call, "client", None) is client:
                thread.stop()

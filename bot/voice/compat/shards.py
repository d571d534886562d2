"""The queue between discord.py's shards and their client, which is private."""

from __future__ import annotations

from typing import Any, Final

import discord
from discord.gateway import ReconnectWebSocket
from discord.shard import EventItem, EventType

__all__ = ["EventItem", "EventType", "QueueClient", "ReconnectWebSocket", "missing_names"]

_QUEUE: Final = "_AutoShardedClient__queue"


class QueueClient(discord.AutoShardedClient):
    """An `AutoShardedClient` whose queue a subclass brings along."""

    def make_queue(self) -> Any:
        """An `asyncio.PriorityQueue` of `EventItem`."""
        raise RuntimeError("a hook")

    async def _async_setup_hook(self) -> None:
        await super()._async_setup_hook()
        self.__dict__[_QUEUE] = self.make_queue()


def missing_names() -> list[str]:
    """What of these names the installed discord.py does not have, in words."""
    names: list[tuple[Any, str]] = [
        (discord.AutoShardedClient, "_async_setup_hook"),
        (EventType, "reconnect"),
        (EventType, "close"),
        (EventType, "terminate"),
    ]
    missing = [f"{owner.__name__} has no {name}" for owner, name in names if not hasattr(owner, name)]
    # An attribute of instances leaves a trace only in the method that reads it.
    if _QUEUE not in discord.AutoShardedClient.connect.__code__.co_names:
        missing.append(f"AutoShardedClient.connect uses no {_QUEUE}")
    return missing

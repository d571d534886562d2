"""Shards that survive what Discord's gateway does on a bad day.

In discord.py 2.7.1 a gateway connection that is cut before its HELLO while a shard connects anew makes the whole client
close, voice connections and all. Here such an end is turned into one more attempt after a pause. Only codes after which
trying again cannot help still close the client. The private names this needs are in `bot.voice.compat`.
"""

from __future__ import annotations

import asyncio
from typing import Final

import discord
import structlog

from bot.voice.compat.gateway import end_heartbeats
from bot.voice.compat.shards import EventItem, EventType, QueueClient, ReconnectWebSocket

FATAL_CODES: Final = frozenset({4004, 4010, 4011, 4012, 4013, 4014})
"""Authentication failed, invalid shard, sharding required, invalid version, invalid or disallowed intents."""
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
STEADY_S: Final = 60.0

_log = structlog.get_logger(__name__)


class ForgivingQueue(asyncio.PriorityQueue[EventItem]):
    """Takes the shards' events; an end that another attempt may mend becomes that attempt, after a pause."""

    def __init__(self) -> None:
        super().__init__()
        self.forgiven = 0
        self._pause_s = FIRST_PAUSE_S
        self._last_s = 0.0
        self._timers: set[asyncio.TimerHandle] = set()

    def put_nowait(self, item: EventItem) -> None:
        if not mendable(item):
            super().put_nowait(item)
            return
        loop = asyncio.get_running_loop()
        if loop.time() - self._last_s > STEADY_S:
            self._pause_s = FIRST_PAUSE_S
        self._last_s = loop.time()
        self.forgiven += 1
        code = item.error.code if isinstance(item.error, discord.ConnectionClosed) else None
        _log.warning("gateway_cut", shard=item.shard.id if item.shard else None, code=code, retry_in_s=self._pause_s)
        again = EventItem(EventType.reconnect, item.shard, item.error)
        self._timers = {timer for timer in self._timers if timer.when() > loop.time()}
        self._timers.add(loop.call_later(self._pause_s, super().put_nowait, again))
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    def stop(self) -> None:
        """Forget the attempts that were still to come."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()


def mendable(item: EventItem) -> bool:
    """Whether a shard wants the client to end for something that another attempt may mend.

    A cut before HELLO while connecting anew comes as *terminate* with the wish to resume, other ends as *close*.
    """
    if item.type == EventType.terminate:
        return isinstance(item.error, ReconnectWebSocket)
    if item.type != EventType.close or not isinstance(item.error, discord.ConnectionClosed):
        return False
    return item.error.code not in FATAL_CODES | {1000}


class SteadyClient(QueueClient):
    """An `AutoShardedClient` with a forgiving queue."""

    _events: ForgivingQueue | None = None

    def make_queue(self) -> ForgivingQueue:
        self._events = ForgivingQueue()
        return self._events

    @property
    def cuts_survived(self) -> int:
        """How often the gateway hung up in a way that would have ended the client."""
        return self._events.forgiven if self._events is not None else 0

    async def connect(self, *, reconnect: bool = True) -> None:
        try:
            await super().connect(reconnect=reconnect)
        finally:
            end_heartbeats(self)

    async def close(self) -> None:
        if self._events is not None:
            self._events.stop()
        await super().close()


_LIBRARY_TASKS: Final = ("discord.py:", "CommandTree-", "discord-ui-")
_VIEW_TIMER: Final = "BaseView.__timeout_task_impl"
"""discord.py's timer of a view in a private message: up to 15 minutes, without a name or an owner."""


async def settle(within_s: float = 3.0) -> None:
    """Give discord.py's own tasks (one an event or command, without an owner) time to end; then end them."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    timers = {task for task in others if getattr(task.get_coro(), "__qualname__", "") == _VIEW_TIMER}
    busy = {task for task in others if task.get_name().startswith(_LIBRARY_TASKS)}
    if busy:
        _, late = await asyncio.wait(busy, timeout=within_s)
        timers |= late
    for task in timers:
        task.cancel()
    await asyncio.gather(*timers, return_exceptions=True)

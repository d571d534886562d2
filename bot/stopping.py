"""The end of the service, in order and in time: whatever hangs, a stop comes to its end in ten seconds.

Sessions end with their summary first, while everything still works. Then the connection to Discord and the pages close,
and what is left is written. What waits for the database is given up last of all, because it may come back meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import structlog

from bot.listening.ends import EndReason
from bot.shards import settle
from storage import Storage

if TYPE_CHECKING:
    from bot.client import ClientKeeper
    from bot.listening.manager import SessionManager

REST_BY_S: Final = 6.5
"""After which Discord, pages and the last writing have had their time; the sessions have taken their part of it. What
waits for the database, a connection each, takes up to 2 s more to be told that there is none."""

_log = structlog.get_logger(__name__)


class OfSessions:
    """Tasks of sessions, which end by themselves, until the stop gives them up."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: set[asyncio.Task[None]] = set()
        self._given_up = False

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> object:
        """Raises RuntimeError when the service takes no task any more: the stop would wait for it."""
        try:
            if self._given_up:
                raise RuntimeError(f"{name} begins after the end")
            task = self._group.create_task(work, name=name)
        except RuntimeError:
            work.close()
            raise
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def give_up(self) -> None:
        self._given_up = True
        for task in self._tasks:
            task.cancel()


async def end_in_time(
    sessions: SessionManager,
    gateway: ClientKeeper,
    pages: AsyncExitStack,
    storage: Storage,
    *,
    lasting: Collection[asyncio.Task[None]],
    discord: asyncio.Task[None],
    late: OfSessions,
) -> None:
    """`lasting` are tasks that only end when they are cancelled."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + REST_BY_S
    await sessions.end_all(EndReason.SHUTDOWN)
    for task in lasting:
        task.cancel()
    closing = [
        asyncio.create_task(gateway.close(), name="stopping-discord"),
        asyncio.create_task(pages.aclose(), name="stopping-pages"),
    ]
    _, hanging = await asyncio.wait({*closing, *lasting}, timeout=max(0.0, until_s - loop.time()))
    if hanging:
        _log.warning("stop_cut_short", hanging=sorted(task.get_name() for task in hanging))
        await storage.close(within_s=0.0)  # whoever waits for it is told
    for task in (*closing, *lasting, discord):
        task.cancel()
    late.give_up()  # a session that is late is stored; what it still waits for is Discord
    for outcome in await asyncio.gather(*closing, *lasting, discord, return_exceptions=True):
        if isinstance(outcome, Exception):
            _log.error("stop_step_broke", exc_info=outcome)
    await settle(0.0)

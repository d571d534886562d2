"""The end of the service, in order and in time: whatever hangs, a stop comes to its end in ten seconds.

Sessions end with their summary first, while everything still works. Then the connection to Discord and the pages close,
and what is left is written. What waits for the database is given up last of all, because it may come back meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

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


async def end_in_time(
    sessions: SessionManager,
    gateway: ClientKeeper,
    pages: AsyncExitStack,
    storage: Storage,
    *,
    lasting: Collection[asyncio.Task[None]],
    discord: asyncio.Task[None],
    late: Collection[asyncio.Task[None]],
) -> None:
    """`lasting` are tasks that only end when they are cancelled; `late` those of sessions, which end by themselves."""
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
    # A session that is late is stored; what it still waits for is Discord.
    for task in (*closing, *lasting, discord, *late):
        task.cancel()
    for outcome in await asyncio.gather(*closing, *lasting, discord, return_exceptions=True):
        if isinstance(outcome, Exception):
            _log.error("stop_step_broke", exc_info=outcome)
    await settle(0.0)

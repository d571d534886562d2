"""Somebody who follows a session live, and what they are told. See `bot.listening.live`."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEvent:
    id: int
    """Rises by one an event within a session."""
    kind: str
    data: dict[str, Any]
    wire: dict[str, bytes] = field(default_factory=dict, compare=False, repr=False)
    """How it was written down for those who follow: once for all of them."""


@dataclass(slots=True, eq=False)
class Follower:
    """Somebody who follows one session. Use `LiveBus.follow`."""

    queue: deque[LiveEvent] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False

    async def next(self, timeout_s: float | None = None) -> list[LiveEvent] | None:
        """What has come since; empty when nothing came in time, or when only `LiveBus.nudge` did. None: it is over."""
        if not self.queue and not self.closed:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self.wake.wait()
        self.wake.clear()
        if not self.queue and self.closed:
            return None
        found = list(self.queue)
        self.queue.clear()
        return found

    def close(self) -> None:
        self.closed = True
        self.wake.set()

"""Waiting for a condition, and how long something took.

A limit ends a test that would wait for ever; no test is about it. A machine that is busy, or stands still, comes late
to what is due: what it is late counts as nobody's time here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

LOOK_S = 0.01
_IN_TIME_S = 2 * LOOK_S


def kept_waiting_s(who: str = "thread-self") -> float:
    """How long this thread, or another process by its id, has waited for a processor in its life, where Linux tells."""
    try:
        return int(Path(f"/proc/{who}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


class OwnTime:
    """The time that this process had, in seconds: a look that comes late counts as one in time, or as the processor
    time that was used meanwhile. So what holds the event loop up by working counts, and what keeps it from working does
    not."""

    def __init__(self) -> None:
        self.s = 0.0
        self.late_s = 0.0
        """What was left out."""
        self._looked_s, self._worked_s = time.monotonic(), time.process_time()

    def look(self) -> None:
        looked_s, worked_s = time.monotonic(), time.process_time()
        took_s = looked_s - self._looked_s
        own_s = min(took_s, max(_IN_TIME_S, worked_s - self._worked_s))
        self.s += own_s
        self.late_s += took_s - own_s
        self._looked_s, self._worked_s = looked_s, worked_s


async def until(true: Callable[[], object], limit_s: float = 60.0) -> float:
    """Wait until something is true; how long it took, as `OwnTime` counts."""
    own = OwnTime()
    async with asyncio.timeout(limit_s):
        while not true():
            await asyncio.sleep(LOOK_S)
            own.look()
    return own.s


class Stopwatch:
    """``async with Stopwatch() as watch``: how long the block takes, as `OwnTime` counts."""

    def __init__(self) -> None:
        self._own = OwnTime()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._own = OwnTime()
        self._task = asyncio.create_task(self._look(), name="stopwatch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._own.look()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def took_s(self) -> float:
        return self._own.s

    @property
    def late_s(self) -> float:
        """What the machine was late meanwhile."""
        return self._own.late_s

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self._own.look()

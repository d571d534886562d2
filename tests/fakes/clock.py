"""A clock that stands still until it is told to go."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta


class FakeClock:
    """Satisfies Clock. `advance` wakes sleepers in the order of their times and lets them work."""

    def __init__(self, start: datetime = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)) -> None:
        self._start = start
        self._at_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._number = 0

    def monotonic_s(self) -> float:
        return self._at_s

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._at_s)

    async def sleep(self, seconds: float) -> None:
        wake = asyncio.Event()
        self._number += 1
        entry = (self._at_s + seconds, self._number, wake)
        heapq.heappush(self._sleepers, entry)
        try:
            await wake.wait()
        finally:
            if entry in self._sleepers:
                self._sleepers.remove(entry)
                heapq.heapify(self._sleepers)

    async def advance(self, seconds: float) -> None:
        target_s = self._at_s + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= target_s:
            at_s, _, wake = heapq.heappop(self._sleepers)
            self._at_s = max(self._at_s, at_s)
            wake.set()
            await settle()
        self._at_s = target_s
        await settle()


async def settle(turns: int = 12) -> None:
    """Let everything that can run now, run."""
    for _ in range(turns):
        await asyncio.sleep(0)

"""The beat of all voice readers on one event loop: when sockets are read, and whose packets are worked on.

One timer serves all calls. A timer for each would cost a turn of the loop every 20 ms, and timers that run apart come
to work in the same turn sooner or later, one slice after the other. So the beat is kept against the clock, readers work
at different beats of it, and in one turn of the loop one slice of packets is worked on, whoever they belong to.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import ClassVar, Final, Protocol
from weakref import WeakKeyDictionary

TICK_S: Final = 0.020
WORK_TICKS: Final = 5
"""A reader's packets are worked on at each fifth tick: every 100 ms."""


class Paced(Protocol):
    """What is kept in time. Neither method may raise."""

    def tick(self, *, work: bool) -> None:
        """Called every 20 ms; `work`: it is this reader's turn to work on what it has read."""

    def slice(self) -> bool:
        """Work on packets for a few milliseconds; True when some are left."""


class Pace:
    """Of one event loop. It runs while a reader is there, and each of them has its own tick to work at."""

    _of_loops: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, Pace]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._phases: dict[Paced, int] = {}
        """At which of `WORK_TICKS` ticks each reader works."""
        self._ticks = 0
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._queue: deque[Paced] = deque()
        """Readers with packets to work on, each once; the first one is next."""
        self._working: asyncio.Handle | None = None

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> Pace:
        if (pace := cls._of_loops.get(loop)) is None:
            pace = cls._of_loops[loop] = cls()
        return pace

    def keeps(self, reader: Paced) -> bool:
        """Whether the timer calls this reader."""
        return reader in self._phases

    def join(self, reader: Paced) -> None:
        """Call this reader's `tick` from now on; it gets the tick at which fewest others work."""
        if reader in self._phases:
            return
        taken = list(self._phases.values())
        self._phases[reader] = min(range(WORK_TICKS), key=taken.count)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._due_s = loop.time() + TICK_S
            self._timer = loop.call_at(self._due_s, self._tick)

    def leave(self, reader: Paced) -> None:
        """Call this reader's `tick` no more. What it has read is still worked on."""
        self._phases.pop(reader, None)
        if not self._phases and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def work(self, reader: Paced) -> None:
        """Let this reader work on its packets soon."""
        if reader not in self._queue:
            self._queue.append(reader)
        if self._working is None:
            self._working = asyncio.get_running_loop().call_soon(self._slice)

    def forget(self, reader: Paced) -> None:
        """This reader has ended."""
        self.leave(reader)
        if reader in self._queue:
            self._queue.remove(reader)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._ticks += 1
        missed = max(0, int((loop.time() - self._due_s) / TICK_S))
        self._due_s += (1 + missed) * TICK_S
        self._timer = loop.call_at(self._due_s, self._tick)
        turn = self._ticks % WORK_TICKS
        for reader, phase in list(self._phases.items()):
            reader.tick(work=phase == turn)

    def _slice(self) -> None:
        self._working = None
        if not self._queue:
            return
        reader, left = self._queue.popleft(), False
        try:
            left = reader.slice()
        finally:
            if left:
                self.work(reader)
            if self._queue and self._working is None:
                self._working = asyncio.get_running_loop().call_soon(self._slice)

"""The reports that are being read now, held for a moment: a page asks for one twice, and two hundred pages at once.

A held report is given only as long as the database holds the same rows, so what was deleted is never shown again. Of a
running session it may be some seconds old: it comes with the id of the last event that is in it, and the page goes on
from there.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

from storage.records import Edition, SessionReport, SessionState

MAX_REPORTS: Final = 4
MAX_WINDOWS: Final = 40_000
"""In all held reports; about 10 MB."""
MAX_MADE: Final = 8
"""Answers made of one report: with names, without them, …"""
LIVE_FOR_S: Final = 5.0

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Held:
    """A report, and what was made of it."""

    report: SessionReport
    last_event_id: int
    """The live events after this one are not in it."""
    made: OrderedDict[Hashable, asyncio.Future[Any]] = field(default_factory=OrderedDict)

    async def answer(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives. It runs in a thread, once for each key, and again after an error. Many get the answer, so
        nobody may change it."""
        making: asyncio.Future[T] | None = self.made.get(key)
        if making is None or _failed(making):
            making = self.made[key] = asyncio.ensure_future(asyncio.to_thread(make))
            if len(self.made) > MAX_MADE:
                self.made.popitem(last=False)
        return await asyncio.shield(making)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    held: Held
    edition: Edition
    since_s: float


class Reports:
    """Bounded by number and by windows; the least used goes first."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.reads = 0

    async def get(
        self,
        session_id: str,
        edition: Callable[[], Awaitable[Edition | None]],
        read: Callable[[], Awaitable[Held | None]],
    ) -> Held | None:
        """The report: held, or read now. None: there is none."""
        lock = self._locks.setdefault(session_id, asyncio.Lock())
        async with lock:  # two hundred pages that ask at once cost one reading
            now = await edition()
            kept = self._kept.get(session_id)
            if now is None:
                self._kept.pop(session_id, None)
                return None
            if kept is not None and self._is_good(kept, now):
                self._kept.move_to_end(session_id)
                return kept.held
            since_s = self._monotonic()
            held = await read()
            if held is not None:
                self.reads += 1
                self._keep(session_id, _Kept(held=held, edition=now, since_s=since_s))
            return held

    def _is_good(self, kept: _Kept, now: Edition) -> bool:
        before = kept.edition
        if before == now:
            return True
        if now.state is not SessionState.LIVE or self._monotonic() - kept.since_s >= LIVE_FOR_S:
            return False
        grown = now.windows >= before.windows and now.moments >= before.moments
        return grown and replace(now, windows=before.windows, moments=before.moments) == before

    def _keep(self, session_id: str, kept: _Kept) -> None:
        self._kept[session_id] = kept
        self._kept.move_to_end(session_id)
        while len(self._kept) > 1 and (len(self._kept) > MAX_REPORTS or self._windows() > MAX_WINDOWS):
            self._kept.popitem(last=False)

    def _windows(self) -> int:
        return sum(kept.edition.windows for kept in self._kept.values())


def _failed(making: asyncio.Future[Any]) -> bool:
    return making.done() and (making.cancelled() or making.exception() is not None)

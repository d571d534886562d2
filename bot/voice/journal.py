"""What happened to a call, without saying to whom: for a report that somebody can paste into a bug report.

Nothing here holds an id, a name, a key, an address or audio. People's streams are numbered in the order in which they
were first met. Bounded: the oldest entries go, and their number stays.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

MAX_ENTRIES: Final = 200
MAX_STREAMS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    at_s: float
    """Seconds since the link was made."""
    what: str
    figures: dict[str, int | float | str]


@dataclass(slots=True)
class StreamTimes:
    """When a stream was first met, and when the gateway named its owner; seconds since the link was made."""

    first_packet_s: float | None = None
    named_s: float | None = None


@dataclass(slots=True)
class _Book:
    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=MAX_ENTRIES))
    streams: list[StreamTimes] = field(default_factory=list)


class Journal:
    """Written by the connection and the receiver as things happen; read once, by the report."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_s = clock()
        self._book = _Book()
        self._current: dict[int, StreamTimes] = {}
        self.met: set[int] = set()
        """SSRCs of which a packet has come on this connection."""
        self.forgotten = 0

    def note(self, what: str, **figures: int | float | str) -> None:
        """Something happened to the connection. `figures` are numbers, codes and versions, never ids."""
        entries = self._book.entries
        self.forgotten += len(entries) == MAX_ENTRIES
        entries.append(Entry(at_s=self._now_s(), what=what, figures=figures))

    def failed(self, what: str, error: BaseException, code: int | None) -> None:
        """An attempt came to nothing; `code` is the one that the voice gateway closed with. Only the error's kind is
        kept, because its text may name an address."""
        self.note(f"{what}_failed", error=type(error).__name__, **({} if code is None else {"code": code}))

    def first_packet(self, ssrc: int) -> None:
        """The first packet of an SSRC on this connection."""
        if len(self.met) >= MAX_STREAMS:
            self.met.clear()
        self.met.add(ssrc)
        times = self._stream(ssrc)
        if times is not None and times.first_packet_s is None:
            times.first_packet_s = self._now_s()

    def named(self, ssrc: int) -> None:
        """The gateway said whose an SSRC is (op 5)."""
        times = self._stream(ssrc)
        if times is not None and times.named_s is None:
            times.named_s = self._now_s()

    def connection_began(self) -> None:
        """Another connection: SSRCs mean other streams from here on."""
        self._current.clear()
        self.met.clear()

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(self._book.entries)

    @property
    def streams(self) -> tuple[StreamTimes, ...]:
        """All streams of all connections, in the order in which they were met."""
        return tuple(self._book.streams)

    def _stream(self, ssrc: int) -> StreamTimes | None:
        times = self._current.get(ssrc)
        if times is None:
            if len(self._book.streams) >= MAX_STREAMS:
                self.forgotten += 1
                return None
            times = self._current[ssrc] = StreamTimes()
            self._book.streams.append(times)
        return times

    def _now_s(self) -> float:
        return self._clock() - self._began_s

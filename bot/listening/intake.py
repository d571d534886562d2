"""From frames of included speakers to windows that wait for recognition.

This is the session's side of the voice layer's `FrameSink`: called on the event loop, for every packet, so it only
segments and queues. The queue is bounded: when recognition cannot keep up, the oldest window is dropped and counted,
because what a panel needs is what people sound like now.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from ser_engine.segmenter import Segmenter
from ser_engine.types import PcmFrame, Window

MAX_WAITING: Final = 256
"""Windows waiting for recognition: about a minute of a dozen people talking at once."""


class Intake:
    """Segmenters of one session and the windows that they closed."""

    def __init__(self, included: Callable[[str], bool], *, max_waiting: int = MAX_WAITING) -> None:
        self._included = included
        self._max_waiting = max_waiting
        self._segmenters: dict[str, Segmenter] = {}
        self._waiting: deque[Window] = deque()
        self._wake = asyncio.Event()
        self.closed = False
        self._short_before = 0
        self.frames = 0
        self.windows = 0
        self.dropped = 0

    def frame(self, frame: PcmFrame) -> None:
        """One frame of a speaker. Refused without consent, though the voice layer asked already."""
        if self.closed or not self._included(frame.speaker):
            return
        self.frames += 1
        segmenter = self._segmenters.get(frame.speaker)
        if segmenter is None:
            segmenter = self._segmenters[frame.speaker] = Segmenter(frame.speaker)
        self._queue(segmenter.push(frame))

    def silence(self, speaker: str, now_samples: int) -> None:
        """The speaker's timeline went on to `now_samples` without audio."""
        if not self.closed and (segmenter := self._segmenters.get(speaker)) is not None:
            self._queue(segmenter.advance(now_samples))

    def discard(self, speaker: str) -> None:
        """Forget the window in the making and those that wait, because the speaker withdrew."""
        if (segmenter := self._segmenters.pop(speaker, None)) is not None:
            self._short_before += segmenter.dropped_short
            segmenter.discard()
        self._waiting = deque(window for window in self._waiting if window.speaker != speaker)

    def close(self) -> None:
        """Take no more; what was begun is flushed. `take` hands out the rest and then returns an empty list."""
        if self.closed:
            return
        self.closed = True
        for segmenter in self._segmenters.values():
            self._queue(segmenter.flush())
        self._wake.set()

    async def take(self, most: int) -> list[Window]:
        """Up to `most` windows, oldest first; waits for one. Empty when closed and drained."""
        while not self._waiting:
            if self.closed:
                return []
            self._wake.clear()
            await self._wake.wait()
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def counters(self) -> dict[str, int]:
        short = self._short_before + sum(segmenter.dropped_short for segmenter in self._segmenters.values())
        return {
            "frames": self.frames,
            "windows": self.windows,
            "windows_too_short": short,
            "windows_dropped_queue_full": self.dropped,
            "windows_waiting": len(self._waiting),
        }

    def _queue(self, windows: list[Window]) -> None:
        for window in windows:
            self.windows += 1
            if len(self._waiting) >= self._max_waiting:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(window)
        if windows:
            self._wake.set()

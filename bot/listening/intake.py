"""From frames of included speakers to windows that wait for recognition.

This is the session's side of the voice layer's `FrameSink`: called on the event loop, for every few packets. So it only
gathers: a speaker's frames go to the segmenter together, at least 100 ms of them. The windows are the same as with
single frames, because the segmenter goes by positions on the timeline. The queue is bounded: when recognition cannot
keep up, the oldest window is dropped and counted, because what a panel needs is what people sound like now.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np

from ser_engine.segmenter import Segmenter
from ser_engine.types import SAMPLE_RATE_HZ, Pcm, PcmFrame, Window

BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ // 10
FRAME_SAMPLES: Final = SAMPLE_RATE_HZ // 50
MAX_WAITING: Final = 256
"""Windows waiting for recognition: about a minute of a dozen people talking at once."""


class _Stream:
    """One speaker's segmenter, and the frames that it has not been given yet: they lie without a gap one after the
    other, and all were heard, or all were made up."""

    __slots__ = ("begin", "concealed", "end", "gathered", "segmenter")

    def __init__(self, speaker: str) -> None:
        self.segmenter = Segmenter(speaker)
        self.gathered: list[Pcm] = []
        self.begin = self.end = 0
        self.concealed = False


class Intake:
    """Segmenters of one session and the windows that they closed."""

    def __init__(self, included: Callable[[str], bool], *, max_waiting: int = MAX_WAITING) -> None:
        self._included = included
        self._max_waiting = max_waiting
        self._streams: dict[str, _Stream] = {}
        self._waiting: deque[tuple[float, Window]] = deque()
        """With the moment since which each waits."""
        self.since_s: list[float] = []
        """Since when each of what `take` gave last had waited, on the monotonic clock."""
        self._wake = asyncio.Event()
        self.closed = False
        self._short_before = self._late_before = 0
        self._samples = 0
        self.windows = 0
        self.dropped = 0

    @property
    def frames(self) -> int:
        """How much was heard, in packets of 20 ms."""
        return self._samples // FRAME_SAMPLES

    def frame(self, frame: PcmFrame) -> None:
        """One frame of a speaker. The voice layer has asked for consent; it is asked for again with each block."""
        if self.closed:
            return
        stream = self._streams.get(frame.speaker)
        if stream is None:
            stream = self._streams[frame.speaker] = _Stream(frame.speaker)
        if stream.gathered and (frame.t_samples != stream.end or frame.concealed is not stream.concealed):
            self._segment(frame.speaker, stream)
        if not stream.gathered:
            stream.begin, stream.concealed = frame.t_samples, frame.concealed
        stream.gathered.append(frame.pcm)
        stream.end = frame.t_samples + len(frame.pcm)
        if stream.end - stream.begin >= BLOCK_SAMPLES:
            self._segment(frame.speaker, stream)

    def silence(self, speaker: str, now_samples: int) -> None:
        """The speaker's timeline went on to `now_samples` without audio."""
        if not self.closed and (stream := self._streams.get(speaker)) is not None:
            self._segment(speaker, stream)
            self._queue(stream.segmenter.advance(now_samples))

    def discard(self, speaker: str) -> None:
        """Forget the window in the making and those that wait, because the speaker withdrew."""
        if (stream := self._streams.pop(speaker, None)) is not None:
            self._short_before += stream.segmenter.dropped_short
            self._late_before += stream.segmenter.late_samples
            stream.gathered.clear()
            stream.segmenter.discard()
        self._waiting = deque(waiting for waiting in self._waiting if waiting[1].speaker != speaker)

    def close(self) -> None:
        """Take no more; what was begun is flushed. `take` hands out the rest and then returns an empty list."""
        if self.closed:
            return
        for speaker, stream in self._streams.items():
            self._segment(speaker, stream)
            self._queue(stream.segmenter.flush())
        self.closed = True
        self._wake.set()

    async def take(self, most: int) -> list[Window]:
        """Up to `most` windows, oldest first; waits for one. Empty when closed and drained."""
        while not self._waiting:
            if self.closed:
                return []
            self._wake.clear()
            await self._wake.wait()
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        self.since_s = [since_s for since_s, _ in taken]
        return [window for _, window in taken]

    def counters(self) -> dict[str, int]:
        segmenters = [stream.segmenter for stream in self._streams.values()]
        return {
            "frames": self.frames,
            "windows": self.windows,
            "windows_too_short": self._short_before + sum(one.dropped_short for one in segmenters),
            "samples_late": self._late_before + sum(one.late_samples for one in segmenters),
            "windows_dropped_queue_full": self.dropped,
            "windows_waiting": len(self._waiting),
        }

    def _segment(self, speaker: str, stream: _Stream) -> None:
        """Give the segmenter what was gathered, if its speaker is still included."""
        gathered = stream.gathered
        if not gathered:
            return
        if self._included(speaker):
            pcm = gathered[0] if len(gathered) == 1 else np.concatenate(gathered)
            self._samples += len(pcm)
            block = PcmFrame(speaker=speaker, t_samples=stream.begin, pcm=pcm, concealed=stream.concealed)
            self._queue(stream.segmenter.push(block))
        gathered.clear()

    def _queue(self, windows: list[Window]) -> None:
        for window in windows:
            self.windows += 1
            if len(self._waiting) >= self._max_waiting:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append((time.monotonic(), window))
        if windows:
            self._wake.set()

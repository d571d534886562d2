"""A voice channel without Discord: tests say what arrives, the consent gate is asked as the real layer asks it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bot.voice.states import FrameSink, LinkState, Reason, StateListener
from ser_engine.types import SAMPLE_RATE_HZ, Pcm, PcmFrame

FRAME_SAMPLES = SAMPLE_RATE_HZ // 50


def tone_burst(seconds: float = 1.5, hertz: float = 180.0, *, seed: int = 0) -> Pcm:
    """A buzzing, syllable-like sound that a voice-activity detector takes for speech; float32 mono at 16 kHz."""
    t = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    buzz = sum(np.sin(2 * np.pi * hertz * k * t) / k for k in range(1, 20))
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4.0 * t)
    noise = np.random.default_rng(seed).normal(0, 0.01, len(t))
    return np.asarray(0.15 * buzz * syllables + noise, dtype=np.float32)


class FakeLink:
    """Satisfies Link."""

    def __init__(self, channel: Any, sink: FrameSink, consent: Callable[[int], bool], on_state: StateListener) -> None:
        self.channel = channel
        self.sink = sink
        self.consent = consent
        self.on_state = on_state
        self.played: list[bytes] = []
        self.discarded: list[int] = []
        self.counts: Counter[str] = Counter()
        self.closed = False
        self.at_samples = 0

    def now_samples(self) -> int:
        return self.at_samples

    async def play(self, sound: bytes) -> bool:
        self.played.append(sound)
        return True

    def discard(self, user_id: int) -> None:
        self.discarded.append(user_id)

    def tallies(self) -> Mapping[str, int]:
        return dict(self.counts)

    async def close(self) -> None:
        self.closed = True

    def hear(self, user_id: int, pcm: Pcm, *, then_quiet: bool = True) -> None:
        """Somebody says `pcm`, in frames of 20 ms; then there is silence for 0.7 s unless told otherwise."""
        for start in range(0, len(pcm), FRAME_SAMPLES):
            frame = pcm[start : start + FRAME_SAMPLES]
            if not self.consent(user_id):
                self.counts["dropped_excluded"] += 1
            elif not self.closed:
                self.sink.frame(PcmFrame(speaker=str(user_id), t_samples=self.at_samples, pcm=frame))
            self.at_samples += len(frame)
        if then_quiet and self.consent(user_id):
            self.at_samples += round(0.7 * SAMPLE_RATE_HZ)
            self.sink.silence(str(user_id), self.at_samples)


class FakeVoice:
    """Satisfies Connect; keeps the links it gave. `fail_with` makes joining fail, `may_join` lets it wait."""

    def __init__(self, fail_with: Exception | None = None) -> None:
        self.links: list[FakeLink] = []
        self.fail_with = fail_with
        self.joining, self.may_join = asyncio.Event(), asyncio.Event()
        self.may_join.set()

    async def __call__(
        self, channel: Any, *, sink: FrameSink, consent: Callable[[int], bool], on_state: StateListener
    ) -> FakeLink:
        if self.fail_with is not None:
            raise self.fail_with
        self.joining.set()
        await self.may_join.wait()
        link = FakeLink(channel, sink, consent, on_state)
        self.links.append(link)
        on_state(LinkState.LISTENING, Reason.JOINED)
        return link

    @property
    def link(self) -> FakeLink:
        """The newest."""
        return self.links[-1]

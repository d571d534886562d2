"""Speech as Opus packets, encoded once, and a live call in the loopback Discord."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator

import numpy as np
import pytest

from sandbox import Sandbox
from sandbox.voice import VoiceSettings
from ser_engine import opus
from tests.fakes.call import Call, live_call
from tests.fakes.plain_bot import point_at
from tests.fakes.rtp import RtpSender
from tests.fakes.voice import Ears
from tests.fakes.waiting import until

SSRC = 77


def tone(seconds: float, frequency_hz: float = 220.0) -> np.ndarray:
    """A voice-like tone at 48 kHz: a fundamental with harmonics that swells and fades, and some breath."""
    t = np.arange(int(seconds * 48_000)) / 48_000
    wave = sum(np.sin(2 * np.pi * frequency_hz * k * t) / k for k in range(1, 6))
    breath = np.random.default_rng(1).normal(0, 0.01, len(t))
    return (0.2 * wave * (0.6 + 0.4 * np.sin(2 * np.pi * 2.5 * t)) + breath).astype(np.float32)


@pytest.fixture(scope="session")
def speech() -> list[bytes]:
    """Three seconds in 150 packets, all different."""
    packets = list(opus.Encoder().packets(tone(3.0)))
    assert len(set(packets)) == len(packets) == 150
    return packets


@pytest.fixture
def voice_settings() -> VoiceSettings:
    """Of the loopback Discord; a module or class may have its own."""
    return VoiceSettings()


@pytest.fixture
async def call(monkeypatch: pytest.MonkeyPatch, voice_settings: VoiceSettings) -> AsyncIterator[Call]:
    """A bot that is logged in, beside an empty voice channel."""
    async with Sandbox(rate_limits=False, voice_settings=voice_settings) as sandbox:
        point_at(sandbox, monkeypatch)
        async with live_call(sandbox) as call:
            yield call
        with contextlib.suppress(TimeoutError):
            await until(lambda: not _voice_threads(), 30.0)
    assert not _voice_threads(), "threads outlived the call"


def _voice_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("voice-")]


@pytest.fixture
def ears() -> Ears:
    """A receiver that knows whose the sender's stream is."""
    ears = Ears()
    ears.receiver.speaking(1, SSRC)
    return ears


@pytest.fixture
def sender() -> RtpSender:
    """About to wrap, in sequence and in time."""
    return RtpSender(ssrc=SSRC, sequence=65_500, timestamp=0xFFFFFF00)

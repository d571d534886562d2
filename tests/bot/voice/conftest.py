"""Real speech as Opus packets, encoded once."""

from __future__ import annotations

import numpy as np
import pytest

from bot.voice import opus


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

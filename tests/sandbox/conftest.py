"""A sandbox, and an unmodified discord.py bot that lives in it."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator

import av
import numpy as np
import pytest

from sandbox import Sandbox
from tests.fakes.plain_bot import PlainBot, logged_in, point_at


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    async with Sandbox(rate_limits=False) as server:
        point_at(server, monkeypatch)
        yield server


@pytest.fixture
async def bot(sandbox: Sandbox) -> AsyncIterator[PlainBot]:
    async with logged_in(PlainBot(), sandbox) as client:
        yield client


@pytest.fixture(scope="session")
def ogg_opus() -> bytes:
    """A second of a 440 Hz tone as a phone would record it: Ogg Opus, 48 kHz mono."""
    container = io.BytesIO()
    with av.open(container, "w", format="ogg") as out:
        stream = out.add_stream("libopus", rate=48_000, layout="mono")
        tone = (np.sin(np.arange(48_000) * 2 * np.pi * 440 / 48_000) * 8_000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(tone[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = 48_000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return container.getvalue()

"""Files are decoded in a process of their own, which is replaced, bounded, and never holds up live speech."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from ser_engine.audio import DecodeLimits
from ser_engine.backends.workers import WorkerBackend
from ser_engine.errors import (
    BackendError,
    BackendOverloaded,
    DecodeTimeout,
    UndecodableAudio,
)
from tests.fakes.clips import clip_paths
from tests.fakes.waiting import Stopwatch, until
from tests.ser_engine.backends.test_backends import alive, pids

pytestmark = pytest.mark.integration


async def decoder_of(backend: WorkerBackend) -> int:
    """The pid of the decoder, which is begun with the first file."""
    if not backend._decoder.ready:
        await backend._decoder.start()
    pid = backend._decoder.pid
    assert pid is not None
    return pid


async def test_the_decoder_begins_with_the_first_file(model: Path) -> None:
    backend = WorkerBackend(model)
    await backend.start()
    try:
        assert len(pids(backend)) == 1
        assert len(await backend.segment(clip_paths()[0].read_bytes())) == 1
        assert len(pids(backend)) == 2
        assert backend.counters()["restarts"] == 0
    finally:
        await backend.close()


async def test_decoder_that_dies_over_a_file_is_replaced(workers: WorkerBackend) -> None:
    data = clip_paths()[0].read_bytes()
    for pid in pids(workers)[1:]:
        os.kill(pid, signal.SIGKILL)
    assert len(await workers.segment(data)) == 1


async def test_file_that_kills_the_decoder_twice_is_refused(
    workers: WorkerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = workers._decoder
    ask = decoder.ask

    async def die(*request: Any, limit_s: float) -> list[Any]:
        assert decoder.pid is not None
        os.kill(decoder.pid, signal.SIGKILL)
        return await ask(*request, limit_s=limit_s)

    with monkeypatch.context() as patch:
        patch.setattr(decoder, "ask", die)
        with pytest.raises(UndecodableAudio):
            await workers.segment(clip_paths()[0].read_bytes())
    assert len(await workers.segment(clip_paths()[0].read_bytes())) == 1


async def test_files_that_wait_are_told_when_the_backend_stops(model: Path) -> None:
    backend = WorkerBackend(model)
    await backend.start()
    os.kill(await decoder_of(backend), signal.SIGSTOP)
    waiting = [asyncio.create_task(backend.segment(clip_paths()[0].read_bytes())) for _ in range(3)]
    await until(lambda: len(backend._files) == 3)

    await backend.close()

    for outcome in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(outcome, BackendError), outcome


async def test_who_gives_up_on_a_file_keeps_its_turn_until_the_decoder_is_done(workers: WorkerBackend) -> None:
    data = clip_paths()[0].read_bytes()
    stuck = await decoder_of(workers)
    os.kill(stuck, signal.SIGSTOP)
    try:
        given_up = [asyncio.create_task(workers.segment(data)) for _ in range(16)]
        await until(lambda: len(workers._files) == 16)
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        with pytest.raises(BackendOverloaded):
            await workers.segment(data)
    finally:
        os.kill(stuck, signal.SIGCONT)
    async with asyncio.timeout(60):  # for the turns of those who gave up
        while True:
            with contextlib.suppress(BackendOverloaded):
                assert len(await workers.segment(data)) == 1
                break
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("size", [None, 2_000_000], ids=["a clip", "more than the pipe takes"])
async def test_decoding_without_end_is_killed(model: Path, size: int | None) -> None:
    data = clip_paths()[0].read_bytes() if size is None else bytes(size)
    backend = WorkerBackend(model, limits=DecodeLimits(max_decode_s=0.3))
    await backend.start()
    try:
        stuck = await decoder_of(backend)
        os.kill(stuck, signal.SIGSTOP)
        async with Stopwatch() as watch:
            with pytest.raises(DecodeTimeout, match="Decoding took longer than"):
                await asyncio.wait_for(backend.segment(data), 60)
        assert watch.took_s < 5
        assert not alive(stuck)
    finally:
        await backend.close()

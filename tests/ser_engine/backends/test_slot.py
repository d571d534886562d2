"""A worker's place when this process runs out of something."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from ser_engine.backends.slot import Slot, WorkerGone

pytestmark = pytest.mark.unit


async def test_without_a_thread_to_watch_a_request_the_worker_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything else would end the task that serves, and with it all recognition, until the next start."""
    slot: Any = Slot("recogniser-0", "recognise", "model")
    slot._process = SimpleNamespace(
        is_alive=lambda: True, kill=lambda: None, join=lambda *_: None, exitcode=None, pid=1
    )
    slot._connection, slot._ready = SimpleNamespace(close=lambda: None), True

    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(threading.Timer, "start", none_left)
        with pytest.raises(WorkerGone):
            slot._ask(("windows",), 1.0)
    assert slot.ready
    await slot.end()


async def test_without_a_thread_of_its_own_there_is_no_worker_now(monkeypatch: pytest.MonkeyPatch) -> None:
    slot = Slot("recogniser-0", "recognise", "model")

    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(threading.Thread, "start", none_left)
        with pytest.raises(WorkerGone):
            await slot.start()
    assert not slot.ready
    await slot.end()


async def test_an_answer_that_cannot_be_read_costs_the_process_that_gave_it() -> None:
    """What is left of it in the pipe would be taken for the next answer."""
    slot: Any = Slot("recogniser-0", "recognise", "model")
    killed: list[bool] = []

    def no_room() -> None:
        raise MemoryError

    slot._process = SimpleNamespace(
        is_alive=lambda: True, kill=lambda: killed.append(True), join=lambda *_: None, exitcode=None, pid=1
    )
    slot._connection = SimpleNamespace(close=lambda: None, send=lambda _: None, poll=lambda _: True, recv=no_room)
    slot._ready = True
    with pytest.raises(WorkerGone):
        await slot.ask("windows", limit_s=60.0)
    assert killed
    assert not slot.ready
    await slot.end()


async def test_a_worker_that_stands_still_in_the_middle_of_an_answer_is_ended() -> None:
    """Who reads the rest of it would wait for ever, and with it the slot."""
    slot: Any = Slot("recogniser-0", "recognise", "model")
    ours, theirs = multiprocessing.Pipe()
    slot._process = SimpleNamespace(
        is_alive=lambda: True, kill=theirs.close, join=lambda *_: None, exitcode=None, pid=1
    )
    slot._connection, slot._ready = ours, True
    os.write(theirs.fileno(), (1_000).to_bytes(4, "big") + b"the first of a thousand bytes")
    try:
        async with asyncio.timeout(10.0):
            with pytest.raises(WorkerGone):
                await slot.ask("windows", limit_s=0.05)
    finally:
        theirs.close()
    assert not slot.ready
    assert slot.gone == "no answer"
    await slot.end()


async def test_how_a_start_failed_is_told_after_a_late_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator who reads of *no answer* looks for a slow machine, not for a crash."""
    slot: Any = Slot("recogniser-0", "recognise", "model")
    slot._late = True  # the process before was ended late
    ours, theirs = multiprocessing.Pipe()
    crashed = SimpleNamespace(is_alive=lambda: False, kill=lambda: None, join=lambda *_: None, exitcode=1, pid=1)
    crashing = SimpleNamespace(close=theirs.close)
    monkeypatch.setattr(slot, "_make", lambda: (crashed, ours, crashing))
    with pytest.raises(WorkerGone):
        await slot.start()
    assert slot.gone == "status 1"
    await slot.end()

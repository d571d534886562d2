"""A worker's place when this process runs out of something."""

from __future__ import annotations

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

"""A window that waits for a worker."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ser_engine.baseline import WindowOutput
from ser_engine.errors import EngineError
from ser_engine.types import Window


@dataclass(slots=True, kw_only=True)
class Waiting:
    """Times are the event loop's monotonic seconds."""

    window: Window
    answer: asyncio.Future[WindowOutput]
    began: float
    """Since when it waits, here and before."""
    deadline: float


def fail(waiting: Waiting, error: EngineError) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)

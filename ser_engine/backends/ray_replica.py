"""What runs on a Ray cluster: a recogniser that takes windows one by one and hears them in batches.

Used where Ray is installed only: by the replicas, and by `ray_serve` when it connects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from ser_engine.backends import process
from ser_engine.backends.base import ModelInfo
from ser_engine.baseline import WindowOutput
from ser_engine.types import Pcm, Window

MAX_BATCH: Final = 16
BATCH_WAIT_S: Final = 0.04
ONGOING: Final = 64
"""Windows that one replica holds; the next ones wait at those who ask."""
HEALTH_EVERY_S: Final = 2.0


class Replica:
    """One replica. The model is found on its own machine, by name or path."""

    def __init__(self, model: str, runtime: str | None) -> None:
        process.keep_to_one_thread()  # before a numeric library is loaded
        from ray import serve

        from ser_engine.recognizer import Recognizer

        self._recognizer = Recognizer.load(model, runtime=runtime)  # type: ignore[arg-type]  # the caller's is typed
        self._batched: Callable[[Window], Awaitable[WindowOutput]] = serve.batch(
            self._hear, max_batch_size=MAX_BATCH, batch_wait_timeout_s=BATCH_WAIT_S
        )

    async def __call__(self, window: Window, before: int, *parts: Pcm) -> WindowOutput:
        """`parts` are the window's samples, after so many that lie before it: see `ray_serve.in_parts`."""
        heard = np.concatenate(parts)
        return await self._batched(replace(window, before=heard[:before], pcm=heard[before:]))

    async def info(self) -> ModelInfo:
        return self._recognizer.info

    async def _hear(self, windows: Sequence[Window]) -> list[WindowOutput]:
        """In a thread, so that the replica goes on saying that it is well."""
        return list(await asyncio.to_thread(self._recognizer.hear, windows))


def application(model: str, runtime: str | None, *, replicas: int, waiting: int) -> Any:
    """What `serve.run` is given. Beyond `ONGOING` windows a replica and `waiting` at one asker, more are refused."""
    from ray import serve

    deployment = serve.deployment(
        name="hearing",
        num_replicas=replicas,
        max_ongoing_requests=ONGOING,
        max_queued_requests=waiting,
        health_check_period_s=HEALTH_EVERY_S,
        ray_actor_options={"num_cpus": 1},
    )(Replica)
    return deployment.bind(model, runtime)

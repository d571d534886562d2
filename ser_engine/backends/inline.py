"""Recognition in a thread of this process: for scripts, small hosts and tests. A stuck file cannot be killed here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ser_engine.audio import windows_of
from ser_engine.backends.base import ModelInfo
from ser_engine.baseline import Baselines
from ser_engine.limits import DEFAULT_LIMITS, DecodeLimits
from ser_engine.networks import Runtime
from ser_engine.recognizer import Recognizer
from ser_engine.refusals import refusal
from ser_engine.types import Prediction, Window

_T = TypeVar("_T")


class InlineBackend:
    """Satisfies `InferenceBackend`. Calls wait for one another, at most `queue_calls` of them."""

    def __init__(
        self,
        model_dir: Path,
        *,
        runtime: Runtime | None = None,
        queue_calls: int = 64,
        limits: DecodeLimits = DEFAULT_LIMITS,
    ) -> None:
        self._model_dir = model_dir
        self._runtime = runtime
        self._queue_calls = queue_calls
        self._limits = limits
        self._waiting = 0
        self._recognizer: Recognizer | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._counts = dict.fromkeys(("windows", "batches", "dropped", "lost", "restarts", "files"), 0)

    @property
    def model(self) -> ModelInfo:
        return self._loaded().info

    @property
    def ready(self) -> bool:
        return self._recognizer is not None

    @property
    def pressed(self) -> bool:
        return False  # one model, one thread

    async def start(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
        try:
            self._recognizer = await self._call(lambda: Recognizer.load(self._model_dir, runtime=self._runtime), None)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        thread, self._thread, self._recognizer = self._thread, None, None
        if thread is not None:
            await asyncio.to_thread(thread.shutdown, wait=True, cancel_futures=True)

    async def predict(
        self,
        windows: Sequence[Window],
        *,
        baselines: Baselines | None = None,
        deadline_s: float = 10.0,
        waited_s: float = 0.0,
    ) -> list[Prediction]:
        recognizer, asked = self._loaded(), list(windows)
        heard = await self._call(lambda: recognizer.hear(asked), deadline_s)
        self._counts["windows"] += len(asked)
        self._counts["batches"] += 1
        return recognizer.decider.decide(asked, heard, baselines)

    async def segment(self, data: bytes, *, filename: str | None = None, deadline_s: float = 60.0) -> list[Window]:
        self._loaded()
        self._counts["files"] += 1
        return await self._call(lambda: list(windows_of(data, filename=filename, limits=self._limits)), deadline_s)

    def counters(self) -> dict[str, int]:
        return {**self._counts, "waiting": self._waiting}

    def _loaded(self) -> Recognizer:
        if self._recognizer is None:
            raise refusal("not_running")
        return self._recognizer

    async def _call(self, work: Callable[[], _T], deadline_s: float | None) -> _T:
        if self._thread is None:
            raise refusal("not_running")
        if self._waiting >= self._queue_calls:
            self._counts["dropped"] += 1
            raise refusal("busy")
        self._waiting += 1
        try:
            async with asyncio.timeout(deadline_s):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except TimeoutError:
            raise refusal("late") from None
        except asyncio.CancelledError:
            if self._thread is None:
                raise refusal("stopped") from None
            raise
        finally:
            self._waiting -= 1

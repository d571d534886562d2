"""Recognition in worker processes, the backend that serves.

    predict ─→ bounded queue, oldest first ─→ a worker's share of it (≤ 4 windows) ─→ whichever worker is free
    segment ─→ one decoder process of its own, begun with the first file and killed when one takes too long

A free worker takes what is there at once: waiting for more would only make the first ones late, and a large batch is
hardly cheaper than a small one (docs/performance.md). The queue drops its oldest window when it is full: for live
speech the newest matters. Workers are started by spawn, for TensorFlow deadlocks after a fork. A worker that dies is
replaced and its batch tried once more; what kills two workers is given up and counted. Strangers' files are decoded
apart from the model, so that none can hold up live speech.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from ser_engine.backends.base import ModelInfo
from ser_engine.backends.pressure import Pressure, stand_in
from ser_engine.backends.slot import Slot, WorkerGone
from ser_engine.backends.waiting import Waiting, fail
from ser_engine.baseline import Baselines, WindowOutput
from ser_engine.decision import Decider, decided
from ser_engine.errors import BackendError, EngineError
from ser_engine.limits import DEFAULT_LIMITS, DecodeLimits
from ser_engine.models import open_directory
from ser_engine.networks import Runtime
from ser_engine.refusals import refusal
from ser_engine.samples import are_windows
from ser_engine.types import Prediction, Window

log = structlog.get_logger(__name__)

MAX_BATCH: Final = 4
"""Windows that a worker is asked about at once. The first answer waits for the last one."""
_BATCH_LIMIT_S: Final = 30.0
_MAX_WAITING_FILES: Final = 16
_RESTART_PAUSE_S: Final = 0.5


class WorkerBackend:
    """Satisfies `InferenceBackend`. Belongs to the event loop it was started on."""

    def __init__(
        self,
        model_dir: Path,
        workers: int = 1,
        *,
        runtime: Runtime | None = None,
        cheaper_dir: Path | None = None,
        degrade_after_s: float = 0.0,
        queue_windows: int = 512,
        limits: DecodeLimits = DEFAULT_LIMITS,
    ) -> None:
        self._model_dir = model_dir
        self._limits = limits
        self._queue: deque[Waiting] = deque()
        self._queue_windows = queue_windows
        self._cheaper_dir = cheaper_dir
        self._pressure = Pressure(degrade_after_s if cheaper_dir is not None else 0.0)
        self._arrived = asyncio.Event()
        self._some = MAX_BATCH * max(1, workers)
        """Windows of one caller that are worked on at once."""
        self._slots = [Slot(f"recogniser-{i}", "recognise", str(model_dir), runtime) for i in range(max(1, workers))]
        self._decoder = Slot("decoder", "decode", str(model_dir))
        self._decoding = asyncio.Lock()
        self._files: set[asyncio.Task[list[Window]]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._model: ModelInfo | None = None
        self._decider: Decider | None = None
        self._cheaper: Decider | None = None
        self._closed = False
        self._counts = dict.fromkeys(
            ("windows", "batches", "dropped", "expired", "lost", "restarts", "files", "degraded"), 0
        )

    @property
    def model(self) -> ModelInfo:
        if self._model is None:
            raise refusal("not_running")
        return self._model

    @property
    def ready(self) -> bool:
        return not self._closed and any(slot.ready for slot in self._slots)

    @property
    def pressed(self) -> bool:
        return self._pressure.pressed

    async def start(self) -> None:
        """Start and warm up all workers. Raises ModelError; nothing is left running then."""
        try:
            self._decider = await asyncio.to_thread(lambda: Decider(open_directory(self._model_dir)))
            self._cheaper = await asyncio.to_thread(stand_in, self._cheaper_dir)
            starts = (slot.start() for slot in self._slots)
            for outcome in await asyncio.gather(*starts, return_exceptions=True):
                if isinstance(outcome, WorkerGone):
                    raise BackendError("A worker could not be started: it ended before it was ready.")
                if isinstance(outcome, BaseException):
                    raise outcome
        except BaseException:
            await self.close()
            raise
        self._model = self._slots[0].info
        self._tasks = [asyncio.create_task(self._serve(slot), name=slot.name) for slot in self._slots]

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(slot.end() for slot in (*self._slots, self._decoder)))
        await asyncio.gather(*self._tasks, *self._files, return_exceptions=True)
        while self._queue:
            fail(self._queue.popleft(), refusal("stopped"))

    async def predict(
        self,
        windows: Sequence[Window],
        *,
        baselines: Baselines | None = None,
        deadline_s: float = 10.0,
        waited_s: float = 0.0,
    ) -> list[Prediction]:
        deadline = time.monotonic() + deadline_s
        heard: list[WindowOutput] = []
        # A long file waits for its own windows, a batch a worker at a time, and so nobody's live speech waits for more.
        for begin in range(0, len(windows), self._some):
            heard += await self._hear_some(windows[begin : begin + self._some], deadline, waited_s)
        return decided(windows, heard, baselines, self._decider, self._cheaper) if self._decider is not None else []

    async def _hear_some(self, windows: Sequence[Window], deadline: float, waited_s: float) -> list[WindowOutput]:
        if self._closed or self._model is None:
            raise refusal("not_running")
        if not are_windows(windows):
            raise refusal("bad_window")
        loop, now = asyncio.get_running_loop(), time.monotonic()
        answers: list[asyncio.Future[WindowOutput]] = []
        for window in windows:
            answers.append(loop.create_future())
            self._put(Waiting(window=window, answer=answers[-1], began=now - waited_s, deadline=deadline))
        try:
            done, pending = await asyncio.wait(
                answers, timeout=max(0.0, deadline - now), return_when=asyncio.FIRST_EXCEPTION
            )
        finally:
            for answer in answers:
                answer.cancel()
        errors = [answer.exception() for answer in done]  # all of them are looked at, so that none is reported as lost
        for error in errors:
            if error is not None:
                raise error
        if pending:
            raise refusal("late")
        return [answer.result() for answer in answers]

    async def segment(self, data: bytes, *, filename: str | None = None, deadline_s: float = 60.0) -> list[Window]:
        if self._closed or self._model is None:
            raise refusal("not_running")
        if len(self._files) >= _MAX_WAITING_FILES:
            self._counts["dropped"] += 1
            raise refusal("busy")
        # Who asked may give up; the decoder, and the next in the queue, only go on when it is done with this file.
        task = asyncio.create_task(self._decode_in_turn(data, filename, time.monotonic() + deadline_s))
        self._files.add(task)
        task.add_done_callback(self._file_done)
        return await asyncio.shield(task)

    def _file_done(self, task: asyncio.Task[list[Window]]) -> None:
        self._files.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that it is not reported as lost where nobody waits any more

    async def _decode_in_turn(self, data: bytes, filename: str | None, deadline: float) -> list[Window]:
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                await self._decoding.acquire()
        except TimeoutError:
            raise refusal("late") from None
        try:
            left = max(0.0, deadline - time.monotonic())
            return await self._decode(data, filename, min(left, self._limits.max_decode_s))
        finally:
            self._decoding.release()

    async def _decode(self, data: bytes, filename: str | None, limit_s: float) -> list[Window]:
        self._counts["files"] += 1
        limits = replace(self._limits, max_decode_s=limit_s)
        begun = time.monotonic()
        for attempt in range(2):
            if self._closed:  # while this file waited for its turn
                raise refusal("stopped")
            if not self._decoder.ready:
                try:
                    await self._replace(self._decoder, attempt)
                except WorkerGone:
                    raise refusal("stopped" if self._closed else "no_decoder") from None
            try:
                parts = await self._decoder.ask(data, filename, limits, limit_s=limit_s + 1)
            except WorkerGone:
                if self._closed:
                    raise refusal("stopped") from None
                if time.monotonic() - begun >= limit_s:
                    raise refusal("decode_late", seconds=f"{limit_s:g}") from None
                continue
            return [window for part in parts for window in part]
        raise refusal("decoder_broke")

    def counters(self) -> dict[str, int]:
        return {**self._counts, "waiting": len(self._queue), "pressed": int(self.pressed)}

    def _put(self, waiting: Waiting) -> None:
        if len(self._queue) >= self._queue_windows:
            self._counts["dropped"] += 1
            fail(self._queue.popleft(), refusal("busy"))
        at = len(self._queue)
        while at and self._queue[at - 1].began > waiting.began:  # it has waited longer, in its session
            at -= 1
        self._queue.insert(at, waiting)
        self._arrived.set()

    async def _serve(self, slot: Slot) -> None:
        while True:
            batch = await self._next_batch(slot)
            if batch:
                await self._recognise(slot, batch)

    async def _next_batch(self, slot: Slot) -> list[Waiting]:
        while not self._queue:
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(slot.look_again_s):
                    await self._arrived.wait()
            if not self._queue and not slot.ready:  # it died while nobody asked it anything
                with contextlib.suppress(WorkerGone, EngineError):
                    await self._replace(slot, attempt=1)
        now = time.monotonic()
        share = min(MAX_BATCH, -(-len(self._queue) // len(self._slots)))
        batch: list[Waiting] = []
        while self._queue and len(batch) < share:
            waiting = self._queue.popleft()
            if waiting.answer.done() or waiting.deadline <= now:
                self._counts["expired"] += 1
                fail(waiting, refusal("late"))
            else:
                batch.append(waiting)
        return batch

    async def _recognise(self, slot: Slot, batch: list[Waiting]) -> None:
        oldest_s = time.monotonic() - min(one.began for one in batch)
        cheaper = self._cheaper if self._cheaper is not None and self._pressure.note(oldest_s) else None
        other = [] if cheaper is None else [str(self._cheaper_dir), cheaper.version]
        for attempt in range(2):
            try:
                if not slot.ready:
                    await self._replace(slot, attempt)
                (heard,) = await slot.ask([one.window for one in batch], *other, limit_s=_BATCH_LIMIT_S)
            except WorkerGone:
                continue
            except EngineError as error:
                for waiting in batch:
                    fail(waiting, error)
                return
            except asyncio.CancelledError:
                for waiting in batch:
                    fail(waiting, refusal("stopped"))
                raise
            self._counts["batches"] += 1
            self._counts["windows"] += len(batch)
            self._counts["degraded"] += sum(one.engine is not None for one in heard)
            if other and heard[0].engine is None:
                self._pressure.give_up("it cannot be loaded, or was exchanged")
            for waiting, answer in zip(batch, heard, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(answer)
            return
        self._counts["lost"] += len(batch)
        log.error("batch_lost", worker=slot.name, windows=len(batch))
        for waiting in batch:
            fail(waiting, refusal("lost"))

    async def _replace(self, slot: Slot, attempt: int) -> None:
        """Put a new process in the place of a dead or missing one: at once, or after a pause where it just died too."""
        if slot.starts:
            self._counts["restarts"] += 1
            log.warning("worker_replaced", worker=slot.name, starts=slot.starts, ended=slot.gone)
        await asyncio.sleep(_RESTART_PAUSE_S if attempt else 0)
        await slot.start()

"""Both backends answer as the recogniser does; the worker processes are replaced, bounded, and gone at the end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from ser_engine import Recognizer
from ser_engine.backends import slot
from ser_engine.backends.base import InferenceBackend
from ser_engine.backends.inline import InlineBackend
from ser_engine.backends.process import NICE
from ser_engine.backends.workers import MAX_BATCH, WorkerBackend
from ser_engine.errors import (
    BackendError,
    BackendOverloaded,
    DeadlineExceeded,
    InvalidSamples,
    ModelError,
    UnsupportedFormat,
    WorkerLost,
)
from ser_engine.segmenter import segment_pcm
from ser_engine.types import Window
from tests.fakes.clips import clip, clip_paths
from tests.fakes.model import make_model
from tests.fakes.waiting import kept_waiting_s, until

pytestmark = pytest.mark.integration


def windows(n: int = 4) -> list[Window]:
    return [w for path in clip_paths()[:n] for w in segment_pcm(clip(path))][:n]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pids(backend: WorkerBackend) -> list[int]:
    return [slot.pid for slot in (*backend._slots, backend._decoder) if slot.pid is not None]


def is_ready(backend: InferenceBackend) -> bool:
    return backend.ready


@pytest.mark.parametrize("make", [InlineBackend, WorkerBackend])
async def test_answers_as_the_recogniser_does(make: Callable[[Path], InferenceBackend], model: Path) -> None:
    backend = make(model)
    assert not is_ready(backend)
    await backend.start()
    try:
        assert is_ready(backend)
        assert backend.model == Recognizer.load(model).info
        heard = windows()
        expected = Recognizer.load(model).predict(heard)
        for got, wanted in zip(await backend.predict(heard), expected, strict=True):
            assert got.emotion == wanted.emotion
            assert got.probabilities == pytest.approx(wanted.probabilities, abs=1e-5)
        assert await backend.predict([]) == []
        data = clip_paths()[0].read_bytes()
        (window,) = await backend.segment(data, filename="a.flac")
        assert np.array_equal(window.pcm, segment_pcm(clip(clip_paths()[0]))[0].pcm)
        with pytest.raises(UnsupportedFormat):
            await backend.segment(b"just words", filename="a.txt")
        with pytest.raises(InvalidSamples):
            await backend.predict(
                [Window(speaker="a", start_s=0, pcm=np.full(9, np.nan, np.float32), speech_ratio=1, gap_ratio=0)]
            )
        counters = backend.counters()
        assert counters["windows"] == len(heard)
        assert counters["files"] == 2
    finally:
        await backend.close()
        await backend.close()
    assert not is_ready(backend)
    with pytest.raises(BackendError):
        await backend.predict(windows(1))


@pytest.mark.parametrize("make", [InlineBackend, WorkerBackend])
async def test_broken_model_is_refused_at_the_start(make: Callable[[Path], InferenceBackend], tmp_path: Path) -> None:
    backend = make(make_model(tmp_path, answers=3))
    with pytest.raises(ModelError, match="gives 3 answers"):
        await backend.start()
    assert not backend.ready


async def test_many_callers_share_batches_and_get_their_own_answers(workers: WorkerBackend, model: Path) -> None:
    heard = windows(8)
    expected = Recognizer.load(model).predict(heard)
    answers = await asyncio.gather(*(workers.predict([heard[i % 8]]) for i in range(48)))
    for i, (got,) in enumerate(answers):
        assert got.probabilities == pytest.approx(expected[i % 8].probabilities, abs=1e-5)
    assert workers.counters()["windows"] == 48
    assert workers.counters()["batches"] <= 48 / MAX_BATCH


async def test_what_waited_longest_is_answered_first(workers: WorkerBackend) -> None:
    done: list[str] = []

    async def ask(name: str, waited_s: float) -> None:
        await workers.predict(windows(1) * MAX_BATCH, waited_s=waited_s, deadline_s=60)
        done.append(name)

    asked = [("first", 0.0), ("fresh", 0.0), ("old", 5.0), ("older", 9.0)]
    await asyncio.gather(*(ask(*one) for one in asked))
    assert done == ["older", "old", "first", "fresh"]


async def test_live_speech_does_not_wait_behind_a_long_recording(workers: WorkerBackend) -> None:
    recording = asyncio.create_task(workers.predict(windows(1) * 20 * MAX_BATCH, deadline_s=60))
    await until(lambda: workers.counters()["windows"] > 0)
    (answer,) = await workers.predict(windows(1))
    assert answer.emotion in workers.model.labels
    assert not recording.done()
    assert workers.counters()["windows"] < 10 * MAX_BATCH
    assert len(await recording) == 20 * MAX_BATCH


async def test_workers_share_what_waits(model: Path) -> None:
    backend = WorkerBackend(model, workers=2)
    await backend.start()
    try:
        await asyncio.gather(*(backend.predict(windows(1)) for _ in range(MAX_BATCH)))
        assert backend.counters()["batches"] >= 2
    finally:
        await backend.close()


async def test_dead_worker_is_replaced_and_its_batch_answered(workers: WorkerBackend) -> None:
    before = pids(workers)[0]
    asked = asyncio.create_task(workers.predict(windows(2), deadline_s=60))
    await asyncio.sleep(0)
    os.kill(before, signal.SIGKILL)
    assert len(await asked) == 2
    await until(lambda: workers.ready)
    assert pids(workers)[0] != before
    assert not alive(before)
    assert workers.counters()["restarts"] == 1
    assert workers.counters()["lost"] == 0


async def test_worker_that_dies_idle_is_replaced_unasked(workers: WorkerBackend) -> None:
    before = pids(workers)[0]
    with capture_logs() as logs:
        os.kill(before, signal.SIGKILL)
        await until(lambda: not workers.ready)
        await until(lambda: workers.ready)
    assert pids(workers)[0] != before
    assert [line["ended"] for line in logs if line["event"] == "worker_replaced"] == ["SIGKILL"]


async def test_a_worker_that_cannot_be_started_is_tried_more_and_more_rarely(
    workers: WorkerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nobody asks for it: each try costs a process and three lines of the log."""
    monkeypatch.setattr("ser_engine.backends.slot._LOOK_S", 0.01)
    monkeypatch.setattr("ser_engine.backends.workers._RESTART_PAUSE_S", 0.0)
    await asyncio.sleep(1.1)  # the look that is under way ends
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(slot, "_SPAWN", None)
        os.kill(pids(workers)[0], signal.SIGKILL)
        await until(lambda: not workers.ready)
        await asyncio.sleep(1.0)
    tries = [line["event"] for line in logs].count("worker_replaced")
    assert 1 <= tries <= 9
    await until(lambda: workers.ready)


async def test_a_model_that_is_exchanged_is_not_served_half(tmp_path: Path) -> None:
    """A worker that is replaced reads the model again; the process above it keeps what it read at the start."""
    backend = WorkerBackend(make_model(tmp_path))
    await backend.start()
    try:
        make_model(tmp_path, seed=6)
        with capture_logs() as logs:
            os.kill(pids(backend)[0], signal.SIGKILL)
            await until(lambda: not backend.ready)
            with pytest.raises(ModelError, match="exchanged while it is served"):
                await backend.predict(windows(1), deadline_s=60)
        assert not backend.ready
        assert "model_exchanged" in [line["event"] for line in logs]
        make_model(tmp_path)  # it is put back
        await until(lambda: backend.ready)
        assert len(await backend.predict(windows(1), deadline_s=60)) == 1
    finally:
        await backend.close()


async def test_how_a_worker_ended_at_work_is_known(workers: WorkerBackend) -> None:
    place = workers._slots[0]
    assert place.pid is not None
    os.kill(place.pid, signal.SIGSTOP)
    asked = asyncio.create_task(place.ask(windows(1), limit_s=60))
    await asyncio.sleep(0)
    os.kill(place.pid, signal.SIGKILL)
    with pytest.raises(slot.WorkerGone):
        await asked
    assert place.gone == "SIGKILL"
    await until(lambda: workers.ready)
    os.kill(place.pid, signal.SIGSTOP)
    with pytest.raises(slot.WorkerGone):
        await place.ask(windows(1), limit_s=0.2)
    assert place.gone == "no answer"


async def test_batch_that_kills_two_workers_is_given_up(workers: WorkerBackend) -> None:
    slot = workers._slots[0]
    asked = asyncio.create_task(workers.predict(windows(3), deadline_s=60))
    await asyncio.sleep(0)
    first, starts = slot.pid, slot.starts
    assert first is not None
    os.kill(first, signal.SIGSTOP)  # holds the batch, so that the death is over it
    await until(lambda: not workers.counters()["waiting"])
    os.kill(first, signal.SIGKILL)
    await until(lambda: slot.starts > starts and slot.pid not in (None, first))
    assert slot.pid is not None
    os.kill(slot.pid, signal.SIGKILL)
    with pytest.raises(WorkerLost):
        await asked
    assert workers.counters()["lost"] == 3
    assert len(await workers.predict(windows(1), deadline_s=60)) == 1  # the service goes on


async def test_full_queue_drops_the_oldest(model: Path) -> None:
    backend = WorkerBackend(model, queue_windows=4)
    await backend.start()
    try:
        stopped = pids(backend)[0]
        os.kill(stopped, signal.SIGSTOP)
        (window,) = windows(1)
        first = asyncio.create_task(backend.predict([window], deadline_s=60))
        await asyncio.sleep(0)
        await until(lambda: not backend.counters()["waiting"])  # this one is with the worker
        waiting = [asyncio.create_task(backend.predict([window], deadline_s=60)) for _ in range(6)]
        await until(lambda: backend.counters()["dropped"] == 2)
        os.kill(stopped, signal.SIGCONT)
        outcomes = await asyncio.gather(first, *waiting, return_exceptions=True)
        assert [isinstance(outcome, BackendOverloaded) for outcome in outcomes] == [False, True, True] + [False] * 4
        assert backend.counters()["dropped"] == 2
    finally:
        await backend.close()


async def test_no_answer_in_time_is_said(workers: WorkerBackend) -> None:
    stopped = pids(workers)[0]
    os.kill(stopped, signal.SIGSTOP)
    with pytest.raises(DeadlineExceeded):
        await workers.predict(windows(1), deadline_s=0.2)
    os.kill(stopped, signal.SIGCONT)
    assert len(await workers.predict(windows(1), deadline_s=30)) == 1


@pytest.mark.parametrize(
    "fault", [OSError(24, "Too many open files"), MemoryError(), RuntimeError("can't start new thread")]
)
async def test_machine_without_room_for_a_process_is_nobodys_fault_and_passes(
    workers: WorkerBackend, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """Something is missing when dead workers are to be replaced; then it is there again."""
    data, (window,) = clip_paths()[0].read_bytes(), windows(1)
    for pid in pids(workers):
        os.kill(pid, signal.SIGKILL)

    class Exhausted:
        def Pipe(self) -> Any:  # noqa: N802 - multiprocessing's own name
            raise fault

    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(slot, "_SPAWN", Exhausted())
        with pytest.raises(BackendError, match="cannot be started"):
            await workers.segment(data)
        with pytest.raises(WorkerLost):
            await workers.predict([window], deadline_s=30)
    broke = {(line["worker"], line["error"]) for line in logs if line["event"] == "worker_broke"}
    assert broke == {(name, type(fault).__name__) for name in ("decoder", "recogniser-0")}
    assert workers.counters()["restarts"] >= 1
    assert len(await workers.segment(data)) == 1
    assert len(await workers.predict([window], deadline_s=30)) == 1


async def test_event_loop_is_never_held_up(workers: WorkerBackend) -> None:
    """Sixteen full windows are 3 MB: they are pickled and written in a thread."""
    (window,) = windows(1)
    full = Window(speaker="a", start_s=0, pcm=np.tile(window.pcm, 2)[:48_000], speech_ratio=1, gap_ratio=0)
    pauses: list[float] = []

    async def watch() -> None:
        while True:
            begun, kept_s = time.perf_counter(), kept_waiting_s()
            await asyncio.sleep(0.001)
            pauses.append(time.perf_counter() - begun - (kept_waiting_s() - kept_s))

    watcher = asyncio.create_task(watch())
    for _ in range(5):
        await workers.predict([full] * 32, deadline_s=60)
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)
    assert float(np.percentile(pauses, 95)) < 0.02


async def test_ctrl_c_is_the_parents_business_and_close_leaves_no_process(model: Path) -> None:
    backend = WorkerBackend(model, workers=2)
    await backend.start()
    started = pids(backend)
    assert len(set(started)) == 2
    for pid in started:
        os.kill(pid, signal.SIGINT)
    assert len(await backend.predict(windows(4))) == 4
    assert all(alive(pid) for pid in started)
    asked = asyncio.create_task(backend.predict(windows(4), deadline_s=60))
    await asyncio.sleep(0)
    await until(lambda: not backend.counters()["waiting"])
    await backend.close()
    outcome = (await asyncio.gather(asked, return_exceptions=True))[0]
    assert isinstance(outcome, (BackendError, list))
    assert not any(alive(pid) for pid in started)
    assert backend.counters()["restarts"] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="has no niceness")
async def test_workers_stand_behind_the_process_that_reads_the_packets(workers: WorkerBackend) -> None:
    await workers.predict(windows(1))
    behind = min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICE)
    assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in pids(workers)} == {behind}

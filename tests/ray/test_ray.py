"""Recognition on Ray Serve, started here. Not part of the gate: `make ray` runs it in an environment that has Ray."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest

# Ray reads these when it is imported; a cluster and whoever joins it need the same.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", "5e" * 32)
pytest.importorskip("ray", reason="needs the extra 'ray': make ray")

from bot.recognition import make_backend
from bot.settings import load_settings
from ser_engine.backends.base import ModelInfo
from ser_engine.backends.process import one_thread
from ser_engine.backends.ray_serve import RayBackend
from ser_engine.baseline import Baselines
from ser_engine.errors import BackendOverloaded, DeadlineExceeded, InvalidSamples
from ser_engine.models import find_model
from ser_engine.recognizer import Recognizer
from ser_engine.segmenter import segment_pcm
from ser_engine.types import Prediction, Window
from tests.fakes.clips import clip, clip_paths

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    # Ray's own, at import and while it runs.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

MODEL = "seed"
PATIENCE_S = 240.0


def windows() -> list[Window]:
    return [window for path in clip_paths()[:4] for window in segment_pcm(clip(path))]


def recognised() -> tuple[ModelInfo, list[Prediction], list[Prediction]]:
    """The model, and its answers about `windows`: without what was heard earlier, and beside it.

    In a process with one thread, as the replicas are. With several, numpy's sums differ in their last digits, and where
    a network computes in bytes that moves an answer by up to a thousandth.
    """
    with one_thread(), ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_recognise).result()


def _recognise() -> tuple[ModelInfo, list[Prediction], list[Prediction]]:
    recognizer = Recognizer.load(find_model(MODEL))
    return recognizer.info, recognizer.predict(windows()), recognizer.predict(windows(), {})


async def until(holds: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.05)


def replicas() -> list[int]:
    """The processes of the replicas."""
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout  # noqa: S607
    return [int(line.split()[0]) for line in listed.splitlines() if f"ray::ServeReplica:undertone-{MODEL}" in line]


async def test_started_here_it_answers_as_the_recogniser_does_and_a_killed_replica_loses_nothing() -> None:
    backend = make_backend(load_settings(env_file=None, backend="ray", model=MODEL, workers=1))
    assert isinstance(backend, RayBackend)
    await backend.start()
    try:
        await _answers(backend)
        await _survives_a_kill(backend)
    finally:
        await backend.close()
    assert not backend.ready
    assert replicas() == []


async def _answers(backend: RayBackend) -> None:
    asked = windows()
    info, alone, beside_earlier = await asyncio.to_thread(recognised)
    assert backend.ready
    assert backend.model == info
    _same(await backend.predict(asked, deadline_s=PATIENCE_S), alone)
    ours: Baselines = {}
    found = await backend.predict(asked, baselines=ours, deadline_s=PATIENCE_S)
    _same(found, beside_earlier)
    many = await asyncio.gather(*(backend.predict([asked[0]], deadline_s=PATIENCE_S) for _ in range(40)))
    assert {prediction.emotion for (prediction,) in many} == {found[0].emotion}
    assert await backend.segment(clip_paths()[0].read_bytes()) != []
    with pytest.raises(InvalidSamples):
        await backend.predict([replace(asked[0], pcm=asked[0].pcm[:0])])
    with pytest.raises(DeadlineExceeded):
        await backend.predict(asked[:1], deadline_s=0.0)
    counted = backend.counters()
    assert counted["windows"] == 2 * len(asked) + 40
    assert (counted["lost"], counted["dropped"], counted["files"]) == (0, 0, 1)


def _same(found: list[Prediction], expected: list[Prediction]) -> None:
    """Windows of other lengths in the same batch move the last digits."""
    assert [prediction.emotion for prediction in found] == [prediction.emotion for prediction in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert dict(ours.probabilities) == pytest.approx(dict(theirs.probabilities), abs=1e-4)


async def _survives_a_kill(backend: RayBackend) -> None:
    (asked, *_), (first,) = windows(), replicas()
    answers = [asyncio.create_task(backend.predict([asked] * 8, deadline_s=PATIENCE_S), name="asks") for _ in range(10)]
    await until(lambda: any(task.done() for task in answers))
    os.kill(first, signal.SIGKILL)
    found = await asyncio.gather(*answers)
    assert [len(predictions) for predictions in found] == [8] * 10
    counted = backend.counters()
    assert counted["lost"] == 0
    assert counted["retried"] > 0
    await until(lambda: first not in replicas() and replicas() and backend.ready)
    assert len(await backend.predict([asked], deadline_s=PATIENCE_S)) == 1


async def test_it_runs_against_a_cluster_leaves_it_running_and_refuses_what_is_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ser_engine.backends.ray_replica.ONGOING", 1)
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    begin = [*ray, "start", "--head", "--port=0", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats"]
    began = await asyncio.create_subprocess_exec(*begin, stdout=asyncio.subprocess.PIPE)
    said, _ = await began.communicate()
    assert began.returncode == 0
    address = re.search(r"--address='?([\d.]+:\d+)", said.decode())
    assert address is not None, said.decode()
    try:
        (asked, *_) = windows()
        for _ in range(2):  # the second finds the application that the first one left
            backend = RayBackend(MODEL, find_model(MODEL), address=address[1], queue_windows=2)
            await backend.start()
            assert len(await backend.predict([asked], deadline_s=PATIENCE_S)) == 1
            asking = (backend.predict([asked], deadline_s=PATIENCE_S) for _ in range(60))
            many = await asyncio.gather(*asking, return_exceptions=True)
            assert any(isinstance(outcome, BackendOverloaded) for outcome in many)
            assert all(isinstance(outcome, list | BackendOverloaded) for outcome in many)
            assert backend.counters()["dropped"] > 0
            await backend.close()
            assert len(replicas()) == 1
    finally:
        ended = await asyncio.create_subprocess_exec(*ray, "stop", "--force", stdout=asyncio.subprocess.DEVNULL)
        await ended.wait()

"""More speech than is recognised: a cheaper model answers and says so, nothing is dropped, and it comes back."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ser_engine import segment_pcm
from ser_engine.backends import pressure
from ser_engine.backends.pressure import CALM_S, CALM_SHARE, QUIET_S, Pressure
from ser_engine.backends.workers import WorkerBackend
from ser_engine.baseline import SpeakerBaseline
from ser_engine.types import Window
from tests.fakes.clips import clip, clip_paths
from tests.fakes.model import make_model
from tests.fakes.waiting import until

AFTER_S = 100.0


def windows(n: int = 3) -> list[Window]:
    return [window for path in clip_paths()[:n] for window in segment_pcm(clip(path))][:n]


@pytest.mark.unit
def test_it_begins_past_the_age_and_ends_when_it_was_calm_for_a_while() -> None:
    now = [0.0]
    felt = Pressure(2.0, lambda: now[0])
    assert not felt.note(1.9)
    assert felt.note(2.0)
    assert felt.note(2.0 * CALM_SHARE)  # calm from here on
    now[0] = CALM_S - 0.1
    assert felt.note(0.0)
    now[0] = CALM_S
    assert not felt.note(0.0)
    assert not felt.note(1.9)
    assert felt.begun == 1


@pytest.mark.unit
def test_a_wait_in_between_begins_the_calm_anew() -> None:
    now = [0.0]
    felt = Pressure(2.0, lambda: now[0])
    felt.note(3.0)
    felt.note(0.0)
    now[0] = CALM_S - 1
    assert felt.note(1.0)
    now[0] = CALM_S + 5
    assert felt.note(0.0)
    now[0] = 2 * CALM_S + 5
    assert not felt.note(0.0)


@pytest.mark.unit
def test_without_an_age_it_never_begins() -> None:
    assert not Pressure(0.0).note(1e6)


@pytest.mark.unit
def test_it_ends_when_nobody_talks_any_more() -> None:
    now = [0.0]
    felt = Pressure(2.0, lambda: now[0])
    felt.note(3.0)
    found = []
    for now[0] in (QUIET_S - 0.1, QUIET_S):
        found.append(felt.pressed)
    assert found == [True, False]
    assert not felt.note(1.0)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return make_model(folder / "slow", encoder=True), make_model(folder / "fast", encoder=True, seed=6)


@pytest.fixture
async def backend(models: tuple[Path, Path]) -> AsyncIterator[WorkerBackend]:
    slow, fast = models
    made = WorkerBackend(slow, cheaper_dir=fast, degrade_after_s=AFTER_S)
    await made.start()
    yield made
    await made.close()


@pytest.mark.integration
async def test_past_the_age_the_cheaper_model_answers_and_says_so(
    backend: WorkerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that stands still for a while: what waited for it is answered, by the other model."""
    monkeypatch.setattr(pressure, "CALM_S", 0.0)
    asked, baselines = windows(), dict[str, SpeakerBaseline]()
    before = await backend.predict(asked, baselines=baselines)
    assert {one.engine for one in before} == {None}
    late = await backend.predict(asked, baselines=baselines, waited_s=AFTER_S)
    assert {one.engine for one in late} == {"fast"}
    assert {one.earlier_windows for one in late} == {None}
    assert late != before
    assert backend.counters()["pressed"] == 1
    assert backend.counters()["degraded"] == len(asked)
    await backend.predict(asked)  # calm begins
    after = await backend.predict(asked)
    assert {one.engine for one in after} == {None}
    assert backend.counters()["pressed"] == 0
    assert backend.counters()["dropped"] == backend.counters()["lost"] == 0


@pytest.mark.integration
async def test_a_stalled_worker_is_followed_by_the_cheaper_model(
    backend: WorkerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    later_s = [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + later_s[0])
    monkeypatch.setattr("ser_engine.backends.workers.time", clock)
    (pid,) = [slot.pid for slot in backend._slots]
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        first = asyncio.create_task(backend.predict(windows(1), deadline_s=10 * AFTER_S))
        await asyncio.sleep(0)  # it is put into the queue …
        await until(lambda: not backend.counters()["waiting"])  # … and taken out of it for the worker, where it stays
        second = asyncio.create_task(backend.predict(windows(), deadline_s=10 * AFTER_S))
        await until(lambda: backend.counters()["waiting"])
        later_s[0] = AFTER_S
    finally:
        os.kill(pid, signal.SIGCONT)
    assert {one.engine for one in await first} == {None}
    assert {one.engine for one in await second} == {"fast"}
    assert backend.counters()["dropped"] == 0


@pytest.mark.integration
async def test_a_cheaper_model_that_was_exchanged_is_not_taken(models: tuple[Path, Path], tmp_path: Path) -> None:
    """It is loaded when it is needed first; what decides about its answers was loaded at the start."""
    slow, fast = models
    changed = tmp_path / "fast"
    shutil.copytree(fast, changed)
    backend = WorkerBackend(slow, cheaper_dir=changed, degrade_after_s=AFTER_S)
    await backend.start()
    try:
        make_model(changed, encoder=True, seed=7)
        late = await backend.predict(windows(), waited_s=AFTER_S)
        assert {one.engine for one in late} == {None}
        assert not backend.pressed
    finally:
        await backend.close()


@pytest.mark.integration
@pytest.mark.parametrize("what", ["encoder.onnx", "model.json"])
async def test_a_broken_cheaper_model_costs_nothing(models: tuple[Path, Path], tmp_path: Path, what: str) -> None:
    slow, fast = models
    broken = tmp_path / "fast"
    shutil.copytree(fast, broken)
    (broken / what).write_bytes(b"version https://git-lfs.github.com/spec/v1")
    backend = WorkerBackend(slow, cheaper_dir=broken, degrade_after_s=AFTER_S)
    await backend.start()
    try:
        calm = await backend.predict(windows())
        late = await backend.predict(windows(), waited_s=AFTER_S)
        assert late == calm
        assert not backend.pressed
        assert backend.counters()["degraded"] == backend.counters()["lost"] == 0
    finally:
        await backend.close()

"""What every test has: a category, and a check that it leaves no task behind."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Generator, Iterator

# Before numpy is imported: threads that share a product wait for each other at full speed, and the other test processes
# need the cores. The service's own processes compute so, too (`ser_engine.backends.process`).
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import dave  # noqa: F401 - first of all: loaded after TensorFlow, libdave finds its functions there and crashes
import pytest
import structlog

from tests.fakes.log import restored
from tests.fakes.waiting import OwnTime

GRACE_S = 3.0
"""What a transport that is being closed may take to end its own tasks."""


LONGEST = (
    "bot/cli/test_evaluate.py",
    "bot/cli/test_model.py",
    "bot/commands/test_deletion_races.py",
    "bot/commands/test_listen.py",
    "bot/commands/test_presses.py",
    "bot/test_neighbours.py",
    "bot/test_stopping.py",
    "bot/voice/test_live_cuts.py",
    "bot/voice/test_live_gateway.py",
    "bot/voice/test_live_keys.py",
    "bot/voice/test_live_panel.py",
    "bot/voice/test_live_people.py",
    "bot/voice/test_live_wire.py",
    "bot/web/test_every_door.py",
    "bot/web/test_long_report.py",
    "e2e/test_conversation.py",
    "e2e/test_hosts.py",
    "e2e/test_kill.py",
    "e2e/test_postgres.py",
    "e2e/test_voice_message.py",
    "packaging/test_installation.py",
    "packaging/test_wheel.py",
    "ser_engine/backends/test_backends.py",
    "ser_engine/backends/test_decoder.py",
    "ser_engine/backends/test_recordings.py",
    "ser_engine/backends/test_shutdown.py",
    "ser_engine/test_golden.py",
    "ser_engine/test_live_equals_file.py",
    "ser_engine/test_no_emotion.py",
    "ser_engine/test_quick.py",
    "ser_engine/training/test_encoder.py",
    "storage/test_sessions.py",
)
"""Files whose tests take ten seconds or more together. One process runs a whole file (`--dist loadfile`)."""
CATEGORIES = frozenset({"unit", "integration", "e2e"})


def pytest_configure() -> None:
    """Print errors that are logged as Python does.

    Where nobody set the log up, structlog has Rich draw them, with every variable of every frame. That took up to half
    a second each, in which the event loop stood still.
    """
    structlog.dev.ConsoleRenderer.get_active().exception_formatter = structlog.dev.plain_traceback


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from what is there to stay: all that the tests import, half a million objects.

    It looked at them again and again, for an eighth of the tests' processor time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that does not say what it needs, so that `-m unit` means what it says.

    The longest files begin first: one that begins last is waited for, with the other processes idle.
    """
    without = sorted(
        {item.location[0] for item in items if not CATEGORIES & {mark.name for mark in item.iter_markers()}}
    )
    if without:
        raise pytest.UsageError(f"these tests lack one of the markers {sorted(CATEGORIES)}: {', '.join(without)}")
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONGEST))


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A command that sets its log up, and is called by one test, decides nothing for the next one's."""
    with restored():
        yield


@pytest.fixture(autouse=True)
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail when a task outlives the test that caused it: each must have an owner that ends it."""
    before = asyncio.all_tasks()
    yield
    own = OwnTime()
    while (leaked := _others() - before) and own.s < GRACE_S:
        await asyncio.sleep(0.01)
        own.look()
    names = sorted(task.get_name() for task in leaked)
    for task in leaked:
        task.cancel()
    assert not leaked, f"tasks outlived the test: {names}"


def _others() -> set[asyncio.Task[object]]:
    return {task for task in asyncio.all_tasks() if not task.done() and task is not asyncio.current_task()}

"""What every test has: a check that it leaves no task behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest


@pytest.fixture(autouse=True)
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail when a task outlives the test that caused it: each must have an owner that ends it."""
    before = asyncio.all_tasks()
    yield
    for _ in range(5):  # transports and async generators close in the next turns of the loop
        await asyncio.sleep(0)
    leaked = {task for task in asyncio.all_tasks() - before if not task.done() and task is not asyncio.current_task()}
    names = sorted(task.get_name() for task in leaked)
    for task in leaked:
        task.cancel()
    assert not leaked, f"tasks outlived the test: {names}"

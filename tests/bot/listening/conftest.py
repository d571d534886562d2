"""A session to be started, on a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.listening.ends import EndReason
from storage import Storage
from tests.fakes.databases import lay_tables
from tests.fakes.listening import Stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    lay_tables(tmp_path / "test.db")
    storage = await Storage.open(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}", key=b"k" * 32)
    stage = Stage(storage)
    yield stage
    for session in stage.manager.running():
        session.end(EndReason.STOPPED)
    await stage.over()
    await storage.close()

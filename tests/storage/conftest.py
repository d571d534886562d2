"""A fresh database in a folder of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage import NewSession, SessionRecord, Storage

KEY = bytes(range(32))


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'undertone.db'}"


@pytest.fixture
async def storage(database_url: str) -> AsyncIterator[Storage]:
    opened = await Storage.open(database_url, key=KEY)
    yield opened
    await opened.close()


@pytest.fixture
async def session(storage: Storage) -> SessionRecord:
    return await storage.start_session(
        NewSession(
            guild_id=10, channel_id=20, started_by=1, model="seed", model_version="abc", labels=("Angry", "Happy")
        )
    )

"""A fresh database, of SQLite in a folder of its own and of PostgreSQL: each test runs on both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage import NewSession, SessionRecord, Storage
from tests.fakes.postgres import new_database, on_postgres

KEY = bytes(range(32))


on_sqlite = pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
"""For a test that is about SQLite's file."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=on_postgres)])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def database_url(dialect: str, tmp_path: Path) -> str:
    return new_database() if dialect == "postgresql" else f"sqlite:///{tmp_path / 'undertone.db'}"


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

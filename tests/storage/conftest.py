"""A fresh database, of SQLite in a folder of its own and of PostgreSQL: each test runs on both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.config import Config
from sqlalchemy import Connection, event
from sqlalchemy.orm import ORMExecuteState, Session

from storage import NewSession, SessionRecord, Storage
from storage.database import _MIGRATIONS, _create_engine
from storage.write_queue import QueuedSession, WriteQueue
from tests.fakes.databases import lay_tables, tables_in_postgres
from tests.fakes.postgres import new_database

KEY = bytes(range(32))


on_sqlite = pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
"""For a test that is about SQLite's file."""


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def database_url(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Empty for a test that opens it by itself; with its tables for one that is given the open `storage`."""
    laid = "storage" in request.fixturenames
    if dialect == "postgresql":
        return tables_in_postgres() if laid else new_database()
    if laid:
        lay_tables(tmp_path / "undertone.db")
    return f"sqlite:///{tmp_path / 'undertone.db'}"


@pytest.fixture
async def storage(database_url: str) -> AsyncIterator[Storage]:
    opened = await Storage.open(database_url, key=KEY)
    with _only_writers_change_anything(opened._database._queue):
        yield opened
    await opened.close()


@contextmanager
def _only_writers_change_anything(queue: WriteQueue) -> Iterator[None]:
    """`Database.transaction` would do for a change as well, but would keep those who read from their connections."""

    def flushes(session: Session, *_: object) -> None:
        assert session.info["turn"]._file is not queue._file or queue.writers

    def executes(state: ORMExecuteState) -> None:
        if state.is_insert or state.is_update or state.is_delete:
            flushes(state.session)

    event.listen(QueuedSession, "before_flush", flushes)
    event.listen(QueuedSession, "do_orm_execute", executes)
    try:
        yield
    finally:
        event.remove(QueuedSession, "before_flush", flushes)
        event.remove(QueuedSession, "do_orm_execute", executes)


@pytest.fixture
async def session(storage: Storage) -> SessionRecord:
    return await storage.start_session(
        NewSession(
            guild_id=10, channel_id=20, started_by=1, model="seed", model_version="abc", labels=("Angry", "Happy")
        )
    )


async def move(
    url: str,
    how: Callable[[Config, str], None],
    revision: str,
    *,
    after: Callable[[Connection], object] = lambda _: None,
) -> None:
    """Bring the schema to a revision and do something there."""

    def work(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        config.attributes["connection"] = connection
        how(config, revision)
        after(connection)

    engine = _create_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(work)
    await engine.dispose()

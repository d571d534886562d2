"""A PostgreSQL that hangs, or a network that swallows what is sent: nothing waits for ever, and it is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from storage import NewSession, SessionRecord, Storage, WindowWriter, database, patience
from storage import writer as writer_module
from storage.errors import StorageUnavailable
from tests.fakes.postgres import Line, line_to_a_new_database
from tests.fakes.records import window
from tests.fakes.waiting import until
from tests.storage.conftest import KEY

pytestmark = pytest.mark.integration


@pytest.fixture
async def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    monkeypatch.setattr(database, "CONNECT_S", 3.0)  # a slow machine connects in this, too
    monkeypatch.setattr(database, "_CLOSE_WAIT_S", 1.0)
    monkeypatch.setattr(writer_module, "LATE_S", 0.5)
    async with line_to_a_new_database(tmp_path) as line:
        yield line


@asynccontextmanager
async def opened(line: Line) -> AsyncIterator[tuple[Storage, SessionRecord]]:
    storage = await Storage.open(line.url, key=KEY)
    new = NewSession(guild_id=1, channel_id=2, started_by=3, model="m", model_version="v", labels=("Angry", "Happy"))
    try:
        yield storage, await storage.start_session(new)
    finally:
        await storage.close()


async def test_what_hangs_is_told_and_written_when_it_is_over(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(line) as (storage, session):
        person = await storage.include_participant(session.id, 4)
        writer = WindowWriter(storage, flush_after_s=0.05)
        task = asyncio.create_task(writer.run(), name="writer")
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(patience, "PING_S", 0.3)
            line.flows.clear()
            writer.put(session.id, window(person.id))
            await until(lambda: writer.failing)
            assert writer.counters()["failures"] >= 1
            with pytest.raises(StorageUnavailable):
                async with asyncio.timeout(60):
                    await storage.session(session.id)
        line.flows.set()
        await until(lambda: writer.written == 1)
        await until(lambda: not writer.failing)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_transaction_that_gets_no_answer_is_cut_and_the_next_one_works(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(line) as (storage, session):

        async def cut_off() -> None:
            async with asyncio.timeout(60), storage._database.transaction() as db:
                await db.execute(text("SELECT 1"))
                line.flows.clear()
                await db.execute(text("SELECT 1"))

        monkeypatch.setattr(patience, "LONGEST_S", 2.0)
        with pytest.raises(StorageUnavailable):
            await cut_off()
        line.flows.set()
        assert await storage.session(session.id) is not None


async def test_a_machine_that_is_gone_is_missed_on_every_connection(line: Line) -> None:
    """It may be gone within a transaction, whose rows are locked until then."""
    async with opened(line) as (storage, _), storage._database.transaction() as db:
        told = await db.scalars(text("SELECT name FROM pg_settings WHERE name LIKE 'tcp%' AND source = 'session'"))
        assert set(told) == set(patience._GONE)


async def test_what_may_take_long_is_not_cut(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(line) as (storage, _):
        monkeypatch.setattr(patience, "LONGEST_S", 2.0)
        async with storage._database.writing(patient=True) as db:
            await db.execute(text("SELECT pg_sleep(2.5)"))
        with pytest.raises(StorageUnavailable):
            async with storage._database.writing() as db:
                await db.execute(text("SELECT pg_sleep(10)"))


async def test_it_is_left_behind_in_time(line: Line) -> None:
    async with opened(line) as (storage, session):
        await asyncio.gather(*(storage.session(session.id) for _ in range(4)))
        line.flows.clear()
        async with asyncio.timeout(60):
            await storage.close()

"""Writers of one process on one SQLite file: each gets its turn, however late the event loop is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import update
from sqlalchemy.util import await_only

from storage import MomentRecord, SessionRecord, Storage, WindowWriter, database, schema
from storage.errors import StorageUnavailable
from storage.write_queue import PLACES
from tests.fakes.records import window
from tests.storage.conftest import KEY, on_sqlite

pytestmark = [pytest.mark.integration, on_sqlite]

LATE_S = 0.01
MARK = MomentRecord(at_s=1.0, kind="mark", participant_id=None, text="here")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite waits for less than a writer takes on a late event loop. To be asked for before `storage`.

    How long a machine takes for them all is another matter: a batch is not called late for it.
    """
    monkeypatch.setattr("storage.database._BUSY_TIMEOUT_MS", round(LATE_S * 1_000))
    monkeypatch.setattr("storage.writer.LATE_S", 120.0)


@asynccontextmanager
async def _late() -> AsyncIterator[None]:
    """Each turn of the event loop takes a while."""

    async def block() -> None:
        while True:
            time.sleep(LATE_S)  # noqa: ASYNC251 - that is what it is for
            await asyncio.sleep(0)

    task = asyncio.create_task(block(), name="late")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_all_writers_are_served_on_a_late_event_loop(
    impatient: None, storage: Storage, session: SessionRecord
) -> None:
    person = await storage.include_participant(session.id, 100)
    writer = WindowWriter(storage, flush_after_s=LATE_S)
    for n in range(30):
        writer.put(session.id, window(person.id, 3.0 * n))
    task = asyncio.create_task(writer.run(), name="writer")
    async with _late():
        marks = (storage.add_moment(session.id, MARK) for _ in range(30))
        read, *_ = await asyncio.gather(storage.report(session.id), *marks)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    report = await storage.report(session.id)
    assert read is not None
    assert report is not None
    assert len(report.moments) == 30
    assert (writer.failures, len(report.participants[0].windows)) == (0, 30)


async def test_no_writer_is_passed_over_and_nobody_who_reads_waits_for_them(
    storage: Storage, session: SessionRecord
) -> None:
    served: list[int] = []

    async def write(number: int) -> None:
        await storage.add_moment(session.id, MARK)
        served.append(number)

    async with _holding(storage, session):
        tasks = [asyncio.create_task(write(number)) for number in range(4 * PLACES)]
        for _ in range(10):
            await storage.ping()
            assert await storage.report(session.id) is not None
        assert not served
    await asyncio.gather(*tasks)
    assert all(abs(place - number) < PLACES for place, number in enumerate(served))


@pytest.mark.parametrize("turns", [0, 1, 3, 10, 30, 100, 300, 1_000])
async def test_who_is_cancelled_keeps_nobody_waiting(storage: Storage, session: SessionRecord, turns: int) -> None:
    tasks = [asyncio.create_task(storage.add_moment(session.id, MARK)) for _ in range(4 * PLACES)]
    for _ in range(turns):
        await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [task.exception() for task in tasks[1::2]] == [None] * 2 * PLACES
    await storage.add_moment(session.id, MARK)
    report = await storage.report(session.id)
    assert report is not None
    assert len(report.moments) >= 1 + sum(not task.cancelled() for task in tasks)  # some were cut off in their commit
    assert storage._database._queue.writers == 0


@pytest.mark.parametrize("others", [1, PLACES])
async def test_who_waits_for_too_long_is_told_so(
    storage: Storage, session: SessionRecord, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """For the file, and for a place."""
    async with _holding(storage, session):
        tasks = [asyncio.create_task(storage.add_moment(session.id, MARK)) for _ in range(others - 1)]
        await asyncio.sleep(0)
        monkeypatch.setattr("storage.write_queue.WAIT_S", 0.05)
        with pytest.raises(StorageUnavailable, match="too much waits to be written"):
            await storage.add_moment(session.id, MARK)
        monkeypatch.undo()
    await asyncio.gather(*tasks, return_exceptions=True)
    await storage.add_moment(session.id, MARK)


async def test_a_writer_that_fails_lets_the_next_one_in(storage: Storage, session: SessionRecord) -> None:
    with pytest.raises(ZeroDivisionError):
        async with _holding(storage, session):
            raise ZeroDivisionError
    await storage.add_moment(session.id, MARK)


async def test_closing_waits_for_those_in_the_queue(
    storage: Storage, session: SessionRecord, database_url: str
) -> None:
    tasks = [asyncio.create_task(storage.add_moment(session.id, MARK)) for _ in range(4 * PLACES)]
    await asyncio.sleep(0)
    await storage.close()
    await asyncio.gather(*tasks)
    again = await Storage.open(database_url, key=KEY)
    report = await again.report(session.id)
    await again.close()
    assert report is not None
    assert len(report.moments) == 4 * PLACES


async def test_closing_does_not_wait_for_ever(
    storage: Storage, session: SessionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.database._CLOSE_WAIT_S", 0.05)
    holding = _holding(storage, session)
    await holding.__aenter__()
    tasks = [asyncio.create_task(storage.add_moment(session.id, MARK)) for _ in range(4 * PLACES)]
    await asyncio.sleep(0)
    await storage.close()
    with pytest.raises(StorageUnavailable, match="closed"):
        await holding.__aexit__(None, None, None)
    faults = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(fault) for fault in faults} == {StorageUnavailable}


async def test_a_connection_that_is_opened_while_the_database_closes_is_closed_too(
    storage: Storage, session: SessionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[aiosqlite.Connection] = []
    closed = asyncio.Event()
    connect, switch = aiosqlite.connect, database._switch_to_wal

    def connecting(*args: Any, **options: Any) -> aiosqlite.Connection:
        made.append(connect(*args, **options))
        return made[-1]

    def slowly(cursor: Any) -> None:
        await_only(closed.wait())
        switch(cursor)

    monkeypatch.setattr(aiosqlite, "connect", connecting)
    monkeypatch.setattr(database, "_switch_to_wal", slowly)
    monkeypatch.setattr(database, "_CLOSE_WAIT_S", 0.05)
    tasks = [asyncio.create_task(storage.add_moment(session.id, MARK)) for _ in range(PLACES)]
    while not made:
        await asyncio.sleep(0.001)
    await storage.close()
    closed.set()
    faults = await asyncio.gather(*tasks, return_exceptions=True)
    assert StorageUnavailable in {type(fault) for fault in faults}
    assert [one for one in made if one._connection is not None] == []


async def test_two_processes_on_one_file_wait_for_each_other(
    storage: Storage, session: SessionRecord, database_url: str
) -> None:
    other = await Storage.open(database_url, key=KEY)
    await asyncio.gather(*(one.add_moment(session.id, MARK) for _ in range(20) for one in (storage, other)))
    report = await other.report(session.id)
    await other.close()
    assert report is not None
    assert len(report.moments) == 40


@asynccontextmanager
async def _holding(storage: Storage, session: SessionRecord) -> AsyncIterator[None]:
    """Within this block, the file is held by a writer."""
    async with storage._database.writing() as db:
        await db.execute(update(schema.Session).filter_by(id=session.id).values(end_reason=None))
        yield

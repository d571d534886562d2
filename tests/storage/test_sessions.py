"""Sessions as the bot writes them and the web reads them, on a real SQLite file."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event
from structlog.testing import capture_logs

from storage import MomentRecord, NewSession, SessionRecord, SessionState, Storage, WindowRecord, WindowWriter, sessions
from storage.errors import StorageConflict, StorageUnavailable, UnknownSession
from tests.fakes.records import window
from tests.storage.conftest import KEY, on_sqlite

pytestmark = pytest.mark.integration


async def test_a_session_exists_from_its_first_second(storage: Storage, session: SessionRecord) -> None:
    found = await storage.session(session.id)
    assert found == session
    assert (session.state, session.started_by, session.labels) == (SessionState.LIVE, 1, ("Angry", "Happy"))
    assert await storage.session("nothing") is None


async def test_people_are_numbered_in_order_and_keep_their_number(storage: Storage, session: SessionRecord) -> None:
    first = await storage.include_participant(session.id, 100)
    second = await storage.include_participant(session.id, 200)
    await storage.withdraw_participant(session.id, 100)
    withdrawn = (await storage.participants(session.id))[0]
    again = await storage.include_participant(session.id, 100)
    assert [first.pseudonym, second.pseudonym] == ["Speaker 1", "Speaker 2"]
    assert withdrawn.withdrawn_at is not None
    assert (again.id, again.user_id, again.withdrawn_at) == (first.id, 100, None)


async def test_two_people_included_at_once_get_two_numbers(storage: Storage, session: SessionRecord) -> None:
    people = await asyncio.gather(*(storage.include_participant(session.id, user_id) for user_id in range(1, 9)))
    assert sorted(p.pseudonym for p in people) == [f"Speaker {n}" for n in range(1, 9)]


async def test_a_report_gives_back_what_was_written(storage: Storage, session: SessionRecord) -> None:
    person = await storage.include_participant(session.id, 100)
    written = [window(person.id, 3.0, reason="unsure", unclear=True), window(person.id, 0.0)]
    assert await storage.add_windows(session.id, written) == 2
    moment = MomentRecord(at_s=1.5, kind="mark", participant_id=None, text="here")
    await storage.add_moment(session.id, moment)
    report = await storage.report(session.id)
    assert report is not None
    assert report.participants[0].windows == (written[1], written[0])
    assert report.moments == (moment,)


async def test_windows_of_a_deleted_person_are_left_out(storage: Storage, session: SessionRecord) -> None:
    person = await storage.include_participant(session.id, 100)
    assert await storage.add_windows(session.id, [window(person.id), window(person.id + 1)]) == 1


async def test_ending_twice_keeps_the_first_end(storage: Storage, session: SessionRecord) -> None:
    first = await storage.end_session(session.id, state=SessionState.ENDED, reason="stopped", counters={"late": 2})
    second = await storage.end_session(session.id, state=SessionState.INTERRUPTED, reason="later", counters={})
    assert first == second
    assert (first.state, first.end_reason, first.counters) == (SessionState.ENDED, "stopped", {"late": 2})


async def test_unknown_sessions_are_refused_in_words(storage: Storage) -> None:
    with pytest.raises(UnknownSession, match="no such session"):
        await storage.include_participant("gone", 1)
    with pytest.raises(UnknownSession):
        await storage.end_session("gone", state=SessionState.ENDED, reason="x", counters={})
    assert await storage.report("gone") is None


async def test_what_a_killed_process_left_is_closed_at_its_last_window(
    storage: Storage, session: SessionRecord, database_url: str
) -> None:
    person = await storage.include_participant(session.id, 100)
    await storage.add_windows(session.id, [window(person.id, 0.0), window(person.id, 39.0)])
    # A second process opens the file while the first one never said goodbye.
    reopened = await Storage.open(database_url, key=KEY)
    closed = await reopened.interrupt_live_sessions()
    report = await reopened.report(session.id)
    await reopened.close()
    assert [record.id for record in closed] == [session.id]
    assert report is not None
    assert report.session.state is SessionState.INTERRUPTED
    assert report.duration_s == pytest.approx(42.0)
    assert report.participants[0].talk_s == pytest.approx(6.0)


async def test_what_a_killed_process_left_is_told_at_each_start_until_it_is_put_right(
    storage: Storage, session: SessionRecord
) -> None:
    for _ in range(2):  # the second start comes before Discord could be talked to
        assert [record.id for record in await storage.interrupt_live_sessions()] == [session.id]
    await storage.settled(session.id)
    assert await storage.interrupt_live_sessions() == []


async def test_sessions_are_listed_newest_first(storage: Storage, session: SessionRecord) -> None:
    others = [await storage.start_session(_new(guild_id)) for guild_id in (10, 11, 10)]
    listed = await storage.sessions()
    assert [s.id for s in listed] == [s.id for s in reversed([session, *others])]
    assert [s.guild_id for s in await storage.sessions(guild_id=10)] == [10, 10, 10]
    assert [s.id for s in await storage.sessions(limit=2)] == [s.id for s in listed[:2]]


async def test_the_writer_stores_within_its_interval(storage: Storage, session: SessionRecord) -> None:
    person = await storage.include_participant(session.id, 100)
    writer = WindowWriter(storage, flush_after_s=0.01)
    task = asyncio.create_task(writer.run(), name="writer")
    writer.put(session.id, window(person.id))
    async with asyncio.timeout(60):
        while writer.written == 0:
            await asyncio.sleep(0.01)
    writer.put(session.id, window(person.id, 3.0))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (writer.written, writer.pending) == (2, 0)  # what waited at the end was written too


async def test_the_writer_drops_the_oldest_when_the_database_is_away(storage: Storage, session: SessionRecord) -> None:
    person = await storage.include_participant(session.id, 100)
    writer = WindowWriter(storage, limit=3)
    for n in range(5):
        writer.put(session.id, window(person.id, 3.0 * n))
    await writer.flush()
    report = await storage.report(session.id)
    assert report is not None
    assert [w.start_s for w in report.participants[0].windows] == [6.0, 9.0, 12.0]
    assert (writer.dropped, writer.written) == (2, 3)


@on_sqlite
async def test_the_writer_keeps_windows_through_a_locked_database(
    storage: Storage, session: SessionRecord, tmp_path: Path
) -> None:
    person = await storage.include_participant(session.id, 100)
    writer = WindowWriter(storage)
    writer.put(session.id, window(person.id))
    holder = sqlite3.connect(tmp_path / "undertone.db")
    holder.execute("BEGIN IMMEDIATE")
    with inserting() as begun:
        flush = asyncio.create_task(writer.flush())
        async with asyncio.timeout(60):
            await begun.wait()
    assert not flush.done()  # the busy timeout waits for the lock
    holder.rollback()
    holder.close()
    await flush
    assert writer.written == 1


@contextmanager
def inserting() -> Iterator[asyncio.Event]:
    """Set when SQLite itself has begun with a statement that inserts."""
    begun, loop = asyncio.Event(), asyncio.get_running_loop()

    def on_statement(statement: str) -> None:
        if statement.startswith("INSERT"):
            loop.call_soon_threadsafe(begun.set)

    def on_execute(connection: Connection, *_: object) -> None:
        driver: Any = connection.connection.dbapi_connection
        driver.run_async(lambda sqlite: sqlite.set_trace_callback(on_statement))

    event.listen(Engine, "before_cursor_execute", on_execute)
    try:
        yield begun
    finally:
        event.remove(Engine, "before_cursor_execute", on_execute)


async def test_the_writer_outlives_any_fault_and_writes_when_it_is_over(
    storage: Storage, session: SessionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await storage.include_participant(session.id, 100)
    add = storage.add_results
    faults: list[Exception] = [RuntimeError("unforeseen"), StorageUnavailable("away")]

    async def faulty(results: Sequence[tuple[str, WindowRecord | MomentRecord]]) -> int:
        if faults:
            raise faults.pop()
        return await add(results)

    monkeypatch.setattr(storage, "add_results", faulty)
    writer = WindowWriter(storage, flush_after_s=0.01)
    writer.put(session.id, window(person.id))
    task = asyncio.create_task(writer.run(), name="writer")
    with capture_logs() as logs:
        async with asyncio.timeout(60):
            while not writer.written:
                await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (writer.failures, writer.pending) == (2, 0)
    assert [log["event"] for log in logs].count("windows_not_written") == 1, "once a minute"


@pytest.mark.parametrize(
    "never",
    [
        {"probabilities": {"Angry": float("nan")}},
        {"start_s": float("nan")},
        {"start_s": 1e15},
        {"emotion": "\0"},
    ],
)
async def test_a_result_that_can_never_be_written_holds_up_no_other(
    storage: Storage, session: SessionRecord, never: dict[str, Any]
) -> None:
    person = await storage.include_participant(session.id, 100)
    writer = WindowWriter(storage)
    for n in range(5):
        writer.put(session.id, replace(window(person.id, 3.0 * n), **(never if n == 2 else {})))
    with capture_logs() as logs:
        await writer.flush()
    refused = [log for log in logs if log["event"] == "result_never_written"]
    assert (writer.written, writer.refused, writer.pending) == (5 - len(refused), len(refused), 0)
    report = await storage.report(session.id)
    assert report is not None
    starts = [one.start_s for one in report.participants[0].windows]
    assert [start_s for start_s in starts if start_s in (0.0, 3.0, 9.0, 12.0)] == [0.0, 3.0, 9.0, 12.0]
    assert not writer.failing
    assert len(refused) == 1 or not storage.shared  # SQLite takes more than PostgreSQL does


async def test_writing_ends_although_more_comes_all_the_time(
    storage: Storage, session: SessionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await storage.include_participant(session.id, 100)
    writer, store = WindowWriter(storage), storage.add_results
    came = itertools.count(1)

    async def and_more_comes(batch: Sequence[tuple[str, Any]]) -> int:
        writer.put(session.id, window(person.id, 3.0 * next(came)))
        return await store(batch)

    monkeypatch.setattr(storage, "add_results", and_more_comes)
    writer.put(session.id, window(person.id, 0.0))
    async with asyncio.timeout(30.0):
        await writer.flush()
    assert (writer.written, writer.pending) == (1, 1)


async def test_a_result_of_somebody_who_is_deleted_while_it_is_written_is_no_fault(
    storage: Storage, session: SessionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await storage.include_participant(session.id, 100)
    writer, store = WindowWriter(storage), storage.add_results

    async def gone_meanwhile(_: Sequence[tuple[str, WindowRecord | MomentRecord]]) -> int:
        monkeypatch.setattr(storage, "add_results", store)
        await storage.delete_person(100, None)
        raise StorageConflict("A row does not fit to what is stored; what it belongs to may be deleted.")

    monkeypatch.setattr(storage, "add_results", gone_meanwhile)
    writer.put(session.id, window(person.id, 0.0))
    await writer.flush()
    assert (writer.orphaned, writer.refused, writer.pending, writer.failing) == (1, 0, 0, False)


async def test_what_was_being_written_when_nobody_waited_any_more_is_written_once(
    storage: Storage, session: SessionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await storage.include_participant(session.id, 100)
    writer, store = WindowWriter(storage), storage.add_results
    stored, answer = asyncio.Event(), asyncio.Event()

    async def slow(results: Any) -> int:
        found = await store(results)
        stored.set()
        await answer.wait()
        return found

    monkeypatch.setattr(storage, "add_results", slow)
    writer.put(session.id, window(person.id))
    flushing = asyncio.create_task(writer.flush())
    await stored.wait()
    flushing.cancel()
    await asyncio.wait({flushing})
    answer.set()
    await writer.flush()
    report = await storage.report(session.id)
    assert report is not None
    assert len(report.participants[0].windows) == 1
    assert (writer.written, writer.pending) == (1, 0)


async def test_the_writer_forgets_what_waits_of_a_deleted_person(storage: Storage, session: SessionRecord) -> None:
    gone, stays = [await storage.include_participant(session.id, user_id) for user_id in (100, 200)]
    writer = WindowWriter(storage)
    for person in (gone, stays):
        writer.put(session.id, window(person.id))
    writer.forget({gone.id})
    assert (writer.pending, writer.orphaned) == (1, 1)


async def test_nothing_fails_any_more_when_what_could_not_be_written_is_deleted(
    storage: Storage, session: SessionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the service would not be ready until somebody talks."""
    person = await storage.include_participant(session.id, 100)
    writer = WindowWriter(storage)
    writer.put(session.id, window(person.id))

    async def away(_: object) -> int:
        raise StorageUnavailable("away")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(storage, "add_results", away)
        with pytest.raises(StorageUnavailable):
            await writer.flush()
    assert writer.failing
    writer.forget({person.id})
    await writer.flush()
    assert not writer.failing


async def test_what_was_noticed_is_written_with_the_windows(storage: Storage, session: SessionRecord) -> None:
    gone, stays = [await storage.include_participant(session.id, user_id) for user_id in (100, 200)]
    await storage.delete_person(100, None)
    writer = WindowWriter(storage)
    noticed = [MomentRecord(at_s=1.0, kind="shift", participant_id=p.id, text="turns") for p in (gone, stays)]
    for moment in noticed:
        writer.put(session.id, window(moment.participant_id or 0))
        writer.put(session.id, moment)
    await writer.flush()
    report = await storage.report(session.id)
    assert report is not None
    assert report.moments == (noticed[1],)
    assert [len(person.windows) for person in report.participants] == [1]
    assert (writer.written, writer.orphaned, writer.pending) == (2, 2, 0)


async def test_a_moment_of_somebody_deleted_meanwhile_is_refused(storage: Storage, session: SessionRecord) -> None:
    moment = MomentRecord(at_s=1.0, kind="change", participant_id=12_345, text="")
    with pytest.raises(StorageConflict) as refused:
        await storage.add_moment(session.id, moment)
    assert not refused.value.retryable


def _new(guild_id: int) -> NewSession:
    return NewSession(guild_id=guild_id, channel_id=1, started_by=1, model="m", model_version="v", labels=("A",))


async def test_many_windows_are_read_in_order_and_whole(storage: Storage, session: SessionRecord) -> None:
    person = await storage.include_participant(session.id, 100)
    windows = [window(person.id, 3.0 * n, reason="unsure" if n % 7 == 0 else None) for n in range(2_500)]
    for at in range(0, 2_500, 500):
        await storage.add_windows(session.id, windows[at : at + 500])
    whole = await storage.report(session.id)
    assert whole is not None
    assert list(whole.participants[0].windows) == windows
    before = await storage.edition(session.id)
    assert before is not None
    assert before.windows == 2_500
    assert before == await storage.edition(session.id)
    await storage.withdraw_participant(session.id, 100)
    assert before != await storage.edition(session.id)
    await storage.delete_session(session.id)
    assert await storage.edition(session.id) is None


async def test_a_session_that_is_deleted_while_it_is_closed_is_a_conflict(
    storage: Storage, session: SessionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    require = sessions._require

    async def deleted_meanwhile(db: Any, session_id: str) -> Any:
        row = await require(db, session_id)
        await storage.delete_session(session_id)
        return row

    monkeypatch.setattr(sessions, "_require", deleted_meanwhile)
    with pytest.raises(StorageConflict):
        await storage.end_session(session.id, state=SessionState.ENDED, reason="stopped", counters={})
    monkeypatch.undo()
    with pytest.raises(UnknownSession):
        await storage.end_session(session.id, state=SessionState.ENDED, reason="stopped", counters={})

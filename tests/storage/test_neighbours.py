"""Several processes on one PostgreSQL: what they tell each other, whose turn it is, and what one that died leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text

from storage import NewSession, SessionState, Storage
from storage.wire import LONGEST_BYTES, NAME, QUEUE_MESSAGES
from tests.fakes.waiting import until
from tests.storage.conftest import KEY

pytestmark = pytest.mark.integration

WITHIN_S = 20.0


@pytest.fixture
def dialect() -> str:
    return "postgresql"


class End:
    """One process' end of the wire, and what it heard."""

    def __init__(self, storage: Storage, me: str) -> None:
        self.heard: list[tuple[str, str]] = []
        self.connections = 0
        self.wire = storage.wire(me, heard=lambda sender, said: self.heard.append((sender, said)), connected=self._up)

    async def _up(self) -> None:
        self.connections += 1


@asynccontextmanager
async def ends(storage: Storage, *names: str) -> AsyncIterator[list[End]]:
    made = [End(storage, name) for name in names]
    tasks = [asyncio.create_task(end.wire.run(), name="wire") for end in made]
    try:
        await until(lambda: all(end.wire.up for end in made))
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_one_says_all_others_hear_in_order(storage: Storage) -> None:
    async with ends(storage, "a", "b", "c") as (a, b, c):
        said = [f"{number} {'ö' * 300}" for number in range(100)]  # more than one notification holds
        for message in said:
            assert a.wire.send(message)
        await until(lambda: len(b.heard) == len(c.heard) == len(said))
        assert b.heard == c.heard == [("a", message) for message in said]
        assert a.heard == []
        assert (await storage.living()) == {"a", "b", "c"}


async def test_what_is_too_long_or_too_much_is_counted_and_not_sent(storage: Storage) -> None:
    wire = End(storage, "a").wire
    assert not wire.send("x" * LONGEST_BYTES)
    for number in range(QUEUE_MESSAGES + 3):
        wire.send(str(number))
    counted = wire.counters()
    assert (counted["too_long"], counted["dropped"], counted["waiting"]) == (1, 3, QUEUE_MESSAGES)


async def test_a_cut_wire_comes_back_and_what_was_to_be_sent_waits(storage: Storage) -> None:
    async with ends(storage, "a", "b") as (a, b):
        async with storage._database.transaction() as db:
            cut = await db.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name"),
                {"name": f"{NAME}a"},
            )
            assert cut.all() == [(True,)]
        await until(lambda: not a.wire.up)
        a.wire.send("still there")
        await until(lambda: b.heard == [("a", "still there")])
        assert (a.connections, a.wire.counters()["reconnects"]) == (2, 1)


async def test_one_has_the_turn_and_the_next_gets_it_when_that_one_is_gone(storage: Storage, database_url: str) -> None:
    other = await Storage.open(database_url, key=KEY)
    async with storage.turn("retention") as first:
        assert first is not None
        assert await first()
        async with other.turn("retention") as second, other.turn("something else") as another:
            assert second is None
            assert another is not None
        async with storage._database.transaction() as db:
            await db.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
            )
        async with asyncio.timeout(WITHIN_S):
            while await first():
                await asyncio.sleep(0.01)
        async with other.turn("retention") as second:
            assert second is not None
    await other.close()


async def test_a_machine_that_says_no_goodbye_is_missed(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """By keepalives while nothing is said, and by a limit on what was sent while others talk."""
    line, lines = storage._database.line, []

    @asynccontextmanager
    async def seen() -> AsyncIterator[Any]:
        async with line() as driver:
            lines.append(driver)
            yield driver

    monkeypatch.setattr(storage._database, "line", seen)
    async with storage.turn("retention"), ends(storage, "a"):
        for driver in lines:
            asked = await driver.fetch("SELECT name FROM pg_settings WHERE name LIKE 'tcp%' AND source = 'session'")
            assert {name for (name,) in asked} == {
                "tcp_keepalives_idle",
                "tcp_keepalives_interval",
                "tcp_keepalives_count",
                "tcp_user_timeout",
            }
    assert len(lines) == 2


async def test_a_start_leaves_alone_what_belongs_to_others(storage: Storage) -> None:
    async with ends(storage, "lives"):
        left = [await storage.start_session(_new(guild, owner)) for guild, owner in ((1, "lives"), (1, "died"))]
        far = await storage.start_session(_new(2, "died"))
        closed = await storage.interrupt_live_sessions(lambda guild_id: guild_id == 1)
        assert [record.id for record in closed] == [left[1].id]
        states = [record.state for record in await storage.sessions()]
        assert sorted(states) == [SessionState.INTERRUPTED, SessionState.LIVE, SessionState.LIVE]
        # Not put right in Discord yet, so a start after this one finds it again.
        again = await storage.interrupt_live_sessions(lambda guild_id: guild_id == 1)
        assert [record.id for record in again] == [left[1].id]
        await storage.settled(left[1].id)
        assert await storage.interrupt_live_sessions(lambda guild_id: guild_id == 1) == []
        assert await storage.owners.owners() == {"lives", "died"}
        assert [record.id for record in await storage.owners.interrupt_of({"died"})] == [far.id]
        assert await storage.owners.owners() == {"lives"}


async def test_what_was_closed_for_one_that_lives_is_opened_again(storage: Storage) -> None:
    mine = await storage.start_session(_new(1, "me"))
    theirs = await storage.start_session(_new(2, "them"))
    await storage.owners.interrupt_of({"me", "them"})
    assert await storage.owners.reclaim("me", [mine.id, theirs.id]) == [mine.id]
    again = await storage.session(mine.id)
    assert again is not None
    assert (again.state, again.end_reason, again.ended_at) == (SessionState.LIVE, None, None)


def _new(guild_id: int, owner: str) -> NewSession:
    return NewSession(
        guild_id=guild_id,
        channel_id=3,
        started_by=4,
        model="seed",
        model_version="v",
        labels=("Angry",),
        owner=owner,
    )

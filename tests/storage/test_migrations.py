"""The newest steps of the schema, back and forth: what was stored before one is still there after it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, MetaData, select

from storage import MomentRecord, NewSession, SessionState, Storage
from storage.records import Decision, MessageKind, MessageRecord
from tests.fakes.records import window
from tests.storage.conftest import KEY, move

pytestmark = pytest.mark.integration

Tables = dict[str, list[dict[str, Any]]]


@pytest.mark.parametrize(("revision", "column"), [("0006", ("sessions", "owner")), ("0007", ("windows", "engine"))])
async def test_rows_survive_a_step_down_and_up(database_url: str, revision: str, column: tuple[str, str]) -> None:
    """`column` is what `revision` brought: all that goes with it."""
    storage = await Storage.open(database_url, key=KEY)
    session_id = await _fill(storage)
    before = await storage.report(session_id)
    await storage.close()
    at_first, below, back = Tables(), Tables(), Tables()
    await move(database_url, command.downgrade, revision, after=lambda c: at_first.update(_rows(c)))
    assert all(at_first.values()), "every table has a row that could be lost"

    await move(database_url, command.downgrade, f"{int(revision) - 1:04}", after=lambda c: below.update(_rows(c)))
    assert below == _without(at_first, column)

    await move(database_url, command.upgrade, revision, after=lambda c: back.update(_rows(c)))
    assert _without(back, column) == below
    assert {row[column[1]] for row in back[column[0]]} == {None}

    again = await Storage.open(database_url, key=KEY)
    after = await again.report(session_id)
    await again.close()
    assert before is not None
    assert after is not None
    assert (after.session, after.moments, after.shares) == (before.session, before.moments, before.shares)
    assert [len(person.windows) for person in after.participants] == [3, 3]


async def test_a_step_down_leaves_nothing_that_an_older_program_does_not_know(database_url: str) -> None:
    storage = await Storage.open(database_url, key=KEY)
    session_id = await _fill(storage)
    shared = MessageRecord(message_id=6, channel_id=20, guild_id=10, kind=MessageKind.SHARED, session_id=session_id)
    await storage.note_message(shared, about=100)
    await storage.close()
    below, back = Tables(), Tables()
    await move(database_url, command.downgrade, "0007", after=lambda c: below.update(_rows(c)))
    assert {row["kind"] for row in below["bot_messages"]} == {"panel", "notice"}
    assert [row["retention_days"] for row in below["servers"]] == [7]

    await move(database_url, command.upgrade, "0008", after=lambda c: back.update(_rows(c)))
    assert back == below


async def _fill(storage: Storage) -> str:
    """A row in every table, and in every column that a step takes away."""
    session = await storage.start_session(
        NewSession(
            guild_id=10,
            channel_id=20,
            started_by=1,
            model="default",
            model_version="1",
            labels=("Angry", "Happy"),
            owner="a process",
        )
    )
    for user in (100, 101):
        person = await storage.include_participant(session.id, user)
        reasons = [None, "unsure", None]
        windows = [window(person.id, 3.0 * n, reason=why, engine="fast") for n, why in enumerate(reasons)]
        await storage.add_windows(session.id, windows)
    await storage.add_moment(
        session.id, MomentRecord(at_s=2, kind="mark", participant_id=None, text="x"), author_id=100
    )
    await storage.withdraw_participant(session.id, 101)
    await storage.create_share(session.id, lifetime=timedelta(days=1), maker_id=100)
    await storage.note_message(
        MessageRecord(message_id=5, channel_id=20, guild_id=10, kind=MessageKind.PANEL, session_id=session.id)
    )
    await storage.change_server(10, lambda now: replace(now, attested_at=datetime(2026, 1, 1, tzinfo=UTC)))
    await storage.set_standing_consent(10, 100, Decision.OPT_IN)
    ended = await storage.start_session(
        NewSession(guild_id=10, channel_id=20, started_by=1, model="m", model_version="v", labels=("A",), owner="b")
    )
    await storage.end_session(ended.id, state=SessionState.ENDED, reason="stopped", counters={"windows": 6})
    return session.id


def _rows(connection: Connection) -> Tables:
    tables = MetaData()
    tables.reflect(connection)
    return {
        table.name: [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]
        for table in tables.sorted_tables
        if table.name != "alembic_version"
    }


def _without(tables: Tables, column: tuple[str, str]) -> Tables:
    where, name = column
    rows = [{key: value for key, value in row.items() if key != name} for row in tables[where]]
    return tables | {where: rows}

"""Deletion, export and retention; one test walks the schema so that no table can be forgotten."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, inspect, text

from storage import (
    Decision,
    MessageKind,
    MessageRecord,
    MomentRecord,
    NewSession,
    SessionRecord,
    SessionState,
    Storage,
)
from storage.database import _create_engine
from storage.identity import Identity
from storage.listing import Wanted
from storage.rights import RightsRepository
from storage.schema import Base, BotMessage
from tests.fakes.records import window
from tests.storage.conftest import KEY

pytestmark = pytest.mark.integration

ALICE, BOB = 111_222_333, 444_555_666


async def sessions_of(storage: Storage, user_id: int) -> set[str]:
    """Those whose report the person may open."""
    return {one.session.id for one in await storage.listed(Wanted(), limit=100, user_id=user_id)}


async def _fill(storage: Storage, session: SessionRecord) -> None:
    """A row in every table, for two people."""
    await storage.change_server(10, lambda now: replace(now, attested_at=datetime.now(UTC)))
    for person in (ALICE, BOB):
        await storage.set_standing_consent(10, person, Decision.OPT_IN)
        row = await storage.include_participant(session.id, person)
        await storage.add_windows(session.id, [window(row.id), window(row.id, 3.0)])
        await storage.add_moment(session.id, MomentRecord(at_s=1, kind="change", participant_id=row.id, text="rose"))
        mark = MomentRecord(at_s=2, kind="mark", participant_id=None, text="a good one")
        await storage.add_moment(session.id, mark, author_id=person)
        await storage.note_message(_message(person % 1000), about=person)
    await storage.create_share(session.id, lifetime=timedelta(days=1))


def _message(message_id: int, session_id: str | None = None) -> MessageRecord:
    return MessageRecord(
        message_id=message_id, channel_id=20, guild_id=10, kind=MessageKind.ANSWER, session_id=session_id
    )


async def _everything(url: str) -> dict[str, list[dict[str, object]]]:
    def dump(connection: Connection) -> dict[str, list[dict[str, object]]]:
        tables = inspect(connection).get_table_names()
        return {t: [dict(row) for row in connection.execute(text(f'SELECT * FROM "{t}"')).mappings()] for t in tables}  # noqa: S608

    engine = _create_engine(url)
    async with engine.connect() as connection:
        found = await connection.run_sync(dump)
    await engine.dispose()
    return found


def test_every_table_says_what_deletion_does_to_it() -> None:
    for name, table in Base.metadata.tables.items():
        assert table.info.get("person") in {"deleted", "unlinked", "cascade", "none"}, name
        person_columns = [
            c.name for c in table.columns if c.name.endswith(("_hash", "_sealed")) and c.name != "token_hash"
        ]
        hangs_on_person = any(fk.column.table.name == "participants" for fk in table.foreign_keys)
        if person_columns:
            assert table.info["person"] in {"deleted", "unlinked"}, name
        elif hangs_on_person:
            assert table.info["person"] == "cascade", name
            assert all(fk.ondelete == "CASCADE" for fk in table.foreign_keys), name
        else:
            assert table.info["person"] == "none", name


async def test_deleting_a_person_leaves_no_trace_in_any_table(
    storage: Storage, database_url: str, tmp_path: Path
) -> None:
    session = await storage.start_session(_new(started_by=ALICE))
    await _fill(storage, session)
    before = await _everything(database_url)
    assert all(before[table] for table in Base.metadata.tables), "a table was not filled: fill it in this test"
    identity = Identity(KEY)
    hashes = {identity.in_session(session.id, ALICE), identity.in_server(10, ALICE)}
    alice_id = next(row["id"] for row in before["participants"] if row["user_hash"] in hashes)

    counts = await storage.delete_person(ALICE, None)

    after = await _everything(database_url)
    for table, rows in after.items():
        for row in rows:
            assert not [value for value in row.values() if isinstance(value, str) and value in hashes], (
                f"{table} still holds the person's hash"
            )
            assert row.get("participant_id") != alice_id, f"{table} still points at the person"
            sealed = [v for k, v in row.items() if k.endswith("_sealed") and isinstance(v, str)]
            assert ALICE not in [identity.unseal(v) for v in sealed], f"{table} still holds the sealed id"
    assert counts == {"consents": 1, "sessions_unlinked": 1, "participants": 1, "windows": 2, "moments": 1, "marks": 1}
    for table in ("participants", "consents"):
        assert len(after[table]) == 1, "the other person's rows stay"
    assert len(after["windows"]) == 2
    assert [moment["author_hash"] for moment in after["moments"] if moment["kind"] == "mark"] == [
        identity.in_session(session.id, BOB)
    ]
    report = await storage.report(session.id)
    assert report is not None
    assert report.session.started_by is None
    assert [message.message_id for message in await storage.doomed_messages(datetime.now(UTC))] == [ALICE % 1000]
    await storage.forget_messages([ALICE % 1000])
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("undertone.db*"))  # none on PostgreSQL
    assert str(ALICE).encode() not in raw, "an id was written in the clear"
    assert str(ALICE) not in str(after), "an id was written in the clear"


async def test_an_id_is_never_given_to_somebody_else(storage: Storage, session: SessionRecord) -> None:
    """What the deleted person said last is on its way to the database while the next one is included."""
    first = await storage.include_participant(session.id, ALICE)
    await storage.delete_person(ALICE, None)
    second = await storage.include_participant(session.id, BOB)
    assert second.id != first.id
    assert await storage.add_windows(session.id, [window(first.id)]) == 0


async def test_messages_that_speak_of_a_deleted_person_are_stale_until_they_are_renewed(storage: Storage) -> None:
    here, there = [await storage.start_session(_new(guild_id=guild_id)) for guild_id in (10, 11)]
    for session in (here, there):
        await storage.include_participant(session.id, ALICE)
        await storage.note_message(replace(_message(session.guild_id, session.id), kind=MessageKind.SUMMARY))
    traces = await storage.traces_of(ALICE, 10)
    assert traces.sessions == {here.id}
    await storage.delete_person(ALICE, 10)
    assert [m.message_id for m in await storage.stale_messages()] == [10]
    assert await storage.stale_messages([there.id]) == []
    await storage.renewed(10)
    assert await storage.stale_messages() == []


async def test_deleting_in_one_server_leaves_the_others(storage: Storage) -> None:
    here, there = [await storage.start_session(_new(guild_id=guild_id, started_by=ALICE)) for guild_id in (10, 11)]
    for session in (here, there):
        await storage.include_participant(session.id, ALICE)
        await storage.set_standing_consent(session.guild_id, ALICE, Decision.OPT_OUT)
    await storage.delete_person(ALICE, 10)
    assert await sessions_of(storage, ALICE) == {there.id}
    assert await storage.standing_consent(10, ALICE) is None
    assert await storage.standing_consent(11, ALICE) is Decision.OPT_OUT


async def test_a_person_is_found_in_more_sessions_than_are_looked_through_at_once(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.rights._AT_ONCE", 2)
    for guild_id in (10, 11, 10, 11, 10, 10):
        session = await storage.start_session(_new(guild_id=guild_id, started_by=ALICE))
        await storage.include_participant(session.id, ALICE)
    counts = await storage.count_person(ALICE, 10)
    assert (counts["sessions_taken_part_in"], counts["sessions_started"]) == (4, 4)
    assert (await storage.delete_person(ALICE, None))["participants"] == 6
    assert await sessions_of(storage, ALICE) == set()


async def test_an_export_holds_what_is_stored_and_no_keys(storage: Storage, session: SessionRecord) -> None:
    await _fill(storage, session)
    await storage.create_share(session.id, lifetime=timedelta(days=1), maker_id=BOB)
    export = await storage.export_person(BOB, None)
    printed = json.dumps(export)
    assert export["standing_consents"][0]["decision"] == "opt_in"
    (taken_part,) = export["sessions_taken_part_in"]
    assert [w["start_s"] for w in taken_part["windows"]] == [0.0, 3.0]
    assert taken_part["moments"][0]["text"] == "rose"
    assert [mark["text"] for mark in export["marks_written"]] == ["a good one"]
    assert [link["session_id"] for link in export["links_made"]] == [session.id]
    assert [(one["message_id"], one["kind"]) for one in export["messages_about_you"]] == [(BOB % 1000, "answer")]
    assert "hash" not in printed
    assert "sealed" not in printed
    assert await storage.count_person(BOB, None) == {kind: len(entries) for kind, entries in export.items()}
    assert (await storage.export_person(ALICE, 99))["sessions_taken_part_in"] == []


async def test_what_is_deleted_during_an_export_is_left_out_of_it(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody deletes a session, or retention does, between the questions that an export is made of."""
    kept, gone = [await storage.start_session(_new(guild_id=10)) for _ in range(2)]
    for session in (kept, gone):
        row = await storage.include_participant(session.id, ALICE)
        await storage.add_windows(session.id, [window(row.id)])
    found = RightsRepository._find

    async def deleted_meanwhile(*about: Any) -> Any:
        answer = await found(*about)
        await storage.delete_session(gone.id)
        return answer

    monkeypatch.setattr(RightsRepository, "_find", deleted_meanwhile)
    export = await storage.export_person(ALICE, 10)
    assert [one["session_id"] for one in export["sessions_taken_part_in"]] == [kept.id]


async def test_reports_belong_to_participants_and_the_starter(storage: Storage, session: SessionRecord) -> None:
    await storage.include_participant(session.id, BOB)
    assert await sessions_of(storage, 1) == {session.id}
    assert await sessions_of(storage, BOB) == {session.id}
    assert await sessions_of(storage, ALICE) == set()


async def test_retention_deletes_old_sessions_and_spares_live_ones(storage: Storage) -> None:
    old, live, kept = [await storage.start_session(_new(guild_id=guild_id)) for guild_id in (10, 10, 11)]
    await storage.change_server(11, lambda now: replace(now, chosen_days=30))
    for session in (old, kept):
        await storage.include_participant(session.id, ALICE)
        await storage.end_session(session.id, state=SessionState.ENDED, reason="stopped", counters={})
    in_eight_days = datetime.now(UTC) + timedelta(days=8)
    assert await storage.purge_expired(datetime.now(UTC)) == 0
    assert await storage.purge_expired(in_eight_days) == 1
    assert {s.id for s in await storage.sessions()} == {live.id, kept.id}
    assert await sessions_of(storage, ALICE) == {kept.id}


async def test_retention_reads_only_what_goes(storage: Storage) -> None:
    """A bot in many servers keeps more than can be read without holding up everybody else."""
    for number in range(3):
        session = await storage.start_session(_new(guild_id=10 + number))
        await storage.end_session(session.id, state=SessionState.ENDED, reason="stopped", counters={})
        await storage.note_message(_message(100 + number), about=ALICE)
    await storage.change_server(11, lambda now: replace(now, chosen_days=1))
    await storage.note_message(_message(200))
    read: list[int] = []
    statements: list[str] = []

    def loaded(message: BotMessage, _: object) -> None:
        read.append(message.message_id)

    def executed(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(statement)

    engine = storage._database._engine.sync_engine
    event.listen(BotMessage, "load", loaded)
    event.listen(engine, "before_cursor_execute", executed)
    try:
        in_two_days = datetime.now(UTC) + timedelta(days=2)
        assert [one.message_id for one in await storage.doomed_messages(in_two_days)] == [200]
        assert await storage.purge_expired(in_two_days) == 1
    finally:
        event.remove(BotMessage, "load", loaded)
        event.remove(engine, "before_cursor_execute", executed)
    assert read == [200]
    assert [one for one in statements if one.startswith("SELECT") and "FROM sessions" in one] == []
    assert {one.guild_id for one in await storage.sessions()} == {10, 12}


async def test_a_server_that_chose_nothing_follows_the_operators_days(storage: Storage, database_url: str) -> None:
    session = await storage.start_session(_new(guild_id=10))
    await storage.end_session(session.id, state=SessionState.ENDED, reason="stopped", counters={})
    await storage.change_server(10, lambda now: replace(now, attested_at=datetime.now(UTC), language="de"))
    await storage.change_server(11, lambda now: replace(now, chosen_days=7))
    await storage.change_server(12, lambda now: replace(now, chosen_days=7))
    await storage.change_server(12, lambda now: replace(now, chosen_days=None))
    shorter = await Storage.open(database_url, key=KEY, retention_days=2)
    days, chosen, not_any_more = [(await shorter.server(guild_id)).retention_days for guild_id in (10, 11, 12)]
    gone = await shorter.purge_expired(datetime.now(UTC) + timedelta(days=3))
    await shorter.close()
    assert (days, chosen, not_any_more, gone) == (2, 7, 2, 1)


async def test_the_word_on_a_share_goes_with_its_session(storage: Storage, session: SessionRecord) -> None:
    told = MessageRecord(
        message_id=7, channel_id=20, guild_id=session.guild_id, kind=MessageKind.SHARED, session_id=session.id
    )
    await storage.note_message(told, about=ALICE)
    assert await storage.doomed_messages(datetime.now(UTC)) == []
    await storage.delete_session(session.id)
    assert [one.message_id for one in await storage.doomed_messages(datetime.now(UTC))] == [7]


async def opens(storage: Storage, token: str) -> str | None:
    share = await storage.share(token)
    return share.session_id if share is not None and share.alive(datetime.now(UTC)) else None


async def test_share_links_open_expire_and_end(storage: Storage, session: SessionRecord, database_url: str) -> None:
    _, token = await storage.create_share(session.id, lifetime=timedelta(hours=1))
    _, expired = await storage.create_share(session.id, lifetime=timedelta(seconds=-1))
    assert await opens(storage, token) == session.id
    assert await opens(storage, expired) is None
    assert await opens(storage, "made up") is None
    assert token not in str(await _everything(database_url))
    assert await storage.revoke_shares(session.id) == 2
    assert await opens(storage, token) is None
    assert await storage.revoke_shares(session.id) == 0


async def test_deleting_a_session_takes_all_with_it(
    storage: Storage, session: SessionRecord, database_url: str
) -> None:
    await _fill(storage, session)
    assert await storage.delete_session(session.id)
    assert not await storage.delete_session(session.id)
    after = await _everything(database_url)
    for table in ("sessions", "participants", "windows", "moments", "shares"):
        assert after[table] == [], table


def _new(*, guild_id: int = 10, started_by: int = 1) -> NewSession:
    return NewSession(
        guild_id=guild_id, channel_id=1, started_by=started_by, model="m", model_version="v", labels=("A",)
    )


async def test_a_deleted_session_leaves_its_messages_to_be_deleted(storage: Storage, session: SessionRecord) -> None:
    await storage.note_message(_message(1, session.id))
    await storage.note_message(_message(2), about=BOB)
    now = datetime.now(UTC)
    assert [m.message_id for m in await storage.messages_of_session(session.id)] == [1]
    assert await storage.doomed_messages(now) == []
    await storage.delete_session(session.id)
    assert [m.message_id for m in await storage.doomed_messages(now)] == [1]
    await storage.note_message(_message(3, session.id))  # posted while the session was being deleted
    await storage.forget_messages([1])
    assert [m.message_id for m in await storage.doomed_messages(now)] == [3]


async def test_messages_about_a_person_are_found_and_end_with_retention(storage: Storage) -> None:
    await storage.note_message(_message(1), about=ALICE)
    await storage.note_message(_message(2), about=BOB)
    assert [m.message_id for m in await storage.messages_about(ALICE, 10)] == [1]
    assert [m.message_id for m in await storage.messages_about(ALICE, None)] == [1]
    assert await storage.messages_about(ALICE, 11) == []
    assert len(await storage.doomed_messages(datetime.now(UTC) + timedelta(days=8))) == 2


async def test_a_question_goes_when_nobody_can_answer_it_any_more(storage: Storage) -> None:
    """It names who asked, and is about somebody else."""
    await storage.note_message(replace(_message(1), kind=MessageKind.QUESTION), about=ALICE)
    now = datetime.now(UTC)
    assert await storage.doomed_messages(now + timedelta(hours=23)) == []
    assert [m.message_id for m in await storage.doomed_messages(now + timedelta(hours=25))] == [1]


async def test_deleting_twice_at_once_is_deleting_once(storage: Storage, session: SessionRecord) -> None:
    """Somebody presses the button of the page twice, or two people do."""
    await storage.set_standing_consent(session.guild_id, 1, Decision.OPT_IN)
    assert sorted(await asyncio.gather(*(storage.delete_session(session.id) for _ in range(4)))) == [False] * 3 + [True]
    await asyncio.gather(*(storage.delete_person(1, None) for _ in range(4)))
    assert await storage.standing_consent(session.guild_id, 1) is None

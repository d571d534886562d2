"""Opening: migrations match the tables, and what is wrong is said in words."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from storage import Decision, ServerSettings, Storage, VoiceMode
from storage.database import _MIGRATIONS, Database, _create_engine
from storage.errors import NewerSchema, StorageError, StorageUnavailable, WrongKey
from storage.faults import in_words, without_driver
from storage.identity import Identity
from storage.schema import REVISION, Base
from tests.fakes.postgres import new_database
from tests.storage.conftest import KEY, on_sqlite

pytestmark = pytest.mark.integration


async def test_the_migrations_make_exactly_the_tables(database_url: str) -> None:
    database = Database(_create_engine(database_url))
    await database.migrate("0001")
    await database.migrate()
    assert await database.revision() == (REVISION, REVISION)
    async with database._engine.connect() as connection:
        differences = await connection.run_sync(
            lambda c: compare_metadata(MigrationContext.configure(c), Base.metadata)
        )
    await database.close()
    assert differences == []


@on_sqlite
async def test_a_migrated_file_gives_no_id_twice_and_keeps_its_foreign_keys(database_url: str) -> None:
    database = Database(_create_engine(database_url))
    await database.migrate("0004")
    await database.migrate()
    async with database.transaction() as db:
        made = await db.scalar(text("SELECT sql FROM sqlite_master WHERE name = 'participants'"))
        keys = await db.scalar(text("PRAGMA foreign_keys"))
    await database.close()
    assert "AUTOINCREMENT" in str(made)
    assert keys == 1


def test_the_tables_are_those_of_the_newest_migration() -> None:
    newest = ScriptDirectory(str(_MIGRATIONS)).get_heads()
    assert newest == [REVISION], "storage.schema.REVISION names the newest migration"


async def test_a_database_that_is_empty_or_current_is_opened_without_alembic(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def upgrade(*_: object) -> None:
        raise AssertionError("nothing is to be migrated")

    monkeypatch.setattr("storage.database._upgrade", upgrade)
    for _ in range(2):
        opened = await Storage.open(database_url, key=KEY)
        await opened.close()


@on_sqlite
async def test_sqlite_is_switched_to_wal_foreign_keys_and_waiting(database_url: str) -> None:
    database = await Database.open(database_url)
    async with database.transaction() as db:
        found = [await db.scalar(text(f"PRAGMA {p}")) for p in ("journal_mode", "foreign_keys", "busy_timeout")]
    await database.close()
    assert found == ["wal", 1, 3000]


async def test_opening_again_keeps_everything(storage: Storage, database_url: str) -> None:
    chosen = ServerSettings(guild_id=7, listen_role_ids=(8,), voice_modes={1: VoiceMode.REPLY}, chosen_days=3)
    await storage.change_server(7, lambda _: chosen)
    await storage.set_standing_consent(7, 9, Decision.OPT_IN)
    again = await Storage.open(database_url, key=KEY)
    server, consent = await again.server(7), await again.standing_consent(7, 9)
    await again.set_standing_consent(7, 9, None)
    forgotten = await again.standing_consent(7, 9)
    await again.close()
    assert server == chosen
    assert (consent, forgotten) == (Decision.OPT_IN, None)


async def test_a_server_without_settings_has_the_defaults(storage: Storage) -> None:
    assert await storage.server(1) == ServerSettings(guild_id=1)


async def test_another_key_is_refused_in_words(storage: Storage, database_url: str) -> None:
    with pytest.raises(WrongKey, match="does not belong to this database"):
        await Storage.open(database_url, key=bytes(32))


async def test_a_newer_schema_is_refused_in_words(storage: Storage, database_url: str) -> None:
    engine = _create_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await engine.dispose()
    with pytest.raises(NewerSchema, match="newer Undertone"):
        await Storage.open(database_url, key=KEY)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("not an address", StorageError),
        ("mongodb://localhost/x", StorageError),
        ("sqlite://data/undertone.db", StorageError),
        ("postgresql://undertone@127.0.0.1:port/undertone", StorageError),
        ("postgresql://undertone@127.0.0.1:1/undertone", StorageUnavailable),
    ],
)
async def test_bad_addresses_are_refused_in_words(
    url: str, error: type[StorageError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error):
        await Storage.open(url, key=KEY)
    assert not list(tmp_path.iterdir())


async def test_an_address_is_taken_as_hosts_hand_it_out() -> None:
    """libpq's word for encryption is not asyncpg's. A socket of this machine is never encrypted, so it opens."""
    database = await Database.open(f"{new_database()}&sslmode=require")
    await database.ping()
    await database.close()
    with pytest.raises(StorageUnavailable, match="one of: disable, allow, prefer, require"):
        await Database.open(f"{new_database()}&sslmode=nonsense")


async def test_what_the_driver_does_not_know_is_refused_in_words() -> None:
    with pytest.raises(StorageError, match=r"asks for channel_binding, options, which the driver does not know"):
        await Database.open("postgres://u:p@localhost/x?sslmode=require&channel_binding=require&options=-c")


@pytest.mark.parametrize(
    "fault",
    [
        DBAPIError("SELECT 1", None, Exception("terminating connection due to administrator command")),
        InterfaceError("SELECT 1", None, Exception("connection is closed")),
        PoolTimeoutError("QueuePool limit reached"),
        ConnectionRefusedError("refused"),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_every_way_in_which_a_database_is_away_is_said_in_words(fault: Exception) -> None:
    database = await Database.open("sqlite:///:memory:")
    with pytest.raises(StorageUnavailable):
        async with database.transaction():
            raise fault
    await database.close()


async def test_a_postgresql_that_cut_its_connections_is_away_and_comes_back() -> None:
    database = await Database.open(new_database())
    with pytest.raises(StorageUnavailable):
        async with database.transaction() as db:
            await db.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    await database.ping()
    await database.close()


async def test_closing_leaves_no_connection_to_tasks_that_are_cut_short(tmp_path: Path) -> None:
    async def work(database: Database) -> None:
        async with database.transaction() as db:
            await db.execute(text("SELECT 1"))
            await asyncio.sleep(0)
            await db.execute(text("SELECT 1"))

    left: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.unraisablehook", lambda fault: left.append(fault.exc_value))
        for step in range(1, 25, 4):
            database = await Database.open(f"sqlite:///{tmp_path}/{step}.db")
            tasks = [asyncio.create_task(work(database)) for _ in range(3)]
            for _ in range(step):
                await asyncio.sleep(0)
            for task in tasks[1:]:
                task.cancel()
            await database.close()
            with pytest.raises(StorageUnavailable, match="closed"):
                await database.ping()
            await asyncio.gather(*tasks, return_exceptions=True)
            del database, tasks
        gc.collect()
    assert left == []


async def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, this is not a database, and it should stay as it is" * 20)
    before = path.read_bytes()
    with pytest.raises(StorageUnavailable, match=r"not a database\. Restore the file from a backup, or move it away"):
        await Storage.open(f"sqlite:///{path}", key=KEY)
    assert path.read_bytes() == before


async def test_a_damaged_file_is_said_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "undertone.db"
    await (await Storage.open(f"sqlite:///{path}", key=KEY)).close()
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 65_536)
    with pytest.raises(StorageUnavailable, match=r"malformed\. Restore the file from a backup"):
        await Storage.open(f"sqlite:///{path}", key=KEY)


async def test_a_file_that_can_only_be_read_is_refused_before_results_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "undertone.db"
    await (await Storage.open(f"sqlite:///{path}", key=KEY)).close()
    monkeypatch.setattr("os.access", lambda *_: False)  # root, who may run the tests, may write to every file
    with pytest.raises(StorageUnavailable, match=r"can only be read\. Let this user write"):
        await Storage.open(f"sqlite:///{path}", key=KEY)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of Unix")
async def test_what_is_stored_is_for_this_user_alone(tmp_path: Path) -> None:
    """SQLite gives its other files the permissions of the first."""
    storage = await Storage.open(f"sqlite:///{tmp_path / 'undertone.db'}", key=KEY)
    await storage.ping()
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    await storage.close()
    assert modes.pop("undertone.db") == 0o600
    assert set(modes.values()) <= {0o600}


def test_a_full_disk_is_said_with_what_to_do() -> None:
    fault = sqlite3.OperationalError("database or disk is full")
    fault.sqlite_errorname = "SQLITE_FULL"
    with pytest.raises(StorageUnavailable, match=r"disk is full\. Make room on the disk\."), in_words("It stopped"):
        raise DBAPIError("INSERT", None, fault)


@pytest.mark.parametrize(("has_pip", "command"), [(True, "-m pip install"), (False, "uv pip install --python")])
def test_a_driver_that_is_missing_is_added_to_this_environment(
    monkeypatch: pytest.MonkeyPatch, has_pip: bool, command: str
) -> None:
    monkeypatch.setattr("storage.faults.find_spec", lambda _: object() if has_pip else None)
    said = str(without_driver("postgresql"))
    assert command in said
    assert sys.executable in said
    assert "--editable '.[postgres]'" in said  # a copy would not change with the checkout


async def test_a_file_that_cannot_be_opened_is_said_and_leaves_no_thread_that_outlives_the_loop(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with pytest.raises(StorageUnavailable, match="unable to open database file"):
        await Storage.open(f"sqlite:///{tmp_path}", key=KEY)
    assert set(threading.enumerate()) <= before


def test_a_key_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(WrongKey, match="32 bytes"):
        Identity(b"short")


def test_hashes_differ_between_sessions_and_seals_between_calls() -> None:
    identity = Identity(KEY)
    assert identity.in_session("a", 1) != identity.in_session("b", 1)
    assert identity.in_sessions(["a", "b"], 1) == {name: identity.in_session(name, 1) for name in ("a", "b")}
    assert identity.in_server(1, 1) != identity.in_session("1", 1)
    assert identity.seal(5) != identity.seal(5)
    assert identity.unseal(identity.seal(5)) == 5
    with pytest.raises(WrongKey):
        Identity(bytes(32)).unseal(identity.seal(5))

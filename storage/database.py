"""Reaching the database: engine, SQLite's switches, migrations, and transactions that turn faults into words."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import await_only

from storage.addresses import for_asyncpg
from storage.claim import file_of
from storage.errors import NewerSchema, StorageError, StorageUnavailable
from storage.faults import first_line, in_words, try_file, without_driver
from storage.patience import CONNECT_S, Connecting, take_time, watch
from storage.schema import REVISION, Base
from storage.write_queue import CLOSED, QueuedSession, WriteQueue

_BUSY_TIMEOUT_MS: Final = 3_000  # another program has SQLite's file; a stop, in its ten seconds, cannot cut that short
_MIGRATION_WAIT_MS: Final = 120_000
"""For another process that migrates: the rows of a large database take their time."""
_POOL_WAIT_S: Final = 10
_CLOSE_WAIT_S: Final = 5.0
_GOODBYE_S: Final = 0.5
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_MIGRATION_LOCK: Final = 0x756E6465_72746F6E  # "undertone", as many of its letters as a lock's number holds
_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


class Database:
    """One engine and its transactions. Use `Database.open`."""

    def __init__(self, engine: AsyncEngine, connecting: Connecting | None = None) -> None:
        self._engine = engine
        self._connecting = connecting or Connecting()
        self._closed = False
        self._queue = WriteQueue()
        self._open: set[Any] = set()  # connections to the database that are not closed
        event.listen(engine.sync_engine, "connect", self._connected)
        event.listen(engine.sync_engine, "close", lambda connection, _record: self._open.discard(connection))
        kind = QueuedSession if engine.dialect.name == "sqlite" else Session
        self._make_session = async_sessionmaker(engine, expire_on_commit=False, sync_session_class=kind)

    @classmethod
    def at(cls, url: str) -> Database:
        """The database as it is: neither reached yet nor migrated. Raises StorageError."""
        return cls(_create_engine(url, connecting := Connecting()), connecting)

    @classmethod
    async def open(cls, url: str) -> Database:
        """Connect and migrate to the newest schema.

        `url` is ``sqlite:///path`` or ``postgresql://…`` (an async driver may be named or left out). Raises
        StorageUnavailable, NewerSchema, StorageError.
        """
        database = cls.at(url)
        try:
            await database.migrate()
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self, within_s: float | None = None) -> None:
        """Refuse new transactions, let those under way end for at most `within_s` (None: 5 s), and close every
        connection. Closed once, it is closed.

        SQLAlchemy's `dispose` leaves a connection in use to its user, who gives it back to a pool that nobody closes.
        """
        if self._closed:
            return
        self._closed = True
        limit_s = _CLOSE_WAIT_S if within_s is None else within_s
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self._queue.writers or self._in_use():  # noqa: ASYNC110 - they tell nobody when idle
                    await asyncio.sleep(0.005)
        self._queue.close()
        self._connecting.give_up()
        with suppress(Exception):
            async with asyncio.timeout(max(limit_s, _GOODBYE_S)):
                await self._engine.dispose()
        await asyncio.gather(*(_end(connection.driver_connection) for connection in tuple(self._open)))
        self._open.clear()

    def _connected(self, connection: Any, _record: Any) -> None:
        if self._queue.closed:  # by somebody who was let in before: nobody else would close it
            connection.close()
            raise StorageUnavailable(CLOSED)
        self._open.add(connection)

    def _in_use(self) -> int:
        pool = self._engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    async def migrate(self, revision: str = "head") -> None:
        """Bring the schema to `revision`. An empty database gets all tables."""
        with in_words("The database cannot be opened"):
            async with self._engine.connect() as connection:
                await self._alone(connection)
                if revision != "head" or not await connection.run_sync(_made_or_current):
                    await connection.run_sync(_upgrade, revision)
                await connection.commit()
                if self.dialect == "sqlite":
                    await connection.exec_driver_sql("PRAGMA foreign_keys=ON")
                    await connection.exec_driver_sql(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")

    async def _alone(self, connection: AsyncConnection) -> None:
        """Wait until no other process makes or migrates the tables; until the commit, none will.

        With foreign keys on, SQLite would delete the rows that hang on a table that is made anew, and inside of a
        transaction they cannot be switched off.
        """
        if self.dialect == "sqlite":
            await connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            await connection.exec_driver_sql(f"PRAGMA busy_timeout={_MIGRATION_WAIT_MS}")
            await connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            await take_time(connection)
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})

    async def revision(self) -> tuple[str | None, str | None]:
        """The schema's revision in the database, and the newest that this program knows."""
        async with self._engine.connect() as connection:
            return await connection.run_sync(_revision), REVISION

    async def ping(self) -> None:
        """Raises StorageUnavailable when the database does not answer."""
        async with self.transaction() as session:
            await session.execute(text("SELECT 1"))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session in a transaction: committed at the end, rolled back on an error. Whatever changes a row needs
        `writing`.

        Raises StorageConflict for a row that does not fit, StorageUnavailable for every other fault of the database.
        """
        self._refuse_when_closed()
        async with self._begun() as session:
            yield session

    @asynccontextmanager
    async def writing(self, *, patient: bool = False) -> AsyncIterator[AsyncSession]:
        """A transaction that changes rows. In SQLite it waits for those that came before; no reader waits for it.

        `patient`: it may change so much that it takes minutes.
        """
        self._refuse_when_closed()
        async with self._queue.place() if self.dialect == "sqlite" else nullcontext(), self._begun() as session:
            if patient and self.dialect == "postgresql":
                await take_time(await session.connection())
            yield session

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise StorageUnavailable(CLOSED)

    @asynccontextmanager
    async def _begun(self) -> AsyncIterator[AsyncSession]:
        turn = self._queue.turn()
        with in_words("The database does not answer"):
            async with self._make_session(info={"turn": turn}) as session:
                try:
                    async with session.begin():
                        yield session
                finally:
                    turn.end()

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Any]:
        """PostgreSQL's driver itself (asyncpg) on a connection of its own, closed at the end.

        Raises StorageUnavailable.
        """
        self._refuse_when_closed()
        with in_words("The database does not answer"):
            connection = await self._engine.connect()
            await take_time(connection)
        try:
            yield (await connection.get_raw_connection()).driver_connection
        finally:
            await connection.invalidate()  # not back to the others: somebody may still listen on it
            await connection.close()

    @property
    def dialect(self) -> str:
        return self._engine.dialect.name


async def _end(driver: Any) -> None:
    """A server that hangs does not answer a goodbye."""
    with suppress(Exception):  # it may be closing already
        if hasattr(driver, "terminate"):
            driver.terminate()
            return
        async with asyncio.timeout(1):
            await driver.close()


def _create_engine(url: str, connecting: Connecting | None = None) -> AsyncEngine:
    try:
        parsed = make_url(url)
        parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
        if parsed.get_backend_name() == "postgresql":
            parsed = for_asyncpg(parsed)
        if parsed.get_backend_name() != "sqlite":
            how = {"timeout": CONNECT_S, "async_creator_fn": connecting or Connecting()}
            shared = create_async_engine(parsed, pool_timeout=_POOL_WAIT_S, connect_args=how)
            watch(shared)
            return shared
        engine = create_async_engine(parsed)  # refuses what is no address, so that no file is made for it
        if (file := file_of(parsed)) is not None:
            try_file(file)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise without_driver(parsed.get_backend_name()) from error
    except (ArgumentError, ValueError) as error:  # the second for a port that is no number
        raise StorageError("DATABASE_URL is not a database address. Try sqlite:///data/undertone.db") from error
    except OSError as error:
        raise StorageUnavailable(f"The database's folder cannot be made: {first_line(error)}.") from error
    event.listen(engine.sync_engine, "connect", _switch_on_sqlite)
    return engine


def _switch_on_sqlite(connection: Any, _record: Any) -> None:
    try:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        _switch_to_wal(cursor)
        for pragma in ("foreign_keys=ON", "synchronous=NORMAL"):
            cursor.execute(f"PRAGMA {pragma}")
        # A deleted row's bytes are overwritten: what a person had deleted must not be left in the file.
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.close()
    except BaseException:
        connection.close()  # the pool has not taken it over yet, so nobody else would end its thread
        raise


def _switch_to_wal(cursor: Any) -> None:
    """Of two processes that switch a new file at once, SQLite makes the second one fail instead of wait."""
    until_s = time.monotonic() + _BUSY_TIMEOUT_MS / 1_000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until_s:
                raise
            await_only(asyncio.sleep(0.01))
        else:
            return


def _revision(connection: Connection) -> str | None:
    """The schema's revision in the database; None in an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _made_or_current(connection: Connection) -> bool:
    """Whether the schema is the newest; an empty database gets it at once.

    Alembic is left out where there is nothing to migrate: importing it takes a third of a second of each start.
    """
    if _revision(connection) == REVISION:
        return True
    if inspect(connection).get_table_names():
        return False
    Base.metadata.create_all(connection)
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": REVISION})
    return True


def _upgrade(connection: Connection, revision: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        raise NewerSchema(
            "The database was written by a newer Undertone. Update the program, or restore the copy made before."
        ) from error

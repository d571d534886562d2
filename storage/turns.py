"""Work that one process does for all that share the database: whoever has the turn keeps it until it ends."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from storage.database import Database
from storage.errors import StorageUnavailable
from storage.patience import be_missed

Holds = Callable[[], Awaitable[bool]]
"""Asks whether the turn is still this process'."""
ANSWER_S: Final = 5.0
_LOCKS: Final = 0x756E6465
"""The first of the two numbers of a lock; keeps them apart from other programs'."""


@asynccontextmanager
async def turn(database: Database, work: str) -> AsyncIterator[Holds | None]:
    """Take the turn to do `work`. Gives a question that tells whether it still holds; None: another process has it.

    Raises StorageUnavailable.

    PostgreSQL's advisory lock belongs to a connection, so the turn of a process that dies is free at once, and that of
    a machine half a minute after it is gone. SQLite has one process.
    """
    if database.dialect != "postgresql":
        yield _always
        return
    async with database.line() as line:

        async def holds() -> bool:
            try:
                return bool(await line.fetchval("SELECT true", timeout=ANSWER_S))
            except Exception:  # noqa: BLE001  # with the connection the lock is gone, whatever broke it
                return False

        number = zlib.crc32(work.encode()) & 0x7FFFFFFF
        try:
            await be_missed(line)
            taken = await line.fetchval("SELECT pg_try_advisory_lock($1, $2)", _LOCKS, number, timeout=ANSWER_S)
        except Exception as error:  # the driver's own, and TimeoutError
            raise StorageUnavailable("The database does not answer.") from error
        yield holds if taken else None


async def _always() -> bool:
    await asyncio.sleep(0)
    return True

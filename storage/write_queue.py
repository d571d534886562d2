"""SQLite takes one writer at a time. Those of this process stand in a queue for it.

SQLite itself lets writers wait by looking again and again, each at its own times: who came last looks most often, and
who waits longest may wait in vain. A writer holds the file for several turns of the event loop, so that on a busy one
many would wait for long. Other processes are still waited for in SQLite's way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.util import await_only

from storage.errors import StorageUnavailable

CLOSED: Final = "The database is closed: the program is stopping."
WAIT_S: Final = 30.0
PLACES: Final = 5
"""So many writers have a connection at once, and read what they need while another one has the file. The rest of the
pool is left to those who only read."""


class WriteQueue:
    """First come, first served."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(PLACES)
        self._file = asyncio.Lock()
        self.closed = False
        self.writers = 0
        """Who has a place, and who waits for one."""

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Raises StorageUnavailable when no place is free for 30 s."""
        self.writers += 1
        try:
            await _acquire(self._places)
            try:
                self._refuse_when_closed()
                yield
                self._refuse_when_closed()  # a commit on a connection that is closed says nothing, and does nothing
            finally:
                self._places.release()
        finally:
            self.writers -= 1

    def _refuse_when_closed(self) -> None:
        if self.closed:
            raise StorageUnavailable(CLOSED)

    def turn(self) -> Turn:
        return Turn(self._file)

    def close(self) -> None:
        """Refuse those that still wait, when they get a place, and those that still write, when they are done."""
        self.closed = True


class Turn:
    """One session's turn to write to the file."""

    def __init__(self, file: asyncio.Lock) -> None:
        self._file = file
        self._taken = False

    def take(self) -> None:
        """Within a session. Raises StorageUnavailable when the file is not free for 30 s."""
        if not self._taken:
            await_only(_acquire(self._file))
            self._taken = True

    def end(self) -> None:
        if self._taken:
            self._taken = False
            self._file.release()


class QueuedSession(Session):
    """Takes its turn, which is in `info`, before its first change."""


@event.listens_for(QueuedSession, "before_flush")
def _before_flush(session: Session, *_: Any) -> None:
    session.info["turn"].take()


@event.listens_for(QueuedSession, "do_orm_execute")
def _before_statement(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_update or state.is_delete:
        state.session.info["turn"].take()


@event.listens_for(QueuedSession, "after_commit")
@event.listens_for(QueuedSession, "after_rollback")
def _after_end(session: Session) -> None:
    session.info["turn"].end()  # the next one need not wait until the connection is back in the pool


async def _acquire(lock: asyncio.Semaphore | asyncio.Lock) -> None:
    try:
        async with asyncio.timeout(WAIT_S):
            await lock.acquire()
    except TimeoutError as error:
        raise StorageUnavailable("The database does not answer: too much waits to be written.") from error

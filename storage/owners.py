"""Sessions of processes that ended without a word: closed, and handed to whoever puts them right in Discord.

Where several processes share the database, a running session names its process as its owner. One that is closed as
interrupted keeps an owner (its process, or `NOBODY`) until its panel, status line and summary in Discord are put right.
So a process that is killed before that leaves the rest to the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.sql.elements import ColumnElement

from storage import schema
from storage.database import Database
from storage.records import SessionRecord, SessionState
from storage.sessions import SessionRepository
from storage.windows import last_end_s

PROCESS_ENDED: Final = "process_ended"
"""The end reason of a session that its process left open; the next start stores it."""
NOBODY: Final = "nobody"
"""Stands for a process that has the database for itself."""
_LIVE: Final = schema.Session.state == SessionState.LIVE


class OwnerRepository:
    def __init__(self, database: Database, sessions: SessionRepository) -> None:
        self._database = database
        self._to_record = sessions.to_record

    async def interrupt(
        self, *, of: Callable[[int], bool] | None = None, living: Collection[str] = ()
    ) -> list[SessionRecord]:
        """Close what a process before left open in the servers `of` which this one has charge; None: of all servers.

        What belongs to a process that lives is left alone. Also returns those that were closed before, and are not
        put right in Discord yet.
        """
        interrupted = await self._interrupt(schema.Session.owner.is_(None) | schema.Session.owner.not_in(living), of)
        left = (schema.Session.state == SessionState.INTERRUPTED) & schema.Session.owner.is_not(None)
        async with self._database.transaction() as db:
            rows = await db.scalars(select(schema.Session).where(left, schema.Session.owner.not_in(living)))
            found = [row for row in rows if of is None or of(row.guild_id)]
        known = {record.id for record in interrupted}
        return [*interrupted, *(self._to_record(row) for row in found if row.id not in known)]

    async def interrupt_of(self, owners: Collection[str]) -> list[SessionRecord]:
        """Close what these processes left open."""
        return await self._interrupt(schema.Session.owner.in_(owners), None)

    async def owners(self) -> set[str]:
        """The processes to which running sessions belong."""
        async with self._database.transaction() as db:
            found = await db.scalars(select(schema.Session.owner).where(_LIVE).distinct())
            return {owner for owner in found if owner is not None}

    async def reclaim(self, owner: str, session_ids: Collection[str]) -> list[str]:
        """Open again what others closed because this process could not be seen; returns which."""
        async with self._database.writing() as db:
            lost = await db.scalars(
                update(schema.Session)
                .where(
                    schema.Session.id.in_(session_ids),
                    schema.Session.owner == owner,
                    schema.Session.state == SessionState.INTERRUPTED,
                    schema.Session.end_reason == PROCESS_ENDED,
                )
                .values(state=SessionState.LIVE, end_reason=None, ended_at=None)
                .returning(schema.Session.id)
            )
            return list(lost)

    async def settled(self, session_id: str) -> None:
        """What the session left in Discord is put right."""
        async with self._database.writing() as db:
            await db.execute(update(schema.Session).filter_by(id=session_id).values(owner=None))

    async def _interrupt(self, which: ColumnElement[bool], of: Callable[[int], bool] | None) -> list[SessionRecord]:
        """Close sessions: ended where their last window ended."""
        async with self._database.writing() as db:
            query = select(schema.Session).where(_LIVE, which).with_for_update(skip_locked=True)
            rows = [row for row in await db.scalars(query) if of is None or of(row.guild_id)]
            for row in rows:
                last_s = await last_end_s(db, row.id)
                row.state, row.end_reason = SessionState.INTERRUPTED, PROCESS_ENDED
                row.owner = row.owner or NOBODY
                row.ended_at = datetime.fromtimestamp(row.started_at.timestamp() + last_s, UTC)
        return [self._to_record(row) for row in rows]

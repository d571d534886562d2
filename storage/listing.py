"""The list of sessions as somebody may see it: filtered, newest first, a page at a time, however many there are.

A person's rows carry a hash that differs from session to session, so theirs are found by hashing the person once for
each session that is looked at. Sessions are looked at in the order of the list, few at first: who talked lately has
their page after the first look. Ids are unsealed on the page that is shown, and nowhere else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Row, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage import schema
from storage.database import Database
from storage.identity import Identity
from storage.records import ParticipantRecord, SessionRecord, SessionState
from storage.sessions import SessionRepository
from storage.traces import took_part

MAX_PAGE: Final = 500
_FIRST_LOOK: Final = 250
_NEXT_LOOKS: Final = 5_000
"""Hashing for so many keeps the loop for some milliseconds."""

_TABLE: Final = schema.Session.__table__
"""Its columns as they are: thousands of rows that are looked at need no objects."""

Q = TypeVar("Q", bound=Select[*tuple[Any, ...]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which sessions; what is None does not matter."""

    guild_id: int | None = None
    channel_id: int | None = None
    state: SessionState | None = None
    since: datetime | None = None
    """Started then or later."""
    before: datetime | None = None
    """Started earlier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    session: SessionRecord
    people: tuple[ParticipantRecord, ...]


class ListRepository:
    def __init__(self, database: Database, identity: Identity, sessions: SessionRepository) -> None:
        self._database = database
        self._identity = identity
        self._sessions = sessions

    async def page(
        self, wanted: Wanted, *, limit: int, user_id: int | None = None, readable: Collection[int] = ()
    ) -> list[Listed]:
        """At most `limit` (and 500), newest first; of `user_id` those that they started or took part in, and all of the
        `readable` servers."""
        limit = max(0, min(limit, MAX_PAGE))
        async with self._database.transaction() as db:
            if user_id is None:
                query = _chosen(select(schema.Session), wanted).limit(limit)
            else:
                ids = await self._theirs(db, wanted, user_id, readable, limit)
                query = _in_order(select(schema.Session).where(schema.Session.id.in_(ids)))
            rows = list(await db.scalars(query))
            people: dict[str, list[schema.Participant]] = defaultdict(list)
            for person in await db.scalars(
                select(schema.Participant)
                .where(schema.Participant.session_id.in_([row.id for row in rows]))
                .order_by(schema.Participant.session_id, schema.Participant.number)
            ):
                people[person.session_id].append(person)
        return [
            Listed(
                session=self._sessions.to_record(row),
                people=tuple(self._sessions.to_participant(person) for person in people[row.id]),
            )
            for row in rows
        ]

    async def places(self, *, user_id: int | None = None, readable: Collection[int] = ()) -> list[tuple[int, int]]:
        """Server and channel of all sessions; of `user_id` those where `page` lists one."""
        place = (_TABLE.c.guild_id, _TABLE.c.channel_id)
        async with self._database.transaction() as db:
            every = [(guild_id, channel_id) for guild_id, channel_id in await db.execute(select(*place).distinct())]
            if user_id is None:
                return every
            found = {pair for pair in every if pair[0] in readable}
            query = _in_order(select(_TABLE.c.id, _TABLE.c.starter_hash, *place))
            look, further = _FIRST_LOOK, query
            while left := {channel_id for _, channel_id in set(every) - found}:
                rows = (await db.execute(further.where(_TABLE.c.channel_id.in_(left)).limit(look))).all()
                theirs = await self._open_of(db, rows, user_id, readable)
                found |= {(row.guild_id, row.channel_id) for row in rows if row.id in theirs}
                if len(rows) < look:
                    break
                look, further = _NEXT_LOOKS, query.where(*_after(rows[-1].id))
        return sorted(found)

    async def _theirs(
        self, db: AsyncSession, wanted: Wanted, user_id: int, readable: Collection[int], limit: int
    ) -> list[str]:
        """Ids of the newest sessions that a person may open."""
        query = _chosen(select(_TABLE.c.id, _TABLE.c.starter_hash, _TABLE.c.guild_id), wanted)
        found: list[str] = []
        look, further = _FIRST_LOOK, query
        while len(found) < limit:
            rows = (await db.execute(further.limit(look))).all()
            theirs = await self._open_of(db, rows, user_id, readable)
            found += [row.id for row in rows if row.id in theirs]
            if len(rows) < look:
                break
            look, further = _NEXT_LOOKS, query.where(*_after(rows[-1][0]))
        return found[:limit]

    async def _open_of(
        self, db: AsyncSession, rows: Sequence[Row[*tuple[Any, ...]]], user_id: int, readable: Collection[int]
    ) -> set[str]:
        """Ids of those of the sessions that a person may open."""
        theirs = {session_id for session_id, _, guild_id, *_ in rows if guild_id in readable}
        hashes = self._identity.in_sessions([row[0] for row in rows if row[0] not in theirs], user_id)
        theirs |= {session_id for session_id, starter, *_ in rows if starter == hashes.get(session_id, "")}
        asked = {session_id: user_hash for session_id, user_hash in hashes.items() if session_id not in theirs}
        return theirs | {session_id for _, session_id in await took_part(db, asked)}


def _after(session_id: str) -> tuple[ColumnElement[bool], ...]:
    """Those that come later in the order of the list. The first condition lets the database use its index."""
    since = select(_TABLE.c.started_at).where(_TABLE.c.id == session_id).scalar_subquery()
    return _TABLE.c.started_at <= since, (_TABLE.c.started_at < since) | (_TABLE.c.id > session_id)


def _chosen(query: Q, wanted: Wanted) -> Q:
    for column, value in (
        (schema.Session.guild_id, wanted.guild_id),
        (schema.Session.channel_id, wanted.channel_id),
        (schema.Session.state, wanted.state),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.since is not None:
        query = query.where(schema.Session.started_at >= wanted.since)
    if wanted.before is not None:
        query = query.where(schema.Session.started_at < wanted.before)
    return _in_order(query)


def _in_order(query: Q) -> Q:
    return query.order_by(schema.Session.started_at.desc(), schema.Session.id)

"""What a person may ask for (a copy, deletion), and what goes by itself (retention).

A person's rows carry a hash that differs from session to session, so finding them means hashing the person once for
each session that is kept; retention bounds their number.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar, cast

from sqlalchemy import CursorResult, Delete, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage import schema
from storage.database import Database
from storage.identity import Identity
from storage.messages import message_scopes
from storage.records import MessageKind, SessionState, Traces, WindowRecord
from storage.servers import outlived
from storage.traces import took_part
from storage.windows import StoredWindows, read_windows, windows_of

GONE_AFTER: Final = timedelta(days=14)
"""How long what is stored of a server outlives the bot's removal: one made by mistake can be undone."""
_CHUNK = 5_000
"""Values in one query: few questions, and fewer values than any database takes."""
_AT_ONCE = 1_000
"""Sessions for which a person is hashed before others have their turn: some milliseconds."""
_TELLING = (MessageKind.SUMMARY, MessageKind.NOTICE)
"""Messages of a session that speak of single people for good; a panel changes with who is included."""
_AUTHOR = frozenset({"author_hash"})
_LINK = frozenset({"maker_hash", "token_hash"})
_DEAD_SHARES_KEPT = timedelta(days=30)
_T = TypeVar("_T")


class RightsRepository:
    def __init__(self, database: Database, identity: Identity, *, default_retention_days: int) -> None:
        self._database = database
        self._identity = identity
        self._default_retention_days = default_retention_days

    async def may_open(self, session_id: str, user_id: int) -> bool:
        """Whether the person started the session or takes part in it. False when there is no such session."""
        user_hash = self._identity.in_session(session_id, user_id)
        started = select(schema.Session.id).filter_by(id=session_id, starter_hash=user_hash)
        took_part = select(schema.Participant.session_id).filter_by(session_id=session_id, user_hash=user_hash)
        async with self._database.transaction() as db:
            return await db.scalar(started.union_all(took_part).limit(1)) is not None

    async def traces_of(self, user_id: int, guild_id: int | None) -> Traces:
        """Where the person is found, in one server or everywhere."""
        async with self._database.transaction() as db:
            started, participated, hashes = await self._find(db, user_id, guild_id)
            sessions = await self._sessions_with(db, participated, hashes)
        return Traces(sessions=frozenset(sessions.union(started)), participants=frozenset(participated))

    async def count_person(self, user_id: int, guild_id: int | None) -> dict[str, int]:
        """How many entries of each kind `export_person` holds, without reading them."""
        async with self._database.transaction() as db:
            consents = await self._consents(db, user_id, guild_id)
            started, participated, hashes = await self._find(db, user_id, guild_id)
            marks = 0
            for chunk in _chunks(hashes):
                query = select(func.count()).select_from(schema.Moment)
                marks += await db.scalar(query.where(schema.Moment.author_hash.in_(chunk))) or 0
            links, messages = await self._links(db, hashes), await self._messages(db, user_id, guild_id)
        return {
            "standing_consents": len(consents),
            "sessions_started": len(started),
            "sessions_taken_part_in": len(participated),
            "marks_written": marks,
            "links_made": len(links),
            "messages_about_you": len(messages),
        }

    async def export_person(self, user_id: int, guild_id: int | None) -> dict[str, Any]:
        """Everything stored about the person, as plain values for JSON."""
        async with self._database.transaction() as db:
            consents = await self._consents(db, user_id, guild_id)
            started, participated, hashes = await self._find(db, user_id, guild_id)
            sessions: list[dict[str, Any]] = []
            windows: list[tuple[StoredWindows | None, list[Any]]] = []
            for ids in _chunks(participated):
                found = await db.execute(
                    select(schema.Participant, schema.Session.labels)
                    .join(schema.Session, schema.Session.id == schema.Participant.session_id)
                    .where(schema.Participant.id.in_(ids))
                    .order_by(schema.Participant.id)
                )
                for participant, labels in found.all():
                    stored = await read_windows(db, participant.session_id, participant_id=participant.id)
                    windows.append((stored, labels))
                    moments = await db.scalars(select(schema.Moment).filter_by(participant_id=participant.id))
                    sessions.append(
                        _plain(participant, without={"user_hash", "user_sealed"})
                        | {"moments": [_plain(m, without=_AUTHOR) for m in moments]}
                    )
            marks: list[schema.Moment] = []
            for chunk in _chunks(hashes):
                marks.extend(await db.scalars(select(schema.Moment).where(schema.Moment.author_hash.in_(chunk))))
            answer = {
                "standing_consents": [_plain(consent, without={"user_hash"}) for consent in consents],
                "sessions_started": sorted(started),
                "sessions_taken_part_in": sessions,
                "marks_written": [_plain(mark, without=_AUTHOR) for mark in marks],
                "links_made": [_plain(one, without=_LINK) for one in await self._links(db, hashes)],
                "messages_about_you": [
                    _plain(one, without={"user_hash", "stale"}) for one in await self._messages(db, user_id, guild_id)
                ],
            }
        for entry, (stored, labels) in zip(sessions, windows, strict=True):
            entry["windows"] = await asyncio.to_thread(_plain_windows, stored, labels)
        return answer

    async def delete_person(self, user_id: int, guild_id: int | None) -> dict[str, int]:
        """Delete everything about the person, in one server or in all; returns the number of rows by table.

        Their participant rows go with windows and moments, and the marks they wrote; a session they started forgets
        who started it. The bot's messages about them no longer say about whom they are, and are doomed; those that
        speak of a session they took part in are stale.
        """
        async with self._database.writing(patient=True) as db:
            consents = await self._consents(db, user_id, guild_id)
            for consent in consents:
                mine = {"guild_id": consent.guild_id, "user_hash": consent.user_hash, "purpose": consent.purpose}
                await db.execute(delete(schema.Consent).filter_by(**mine))
            started, participated, hashes = await self._find(db, user_id, guild_id)
            counts = {"consents": len(consents), "sessions_unlinked": len(started), "participants": len(participated)}
            for sessions in _chunks(sorted(await self._sessions_with(db, participated, hashes))):
                await db.execute(
                    update(schema.BotMessage)
                    .where(schema.BotMessage.session_id.in_(sessions), schema.BotMessage.kind.in_(_TELLING))
                    .values(stale=True)
                )
            for ids in _chunks(participated):
                for table, name in ((schema.StoredWindow, "windows"), (schema.Moment, "moments")):
                    gone = await _deleted(db, delete(table).where(table.participant_id.in_(ids)))
                    counts[name] = counts.get(name, 0) + gone
                await _deleted(db, delete(schema.Participant).where(schema.Participant.id.in_(ids)))
            for chunk in _chunks(hashes):
                gone = await _deleted(db, delete(schema.Moment).where(schema.Moment.author_hash.in_(chunk)))
                counts["marks"] = counts.get("marks", 0) + gone
                await _deleted(db, delete(schema.Share).where(schema.Share.maker_hash.in_(chunk)))
            scopes = await message_scopes(db, guild_id)
            for theirs in _chunks([self._identity.in_server(scope, user_id) for scope in scopes]):
                await db.execute(
                    update(schema.BotMessage)
                    .where(schema.BotMessage.user_hash.in_(theirs))
                    .values(user_hash=None, stale=True)
                )
            for sessions in _chunks(started):
                await db.execute(
                    update(schema.Session)
                    .where(schema.Session.id.in_(sessions))
                    .values(starter_hash=None, starter_sealed=None)
                )
        return counts

    async def delete_session(self, session_id: str) -> bool:
        """Delete a session with all that hangs on it; False when there was none."""
        async with self._database.writing() as db:
            gone = await db.scalars(delete(schema.Session).filter_by(id=session_id).returning(schema.Session.id))
            return gone.first() is not None  # one statement: two who delete it at once are both right

    async def purge_expired(self, now: datetime) -> int:
        """Delete sessions older than their server's retention; returns how many.

        Dead share links go a month later than they died: until then they say that they are dead.
        """
        async with self._database.writing(patient=True) as db:
            session = schema.Session
            old = await outlived(
                db, session.guild_id, session.ended_at, now=now, default_days=self._default_retention_days
            )
            gone = await _deleted(db, delete(session).where(session.state != SessionState.LIVE, old))
            dead_by = now - _DEAD_SHARES_KEPT
            await db.execute(
                delete(schema.Share).where(or_(schema.Share.expires_at <= dead_by, schema.Share.revoked_at <= dead_by))
            )
        return gone

    async def purge_left(self, now: datetime) -> list[int]:
        """Delete everything of the servers that the bot has been out of for `GONE_AFTER`; returns their ids."""
        async with self._database.writing(patient=True) as db:
            left = schema.Server.left_at <= now - GONE_AFTER
            gone = list(await db.scalars(select(schema.Server.guild_id).where(left)))
            for table in (schema.Session, schema.Consent, schema.BotMessage, schema.Server):
                for ids in _chunks(gone):
                    await db.execute(delete(table).where(table.guild_id.in_(ids)))
        return gone

    async def _find(
        self, db: AsyncSession, user_id: int, guild_id: int | None
    ) -> tuple[list[str], list[int], list[str]]:
        """Ids of the sessions the person started, of their participant rows, and their hash in each session."""
        query = select(schema.Session.id, schema.Session.starter_hash).order_by(schema.Session.id).limit(_AT_ONCE)
        if guild_id is not None:
            query = query.filter_by(guild_id=guild_id)
        started: list[str] = []
        participated: list[int] = []
        hashes: list[str] = []
        further = query
        while rows := (await db.execute(further)).all():
            theirs = self._identity.in_sessions([row.id for row in rows], user_id)
            started += [row.id for row in rows if row.starter_hash == theirs[row.id]]
            participated += [participant_id for participant_id, _ in await took_part(db, theirs)]
            hashes += theirs.values()
            further = query.where(schema.Session.id > rows[-1].id)
        return started, participated, hashes

    async def _sessions_with(self, db: AsyncSession, participated: list[int], hashes: list[str]) -> set[str]:
        """Sessions with one of these participants, or with a mark by one of these hashes."""
        found: set[str] = set()
        for ids in _chunks(participated):
            found.update(await db.scalars(select(schema.Participant.session_id).where(schema.Participant.id.in_(ids))))
        for chunk in _chunks(hashes):
            query = select(schema.Moment.session_id).where(schema.Moment.author_hash.in_(chunk))
            found.update(await db.scalars(query))
        return found

    async def _links(self, db: AsyncSession, hashes: list[str]) -> list[schema.Share]:
        """The share links that the person made."""
        found: list[schema.Share] = []
        for chunk in _chunks(hashes):
            found.extend(await db.scalars(select(schema.Share).where(schema.Share.maker_hash.in_(chunk))))
        return found

    async def _messages(self, db: AsyncSession, user_id: int, guild_id: int | None) -> list[schema.BotMessage]:
        """The bot's messages that are about the person alone: answers, questions, and the word on a link they made."""
        theirs = [self._identity.in_server(scope, user_id) for scope in await message_scopes(db, guild_id)]
        return list(await db.scalars(select(schema.BotMessage).where(schema.BotMessage.user_hash.in_(theirs))))

    async def _consents(self, db: AsyncSession, user_id: int, guild_id: int | None) -> list[schema.Consent]:
        if guild_id is None:
            guild_ids = list(await db.scalars(select(schema.Consent.guild_id).distinct()))
        else:
            guild_ids = [guild_id]
        found: list[schema.Consent] = []
        for chunk in _chunks(guild_ids):
            hashes = [self._identity.in_server(guild, user_id) for guild in chunk]
            theirs = schema.Consent.guild_id.in_(chunk) & schema.Consent.user_hash.in_(hashes)
            found.extend(await db.scalars(select(schema.Consent).where(theirs).order_by(schema.Consent.guild_id)))
        return found


async def _deleted(db: AsyncSession, statement: Delete) -> int:
    """Delete rows; returns how many. None of them is held as an object, so none has to be looked for."""
    done = await db.execute(statement, execution_options={"synchronize_session": False})
    return cast(CursorResult[Any], done).rowcount


def _chunks(items: list[_T]) -> list[list[_T]]:
    return [items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK)]


def _plain_windows(stored: StoredWindows | None, labels: list[Any]) -> list[dict[str, Any]]:
    names = WindowRecord.__slots__
    return [{name: getattr(window, name) for name in names} for window in windows_of(stored, labels)]


def _plain(row: schema.Base, *, without: frozenset[str] | set[str] = frozenset()) -> dict[str, Any]:
    values = {column.key: getattr(row, column.key) for column in row.__table__.columns if column.key not in without}
    return {
        key: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
        for key, value in values.items()
    }

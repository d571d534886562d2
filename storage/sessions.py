"""Sessions, their participants, windows and moments."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage import schema
from storage.database import Database
from storage.errors import UnknownSession
from storage.identity import Identity
from storage.records import (
    Edition,
    MomentRecord,
    NewSession,
    ParticipantRecord,
    SessionRecord,
    SessionReport,
    SessionState,
    WindowRecord,
)
from storage.report import build_report
from storage.windows import count_windows, read_windows, window_row, windows_of

_MAX_LISTED = 200


class SessionRepository:
    def __init__(self, database: Database, identity: Identity) -> None:
        self._database = database
        self._identity = identity

    async def start(self, new: NewSession) -> SessionRecord:
        """Write the session's row; it is live from this moment."""
        session_id = secrets.token_hex(8)
        row = schema.Session(
            id=session_id,
            guild_id=new.guild_id,
            channel_id=new.channel_id,
            starter_hash=self._identity.in_session(session_id, new.started_by),
            starter_sealed=self._identity.seal(new.started_by),
            state=SessionState.LIVE,
            started_at=datetime.now(UTC),
            model=new.model,
            model_version=new.model_version,
            labels=list(new.labels),
            counters={},
            owner=new.owner,
        )
        async with self._database.writing() as db:
            db.add(row)
        return self.to_record(row)

    async def include(self, session_id: str, user_id: int) -> ParticipantRecord:
        """The person's participant row in this session, made when there is none.

        A person who leaves and comes back keeps their number and rows. Raises UnknownSession.
        """
        user_hash = self._identity.in_session(session_id, user_id)
        async with self._database.writing() as db:
            # A write takes the session's row (PostgreSQL) or the file (SQLite), so that no two people get one number.
            await db.execute(update(schema.Session).filter_by(id=session_id).values(id=session_id))
            await _require(db, session_id)
            found = await db.scalar(select(schema.Participant).filter_by(session_id=session_id, user_hash=user_hash))
            if found is None:
                number = await db.scalar(
                    select(func.coalesce(func.max(schema.Participant.number), 0) + 1).filter_by(session_id=session_id)
                )
                found = schema.Participant(
                    session_id=session_id,
                    number=number,
                    user_hash=user_hash,
                    user_sealed=self._identity.seal(user_id),
                    included_at=datetime.now(UTC),
                )
                db.add(found)
            found.withdrawn_at = None
        return self.to_participant(found)

    async def withdraw(self, session_id: str, user_id: int) -> None:
        """Note that the person left the session's analysis; what was stored until now stays."""
        async with self._database.writing() as db:
            await db.execute(
                update(schema.Participant)
                .filter_by(session_id=session_id, user_hash=self._identity.in_session(session_id, user_id))
                .values(withdrawn_at=datetime.now(UTC))
            )

    async def add_results(self, results: Sequence[tuple[str, WindowRecord | MomentRecord]]) -> int:
        """Store windows, and what was noticed in them, of any sessions in one transaction; returns how many.

        What is about a participant who has been deleted meanwhile is left out.
        """
        if not results:
            return 0
        async with self._database.writing() as db:
            wanted = {result.participant_id for _, result in results}
            found = await db.execute(
                select(schema.Participant.id, schema.Session.id, schema.Session.labels)
                .join(schema.Session, schema.Session.id == schema.Participant.session_id)
                .where(schema.Participant.id.in_(wanted))
            )
            labels: dict[tuple[str, int | None], Sequence[str]] = {
                (session_id, participant_id): labels for participant_id, session_id, labels in found
            }
            windows: list[dict[str, Any]] = []
            moments: list[dict[str, Any]] = []
            for session_id, result in results:
                if (known := labels.get((session_id, result.participant_id))) is None:
                    continue
                if isinstance(result, WindowRecord):
                    windows.append(window_row(result, known))
                else:
                    moments.append({"session_id": session_id, **asdict(result)})
            for table, rows in ((schema.StoredWindow, windows), (schema.Moment, moments)):
                if rows:
                    await db.execute(insert(table), rows)
        return len(windows) + len(moments)

    async def add_moment(self, session_id: str, moment: MomentRecord, *, author_id: int | None = None) -> None:
        """`author_id` is who wrote a mark. Raises UnknownSession."""
        author_hash = None if author_id is None else self._identity.in_session(session_id, author_id)
        async with self._database.writing() as db:
            await _require(db, session_id)
            db.add(
                schema.Moment(
                    session_id=session_id,
                    participant_id=moment.participant_id,
                    at_s=moment.at_s,
                    kind=moment.kind,
                    text=moment.text,
                    author_hash=author_hash,
                )
            )

    async def end(
        self,
        session_id: str,
        *,
        state: SessionState,
        reason: str,
        counters: Mapping[str, int],
        at: datetime | None = None,
    ) -> SessionRecord:
        """Close the session, `at` that time or now; closing it again changes nothing. Raises UnknownSession."""
        async with self._database.writing() as db:
            row = await _require(db, session_id)
            if row.state == SessionState.LIVE:
                row.state, row.end_reason, row.ended_at = state, reason, at or datetime.now(UTC)
                row.counters = dict(counters)
            row.owner = None
        return self.to_record(row)

    async def get(self, session_id: str) -> SessionRecord | None:
        async with self._database.transaction() as db:
            row = await db.get(schema.Session, session_id)
        return None if row is None else self.to_record(row)

    async def list(self, *, guild_id: int | None = None, limit: int = 50) -> list[SessionRecord]:
        """The newest first, at most `limit` (and 200)."""
        query = select(schema.Session).order_by(schema.Session.started_at.desc(), schema.Session.id)
        if guild_id is not None:
            query = query.filter_by(guild_id=guild_id)
        async with self._database.transaction() as db:
            rows = await db.scalars(query.limit(max(0, min(limit, _MAX_LISTED))))
            return [self.to_record(row) for row in rows]

    async def participants(self, session_id: str) -> Sequence[ParticipantRecord]:
        async with self._database.transaction() as db:
            return await self._participants(db, session_id)

    async def report(self, session_id: str) -> SessionReport | None:
        """Everything of one session, read in one transaction, with its figures computed."""
        async with self._database.transaction() as db:
            row = await db.get(schema.Session, session_id)
            if row is None:
                return None
            participants = await self._participants(db, session_id)
            windows = await read_windows(db, session_id)
            moments = list(
                await db.scalars(
                    select(schema.Moment)
                    .filter_by(session_id=session_id)
                    .order_by(schema.Moment.at_s, schema.Moment.id)
                )
            )
        return await asyncio.to_thread(
            lambda: build_report(
                self.to_record(row),
                participants,
                windows_of(windows, row.labels),
                [_to_moment(moment) for moment in moments],
            )
        )

    async def edition(self, session_id: str) -> Edition | None:
        """What a report of the session is made of, in figures; None when there is no such session."""
        moments = select(func.count()).select_from(schema.Moment).filter_by(session_id=session_id).scalar_subquery()
        person = schema.Participant
        query = (  # one, because every page asks for it
            select(schema.Session.state, schema.Session.ended_at, person.id, person.withdrawn_at)
            .add_columns(count_windows(session_id), moments)
            .outerjoin(person, person.session_id == schema.Session.id)
            .where(schema.Session.id == session_id)
            .order_by(person.number)
        )
        async with self._database.transaction() as db:
            rows = (await db.execute(query)).all()
        if not rows:
            return None
        state, ended_at, _, _, windows, marks = rows[0]
        return Edition(
            state=SessionState(state),
            ended_at=ended_at,
            people=tuple((row.id, row.withdrawn_at) for row in rows if row.id is not None),
            windows=windows,
            moments=marks,
        )

    async def _participants(self, db: AsyncSession, session_id: str) -> Sequence[ParticipantRecord]:
        rows = await db.scalars(
            select(schema.Participant).filter_by(session_id=session_id).order_by(schema.Participant.number)
        )
        return [self.to_participant(row) for row in rows]

    def to_record(self, row: schema.Session) -> SessionRecord:
        return SessionRecord(
            id=row.id,
            guild_id=row.guild_id,
            channel_id=row.channel_id,
            started_by=None if row.starter_sealed is None else self._identity.unseal(row.starter_sealed),
            state=SessionState(row.state),
            started_at=row.started_at,
            ended_at=row.ended_at,
            end_reason=row.end_reason,
            model=row.model,
            model_version=row.model_version,
            labels=tuple(row.labels),
            counters=dict(row.counters),
        )

    def to_participant(self, row: schema.Participant) -> ParticipantRecord:
        return ParticipantRecord(
            id=row.id,
            session_id=row.session_id,
            pseudonym=f"Speaker {row.number}",
            user_id=self._identity.unseal(row.user_sealed),
            included_at=row.included_at,
            withdrawn_at=row.withdrawn_at,
        )


async def _require(db: AsyncSession, session_id: str) -> schema.Session:
    row = await db.get(schema.Session, session_id)
    if row is None:
        raise UnknownSession("There is no such session; it may have been deleted.")
    return row


def _to_moment(row: schema.Moment) -> MomentRecord:
    return MomentRecord(at_s=row.at_s, kind=row.kind, participant_id=row.participant_id, text=row.text)

"""Share links: a random token that is shown once and stored as a hash, expires, and can be revoked."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import func, select, update

from storage import schema
from storage.database import Database
from storage.errors import TooManyShares, UnknownSession
from storage.identity import Identity, token_hash
from storage.records import ShareRecord

_MAX_LIVE_SHARES: Final = 50


class ShareRepository:
    def __init__(self, database: Database, identity: Identity) -> None:
        self._database = database
        self._identity = identity

    async def create(
        self, session_id: str, *, lifetime: timedelta, maker_id: int | None, participant_id: int | None
    ) -> tuple[ShareRecord, str]:
        """A new link and its token; `participant_id` limits it to that person's row.

        Raises UnknownSession; TooManyShares when 50 links of the session are alive.
        """
        token = secrets.token_urlsafe(32)
        now = datetime.now(UTC)
        row = schema.Share(
            id=secrets.token_hex(8),
            session_id=session_id,
            participant_id=participant_id,
            maker_hash=None if maker_id is None else self._identity.in_session(session_id, maker_id),
            token_hash=token_hash(token),
            created_at=now,
            expires_at=now + lifetime,
        )
        live = select(func.count()).where(
            schema.Share.session_id == session_id, schema.Share.expires_at > now, schema.Share.revoked_at.is_(None)
        )
        async with self._database.writing() as db:
            if await db.get(schema.Session, session_id) is None:
                raise UnknownSession("There is no such session; it may have been deleted.")
            if (await db.scalar(live) or 0) >= _MAX_LIVE_SHARES:
                raise TooManyShares(f"This session has {_MAX_LIVE_SHARES} share links already; revoke them first.")
            db.add(row)
        return _to_record(row), token

    async def get(self, token: str) -> ShareRecord | None:
        """The link with that token, alive or not; None when there is none. Dead ones go with their session."""
        async with self._database.transaction() as db:
            row = await db.scalar(select(schema.Share).filter_by(token_hash=token_hash(token)))
        return None if row is None else _to_record(row)

    async def revoke(self, session_id: str, *, maker_id: int | None) -> int:
        """Revoke the live links of a session that `maker_id` made, or all of them; returns how many."""
        theirs = schema.Share.session_id == session_id
        if maker_id is not None:
            theirs &= schema.Share.maker_hash == self._identity.in_session(session_id, maker_id)
        async with self._database.writing() as db:
            revoked = await db.scalars(
                update(schema.Share)
                .where(theirs, schema.Share.revoked_at.is_(None))
                .values(revoked_at=datetime.now(UTC))
                .returning(schema.Share.id)
            )
            return len(revoked.all())


def _to_record(row: schema.Share) -> ShareRecord:
    return ShareRecord(
        id=row.id,
        session_id=row.session_id,
        participant_id=row.participant_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )

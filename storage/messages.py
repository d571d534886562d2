"""The bot's own messages in Discord that are about a session or a person, so that deletion reaches them there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage import schema
from storage.database import Database
from storage.identity import Identity
from storage.records import MessageKind, MessageRecord
from storage.servers import outlived

_CHUNK = 500
QUESTION_KEPT: Final = timedelta(days=1)
"""How long a question may be answered. It names who asked, and so it does not stay as long as results do."""
_PRIVATE = 0
"""Stands for the server of a private conversation in a person's hash."""


class MessageRepository:
    def __init__(self, database: Database, identity: Identity, *, default_retention_days: int) -> None:
        self._database = database
        self._identity = identity
        self._default_retention_days = default_retention_days

    async def note(self, message: MessageRecord, *, about: int | None = None, stale: bool = False) -> None:
        """Remember a message that was posted; `about` is the person whom it is about alone.

        `stale`: whether what it says is still true has to be looked at.
        """
        user_hash = None if about is None else self._identity.in_server(message.guild_id or _PRIVATE, about)
        async with self._database.writing() as db:
            session = None if message.session_id is None else await db.get(schema.Session, message.session_id)
            row = schema.BotMessage(
                message_id=message.message_id,
                channel_id=message.channel_id,
                guild_id=message.guild_id,
                session_id=None if session is None else session.id,  # deleted meanwhile: the message goes as well
                user_hash=user_hash,
                kind=message.kind,
                posted_at=datetime.now(UTC),
                stale=stale,
            )
            await db.merge(row)

    async def forget(self, message_ids: Collection[int]) -> None:
        """These messages are gone in Discord."""
        wanted = list(message_ids)
        async with self._database.writing() as db:
            for at in range(0, len(wanted), _CHUNK):
                chunk = wanted[at : at + _CHUNK]
                await db.execute(delete(schema.BotMessage).where(schema.BotMessage.message_id.in_(chunk)))

    async def of_session(self, session_id: str) -> Sequence[MessageRecord]:
        """In the order in which they were posted."""
        async with self._database.transaction() as db:
            return await self._records(db, schema.BotMessage.session_id == session_id)

    async def about(self, user_id: int, guild_id: int | None) -> Sequence[MessageRecord]:
        """The messages that are about a person alone, in one server or everywhere."""
        async with self._database.transaction() as db:
            hashes = [self._identity.in_server(scope, user_id) for scope in await message_scopes(db, guild_id)]
            return await self._records(db, schema.BotMessage.user_hash.in_(hashes))

    async def doomed(self, now: datetime) -> Sequence[MessageRecord]:
        """What is still to be deleted in Discord: of sessions that are deleted, older than its server's days, and
        questions that nobody can answer any more."""
        async with self._database.transaction() as db:
            message = schema.BotMessage
            old = await outlived(
                db, message.guild_id, message.posted_at, now=now, default_days=self._default_retention_days
            )
            old |= (message.kind == MessageKind.QUESTION) & (message.posted_at <= now - QUESTION_KEPT)
            # One that tells of a link names somebody, and is of a session all the same.
            of_a_session = message.user_hash.is_(None) | (message.kind == MessageKind.SHARED)
            return await self._records(db, message.session_id.is_(None) & (of_a_session | old))

    async def stale(self, session_ids: Collection[str] | None) -> Sequence[MessageRecord]:
        """What still speaks of people whose data is deleted: in some sessions, or in all."""
        async with self._database.transaction() as db:
            found = await self._records(db, schema.BotMessage.stale & schema.BotMessage.session_id.is_not(None))
        return [message for message in found if session_ids is None or message.session_id in session_ids]

    async def renewed(self, message_id: int) -> None:
        """The message speaks of nobody any more whose data is deleted."""
        async with self._database.writing() as db:
            await db.execute(update(schema.BotMessage).filter_by(message_id=message_id).values(stale=False))

    async def _records(self, db: AsyncSession, condition: ColumnElement[bool]) -> Sequence[MessageRecord]:
        rows = await db.scalars(select(schema.BotMessage).where(condition).order_by(schema.BotMessage.message_id))
        return [_to_record(row) for row in rows]


async def message_scopes(db: AsyncSession, guild_id: int | None) -> list[int]:
    """The servers in which a person's messages may be; None: all, and private conversations."""
    if guild_id is not None:
        return [guild_id]
    return [guild or _PRIVATE for guild in await db.scalars(select(schema.BotMessage.guild_id).distinct())]


def _to_record(row: schema.BotMessage) -> MessageRecord:
    return MessageRecord(
        message_id=row.message_id,
        channel_id=row.channel_id,
        guild_id=row.guild_id,
        kind=MessageKind(row.kind),
        session_id=row.session_id,
    )

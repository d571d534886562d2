"""Servers' settings and people's standing consent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, case, delete, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from storage import schema
from storage.database import Database
from storage.identity import Identity
from storage.records import Decision, Purpose, ServerSettings, SummaryPlace, VoiceMode


class ServerRepository:
    def __init__(self, database: Database, *, operator_days: int) -> None:
        self._database = database
        self._operator_days = operator_days
        self._writing = asyncio.Lock()
        """Two administrators may choose at once: neither's choice is lost, and a server's row is made once."""

    async def get(self, guild_id: int) -> ServerSettings:
        """The server's settings; the defaults when none were saved."""
        async with self._database.transaction() as db:
            row = await db.get(schema.Server, guild_id)
        if row is None:
            return ServerSettings(guild_id=guild_id, operator_days=self._operator_days)
        return ServerSettings(
            guild_id=row.guild_id,
            attested_at=row.attested_at,
            listen_role_ids=tuple(row.listen_role_ids),
            unheard_role_ids=tuple(row.unheard_role_ids),
            viewer_role_id=row.viewer_role_id,
            report_channel_id=row.report_channel_id,
            summary_place=SummaryPlace(row.summary_place),
            live_emotions=row.live_emotions,
            voice_modes={int(channel): VoiceMode(mode) for channel, mode in row.voice_modes.items()},
            auto_listen_ids=tuple(row.auto_listen_ids),
            operator_days=self._operator_days,
            chosen_days=row.retention_days,
            language=row.language,
        )

    async def viewer_roles(self, guild_id: int | None = None) -> dict[int, int]:
        """The role that may read every report, of each server that chose one; those with the newest sessions first."""
        query = (
            select(schema.Server.guild_id, schema.Server.viewer_role_id)
            .join(schema.Session, schema.Session.guild_id == schema.Server.guild_id)
            .where(schema.Server.viewer_role_id.is_not(None), schema.Server.left_at.is_(None))
            .group_by(schema.Server.guild_id, schema.Server.viewer_role_id)
            .order_by(func.max(schema.Session.started_at).desc())
        )
        if guild_id is not None:
            query = query.where(schema.Server.guild_id == guild_id)
        async with self._database.transaction() as db:
            return {server: role for server, role in await db.execute(query) if role is not None}

    async def change(self, guild_id: int, changed: Callable[[ServerSettings], ServerSettings]) -> ServerSettings:
        """Save what `changed` makes of the settings as they are now; nothing is saved when it raises."""
        async with self._writing:
            settings = changed(await self.get(guild_id))
            async with self._database.writing() as db:
                await db.merge(_to_row(settings))
        return settings

    async def present(self, guild_ids: Collection[int], now: datetime, of: Callable[[int], bool] | None = None) -> None:
        """The bot is in these servers and in no others: from now on it counts how long it is out of the others.

        `of` says which servers a process that has not all of them would know of.
        """
        async with self._writing, self._database.writing() as db:
            out = set(await db.scalars(select(schema.Server.guild_id).where(schema.Server.left_at.is_not(None))))
            for guild_id in await self._known(db):
                is_out = guild_id not in guild_ids
                if is_out != (guild_id in out) and (of is None or of(guild_id)):
                    (await self._row(db, guild_id)).left_at = now if is_out else None

    async def left(self, guild_id: int, now: datetime) -> None:
        """The bot was removed from a server."""
        async with self._writing, self._database.writing() as db:
            row = await self._row(db, guild_id)
            row.left_at = now

    async def back(self, guild_id: int) -> None:
        """The bot is in a server again."""
        async with self._database.writing() as db:
            await db.execute(update(schema.Server).filter_by(guild_id=guild_id).values(left_at=None))

    async def _known(self, db: AsyncSession) -> set[int]:
        """Every server of which something is stored."""
        columns = (schema.Server.guild_id, schema.Consent.guild_id, schema.Session.guild_id)
        return {guild_id for column in columns for guild_id in await db.scalars(select(column).distinct())}

    async def _row(self, db: AsyncSession, guild_id: int) -> schema.Server:
        row = await db.get(schema.Server, guild_id)
        if row is None:
            row = await db.merge(_to_row(ServerSettings(guild_id=guild_id)))
        return row


async def outlived(
    db: AsyncSession,
    guild_id: InstrumentedAttribute[Any],
    at: InstrumentedAttribute[Any],
    *,
    now: datetime,
    default_days: int,
) -> ColumnElement[bool]:
    """A condition for a query: the row of that server and time is older than the server keeps things.

    The database compares. To read whatever is kept would hold up the event loop on a bot in many servers.
    """
    chosen = await db.scalars(select(schema.Server.retention_days).distinct())
    kept_since = {days: now - timedelta(days=days) for days in {default_days, *chosen} if days is not None}
    own = select(schema.Server.retention_days).where(schema.Server.guild_id == guild_id).scalar_subquery()
    return at <= case(
        {days: literal(since, schema.UtcDateTime()) for days, since in kept_since.items()},
        value=func.coalesce(own, default_days),
    )


def _to_row(settings: ServerSettings) -> schema.Server:
    return schema.Server(
        guild_id=settings.guild_id,
        attested_at=settings.attested_at,
        listen_role_ids=list(settings.listen_role_ids),
        unheard_role_ids=list(settings.unheard_role_ids),
        viewer_role_id=settings.viewer_role_id,
        report_channel_id=settings.report_channel_id,
        summary_place=settings.summary_place,
        live_emotions=settings.live_emotions,
        voice_modes={str(channel): mode.value for channel, mode in settings.voice_modes.items()},
        auto_listen_ids=list(settings.auto_listen_ids),
        retention_days=settings.chosen_days,
        language=settings.language,
    )


class ConsentRepository:
    def __init__(self, database: Database, identity: Identity) -> None:
        self._database = database
        self._identity = identity

    async def get(self, guild_id: int, user_id: int, purpose: Purpose) -> Decision | None:
        async with self._database.transaction() as db:
            row = await db.get(schema.Consent, (guild_id, self._identity.in_server(guild_id, user_id), purpose))
        return None if row is None else Decision(row.decision)

    async def set(
        self, guild_id: int, user_id: int, decision: Decision | None, purpose: Purpose, at: datetime | None
    ) -> None:
        """Remember the answer; None forgets it. `at` is when it was given, by Discord's clock; None: now."""
        user_hash = self._identity.in_server(guild_id, user_id)
        async with self._database.writing() as db:
            if decision is None:
                forget = delete(schema.Consent).filter_by(guild_id=guild_id, user_hash=user_hash, purpose=purpose)
                await db.execute(forget)
            else:
                row = schema.Consent(
                    guild_id=guild_id,
                    user_hash=user_hash,
                    purpose=purpose,
                    decision=decision,
                    decided_at=at or datetime.now(UTC),
                )
                await db.merge(row)

    async def end_before(self, guild_id: int, user_id: int, joined_at: datetime) -> frozenset[Purpose]:
        """Forget what the person answered before they joined the server: since then they had left it.

        Both times are of Discord's clock: this machine's may be minutes off, and would end an answer that was given
        since, or keep one from before. Returns what they were asked about in the answers that ended.
        """
        user_hash = self._identity.in_server(guild_id, user_id)
        async with self._database.writing() as db:
            mine = delete(schema.Consent).filter_by(guild_id=guild_id, user_hash=user_hash)
            ended = mine.where(schema.Consent.decided_at < joined_at).returning(schema.Consent.purpose)
            return frozenset(map(Purpose, await db.scalars(ended)))

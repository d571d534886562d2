"""Servers' settings and people's standing consent."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import delete

from storage import schema
from storage.database import Database
from storage.identity import Identity
from storage.records import Decision, ServerSettings


class ServerRepository:
    def __init__(self, database: Database, *, default_retention_days: int) -> None:
        self._database = database
        self._default_retention_days = default_retention_days

    async def get(self, guild_id: int) -> ServerSettings:
        """The server's settings; the defaults when none were saved."""
        async with self._database.transaction() as db:
            row = await db.get(schema.Server, guild_id)
        if row is None:
            return ServerSettings(guild_id=guild_id, retention_days=self._default_retention_days)
        return ServerSettings(
            guild_id=row.guild_id,
            attested_at=row.attested_at,
            listen_role_id=row.listen_role_id,
            auto_channel_ids=tuple(row.auto_channel_ids),
            retention_days=row.retention_days,
        )

    async def save(self, settings: ServerSettings) -> None:
        async with self._database.transaction() as db:
            await db.merge(
                schema.Server(
                    guild_id=settings.guild_id,
                    attested_at=settings.attested_at,
                    listen_role_id=settings.listen_role_id,
                    auto_channel_ids=list(settings.auto_channel_ids),
                    retention_days=settings.retention_days,
                )
            )


class ConsentRepository:
    def __init__(self, database: Database, identity: Identity) -> None:
        self._database = database
        self._identity = identity

    async def get(self, guild_id: int, user_id: int) -> Decision | None:
        async with self._database.transaction() as db:
            row = await db.get(schema.Consent, (guild_id, self._identity.in_server(guild_id, user_id)))
        return None if row is None else Decision(row.decision)

    async def set(self, guild_id: int, user_id: int, decision: Decision | None) -> None:
        """Remember the answer; None forgets it."""
        user_hash = self._identity.in_server(guild_id, user_id)
        async with self._database.transaction() as db:
            if decision is None:
                await db.execute(delete(schema.Consent).filter_by(guild_id=guild_id, user_hash=user_hash))
            else:
                row = schema.Consent(
                    guild_id=guild_id, user_hash=user_hash, decision=decision, decided_at=datetime.now(UTC)
                )
                await db.merge(row)

"""A server's settings when several people change them at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import event

from storage import ServerSettings, Storage
from storage.rights import GONE_AFTER

pytestmark = pytest.mark.integration


async def test_nobodys_choice_is_lost_and_the_row_is_made_once(storage: Storage) -> None:
    def stated(server: ServerSettings) -> ServerSettings:
        return replace(server, attested_at=datetime(2026, 3, 2, tzinfo=UTC))

    def german(server: ServerSettings) -> ServerSettings:
        return replace(server, language="de")

    await asyncio.gather(
        storage.change_server(10, stated),
        storage.change_server(10, german),
        storage.server_left(10, datetime.now(UTC)),
    )
    server = await storage.server(10)
    assert (server.attested_at is not None, server.language) == (True, "de")


async def test_who_is_in_which_server_is_one_question_however_many_there_are(storage: Storage) -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    for guild_id in range(10, 30):
        await storage.change_server(guild_id, lambda server: replace(server, language="de"))
    await storage.server_left(11, now)
    statements: list[str] = []

    def executed(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(statement)

    engine = storage._database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", executed)
    try:
        await storage.servers_present(set(range(10, 30)) - {12}, now, lambda guild_id: guild_id != 13)
    finally:
        event.remove(engine, "before_cursor_execute", executed)
    assert len(statements) < 12
    await storage.servers_present(set(range(14, 30)), now, lambda guild_id: guild_id not in (10, 13))
    assert sorted(await storage.purge_left(now + GONE_AFTER)) == [11, 12]

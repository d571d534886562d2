"""A server's settings when several people change them at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from storage import ServerSettings, Storage

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

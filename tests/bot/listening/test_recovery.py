"""After a kill: one session's trouble must not keep the others waiting."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.app import App
from bot.listening.recovery import recover
from storage.errors import StorageUnavailable
from storage.records import SessionRecord

pytestmark = pytest.mark.unit


class Failing:
    """Storage that lost its database after the sessions were read."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.settled_ids: list[str] = []

    async def messages_of_session(self, _: str) -> list[Any]:
        return []

    async def server(self, guild_id: int) -> Any:
        self.asked.append(guild_id)
        raise StorageUnavailable("The database does not answer.")

    async def settled(self, session_id: str) -> None:
        self.settled_ids.append(session_id)


async def test_a_database_that_fails_ends_nothing_and_leaves_the_sessions_for_the_next_start() -> None:
    async def connected() -> None: ...

    storage = Failing()
    records = [
        cast("SessionRecord", SimpleNamespace(id=str(number), guild_id=number, started_at=datetime.now(UTC)))
        for number in (1, 2)
    ]
    await recover(cast("App", SimpleNamespace(storage=storage, connected=connected)), records)
    assert storage.asked == [1, 2]
    assert storage.settled_ids == []

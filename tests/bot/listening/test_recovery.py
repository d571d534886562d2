"""After a kill: one session's trouble must not keep the others waiting."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest

from bot.app import App
from bot.listening.recovery import recover
from storage.errors import StorageUnavailable
from storage.records import ServerSettings, SessionRecord

pytestmark = pytest.mark.unit


class Failing:
    """Storage that lost its database after the sessions were read, for all questions or for one."""

    def __init__(self, *kinds: str) -> None:
        self.asked: list[int] = []
        self.settled_ids: list[str] = []
        self._kinds = kinds

    async def messages_of_session(self, _: str) -> list[Any]:
        self._fail("messages")
        return []

    async def server(self, guild_id: int) -> Any:
        self.asked.append(guild_id)
        self._fail("server")
        return ServerSettings(guild_id=guild_id)

    async def settled(self, session_id: str) -> None:
        self.settled_ids.append(session_id)

    def _fail(self, kind: str) -> None:
        if kind in self._kinds:
            raise StorageUnavailable("The database does not answer.")


@pytest.mark.parametrize("kinds", [("messages", "server"), ("server",), ("messages",)])
async def test_a_database_that_fails_ends_nothing_and_leaves_the_sessions_for_the_next_start(
    kinds: tuple[str, ...],
) -> None:
    async def connected() -> None: ...

    def surface(*_: Any) -> NoReturn:
        raise AssertionError("nothing is done without knowing what was posted")

    storage = Failing(*kinds)
    records = [
        cast("SessionRecord", SimpleNamespace(id=str(number), guild_id=number, started_at=datetime.now(UTC)))
        for number in (1, 2)
    ]
    app = SimpleNamespace(storage=storage, connected=connected, surface=surface)
    await recover(cast("App", app), records)
    assert storage.asked == [1, 2]
    assert storage.settled_ids == []

"""After a kill: one session's trouble must not keep the others waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import aiohttp
import pytest

from bot.app import App
from bot.cards import Card
from bot.listening import farewell, recovery
from bot.listening.recovery import recover
from storage.errors import StorageUnavailable
from storage.records import Edition, MessageKind, MessageRecord, ServerSettings, SessionRecord
from tests.fakes.records import session
from tests.fakes.surface import FakeSurface

pytestmark = pytest.mark.unit


class Kept:
    """Storage that still knows what a killed session posted."""

    def __init__(self, *kinds: MessageKind) -> None:
        self._messages = [
            MessageRecord(message_id=1000 + number, channel_id=20, guild_id=10, kind=kind)
            for number, kind in enumerate(kinds)
        ]

    async def messages_of_session(self, _: str) -> list[MessageRecord]:
        return self._messages

    async def server(self, guild_id: int) -> ServerSettings:
        return ServerSettings(guild_id=guild_id)

    async def settled(self, _: str) -> None: ...

    async def edition(self, _: str) -> None:
        """It was deleted: there is nothing to sum up."""


async def never(*_: object) -> None:
    await asyncio.Event().wait()


async def kept(*kinds: MessageKind, broken: Collection[str] = (), slow: bool = False) -> FakeSurface:
    """What a start makes of messages of these kinds; `slow`: Discord does not say that it changed one."""

    async def connected() -> None: ...

    surface = FakeSurface()
    for kind in kinds:
        await surface.post(Card(title="", text=""), kind)
    surface.broken.update(broken)
    if slow:
        surface.edit = never  # type: ignore[assignment]
    app = SimpleNamespace(
        storage=Kept(*kinds),
        connected=connected,
        surface=lambda *_: surface,
        report_url=lambda _: None,
        clock=SimpleNamespace(sleep=asyncio.sleep),
    )
    await recover(cast("App", app), [session()])
    return surface


async def test_who_shared_results_is_still_told_after_a_kill() -> None:
    surface = await kept(MessageKind.PANEL, MessageKind.NOTICE, MessageKind.SHARED)
    assert [message.kind for message in surface.messages if message.removed] == [MessageKind.NOTICE]


async def test_a_panel_that_cannot_be_changed_after_a_kill_is_deleted() -> None:
    surface = await kept(MessageKind.PANEL, broken={"edit"})
    assert surface.messages[0].removed


async def test_a_panel_that_discord_does_not_change_in_time_after_a_kill_is_deleted_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recovery, "STEP_S", 0.05)
    surface = await kept(MessageKind.PANEL, slow=True)
    assert surface.later == [surface.messages[0].posted]
    gone = await kept(MessageKind.PANEL, broken={"edit", "remove"})
    assert gone.later == [gone.messages[0].posted]
    assert (await kept(MessageKind.PANEL)).later == []


async def test_a_summary_after_a_kill_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[None] = []

    async def at_the_second_try(*_: object, **__: object) -> None:
        tries.append(None)
        if len(tries) == 1:
            raise aiohttp.ServerDisconnectedError

    async def there(*_: object) -> Edition:
        return cast("Edition", object())

    monkeypatch.setattr(Kept, "edition", there)
    monkeypatch.setattr(farewell, "AGAIN_S", 0.01)
    monkeypatch.setattr(farewell, "post_summary", at_the_second_try)
    await kept(MessageKind.PANEL)
    assert len(tries) == 2


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

"""Whoever marks a moment is told the truth about it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.commands.panel_view import MARK_ID
from bot.listening.ends import EndReason
from bot.texts import english as texts
from storage.errors import StorageUnavailable
from tests.fakes.world import World, text_of

pytestmark = pytest.mark.e2e


async def test_a_mark_that_the_database_did_not_take_is_not_called_marked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.sit(world.owner)
    await world.seen(world.owner)
    panel = await world.attest_and_start()

    async def away(*_: Any, **__: Any) -> None:
        raise StorageUnavailable("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(world.service.storage, "add_moment", away)
        assert text_of(await world.ask(world.owner, "mark", {"note": "here"})) == texts.STORAGE_AWAY
        assert text_of(await world.press(world.owner, panel, MARK_ID)) == texts.STORAGE_AWAY
        assert world.running().counters()["moments"] == 0
    await world.ask(world.owner, "mark", {"note": "here"})
    assert world.running().counters()["moments"] == 1


@pytest.mark.parametrize("by", ["button", "command"])
async def test_nothing_is_marked_any_more_once_a_session_ends(
    world: World, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    world.sit(world.owner)
    await world.seen(world.owner)
    panel = await world.attest_and_start()
    session, go = world.running(), asyncio.Event()
    close = session.call.close

    async def slow() -> None:
        await go.wait()
        await close()

    monkeypatch.setattr(session.call, "close", slow)
    session.end(EndReason.STOPPED)
    marking = world.press(world.owner, panel, MARK_ID) if by == "button" else world.ask(world.owner, "mark")
    answer = text_of(await marking)
    go.set()
    await world.over()
    assert answer == texts.STALE_PANEL

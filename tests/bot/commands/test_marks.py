"""Whoever marks a moment is told the truth about it."""

from __future__ import annotations

from typing import Any

import pytest

from bot.commands.panel_view import MARK_ID
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

"""One message, edited at most once in 5 s, only on a change, never an hour old."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.cards import Card
from bot.listening.panel import EDIT_GAP_S, MAX_AGE_S, Panel
from tests.fakes.clock import FakeClock, settle
from tests.fakes.surface import FakeSurface

pytestmark = pytest.mark.unit


class Stage:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.surface = FakeSurface()
        self.says = "first"
        self.panel = Panel(self.surface, self.clock, lambda: Card(title="Listening", text=self.says, buttons=True))

    def say(self, text: str) -> None:
        self.says = text
        self.panel.touch()

    @property
    def texts(self) -> list[str]:
        return [card.text for card in self.surface.messages[0].cards]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    await stage.panel.open()
    task = asyncio.create_task(stage.panel.run(), name="panel")
    yield stage
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_no_change_no_edit(stage: Stage) -> None:
    for _ in range(20):
        stage.panel.touch()
        await stage.clock.advance(1)
    assert stage.texts == ["first"]


async def test_changes_within_five_seconds_become_one_edit_with_the_newest(stage: Stage) -> None:
    for number in range(1, 5):
        stage.say(f"change {number}")
        await stage.clock.advance(1)
    assert stage.texts == ["first"]
    await stage.clock.advance(EDIT_GAP_S)
    assert stage.texts == ["first", "change 4"]


async def test_never_more_than_one_edit_in_five_seconds(stage: Stage) -> None:
    for number in range(600):
        stage.say(f"change {number}")
        await stage.clock.advance(0.1)
    assert len(stage.texts) - 1 <= 60 / EDIT_GAP_S
    assert len(stage.texts) - 1 >= 60 / EDIT_GAP_S - 1


async def test_it_is_posted_anew_before_it_is_an_hour_old(stage: Stage) -> None:
    for minute in range(70):
        stage.say(f"minute {minute}")
        await stage.clock.advance(60)
    first, second = stage.surface.messages
    assert first.removed
    assert not second.removed
    assert stage.panel.message_id == second.id
    assert len(first.cards) <= MAX_AGE_S / 60 + 1


async def test_a_deleted_panel_comes_back(stage: Stage) -> None:
    await stage.surface.remove(stage.surface.messages[0].id)
    stage.say("still listening")
    await stage.clock.advance(EDIT_GAP_S)
    assert stage.surface.messages[-1].card.text == "still listening"
    assert len(stage.surface.messages) == 2


async def test_a_failed_edit_is_counted_and_the_next_change_is_shown(stage: Stage) -> None:
    stage.surface.broken.add("edit")
    stage.say("lost")
    await stage.clock.advance(EDIT_GAP_S)
    assert stage.panel.failures == 1
    stage.surface.broken.clear()
    stage.say("shown")
    await stage.clock.advance(EDIT_GAP_S)
    assert stage.texts == ["first", "shown"]


async def test_closing_leaves_a_last_word_without_buttons(stage: Stage) -> None:
    await stage.panel.close(Card(title="Session ended", text="bye"))
    await settle()
    assert stage.surface.panel.buttons is False
    assert stage.surface.panel.text == "bye"

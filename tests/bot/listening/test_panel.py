"""One message, edited at most once in 5 s, only on a change, never an hour old."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.cards import Buttons, Card
from bot.listening.panel import EDIT_GAP_S, MAX_AGE_S, Panel
from bot.listening.surface import NoPlace, Posted
from tests.fakes.clock import FakeClock, settle
from tests.fakes.surface import FakeSurface

pytestmark = pytest.mark.unit


class Stage:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.surface = FakeSurface()
        self.says = "first"
        self.lost = 0
        self.task: asyncio.Task[None]
        self.panel = Panel(self.surface, self.clock, self._card, lost=self._lose)

    def _card(self) -> Card:
        return Card(title="Listening", text=self.says, buttons=Buttons.PANEL)

    def _lose(self) -> None:
        self.lost += 1

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
    stage.task = asyncio.create_task(stage.panel.run(), name="panel")
    yield stage
    stage.task.cancel()
    await asyncio.gather(stage.task, return_exceptions=True)


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
    assert stage.panel.posted == second.posted
    assert len(first.cards) <= MAX_AGE_S / 60 + 1


async def test_a_deleted_panel_comes_back(stage: Stage) -> None:
    await stage.surface.remove(stage.surface.messages[0].posted)
    stage.say("still listening")
    await stage.clock.advance(2 * EDIT_GAP_S)
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
    assert stage.surface.panel.buttons is Buttons.NONE
    assert stage.surface.panel.text == "bye"


async def test_a_deleted_panel_is_back_within_ten_seconds_without_any_change(stage: Stage) -> None:
    posted = stage.surface.messages[0].posted
    await stage.surface.remove(posted)
    stage.panel.deleted(posted.message_id + 1)  # somebody else's message
    stage.panel.deleted(posted.message_id)
    await stage.clock.advance(10)
    assert [message.card.text for message in stage.surface.messages] == ["first", "first"]
    assert stage.panel.posted == stage.surface.messages[1].posted


async def test_it_moves_when_people_can_no_longer_see_it_where_it_is(stage: Stage) -> None:
    stage.surface.places = [21]
    stage.panel.check_place()
    await stage.clock.advance(EDIT_GAP_S)
    first, second = stage.surface.messages
    assert (first.removed, second.posted.channel_id, stage.lost) == (True, 21, 0)


async def test_without_any_place_its_owner_is_told(stage: Stage) -> None:
    stage.surface.places = []
    stage.panel.check_place()
    await stage.clock.advance(EDIT_GAP_S)
    assert stage.lost == 1


@pytest.mark.parametrize("trouble", [OSError("no way to Discord"), NoPlace()], ids=["away", "no place"])
async def test_a_panel_that_could_not_be_posted_at_the_start_comes_when_it_can(trouble: Exception) -> None:
    """Another notice was enough for the start, and without the panel nobody can press *Include me*."""
    stage = Stage()
    stage.surface.broken.add("post")
    stage.surface.fail_with = trouble
    with pytest.raises(type(trouble)):
        await stage.panel.open()
    running = asyncio.create_task(stage.panel.run(), name="panel")
    stage.panel.touch()
    await stage.clock.advance(EDIT_GAP_S)
    assert stage.surface.messages == []
    stage.surface.broken.clear()
    stage.panel.touch()
    await stage.clock.advance(EDIT_GAP_S)
    assert (stage.texts, stage.lost) == (["first"], 0)
    running.cancel()
    await asyncio.wait({running})


async def test_an_older_panel_whose_removal_was_cut_off_is_removed_at_the_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session ends while Discord is slow to delete it."""
    removing = asyncio.Event()

    async def hangs(_: Posted) -> None:
        removing.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(stage.surface, "remove", hangs)
        stage.panel.deleted(stage.surface.messages[0].posted.message_id)
        await stage.clock.advance(EDIT_GAP_S)
        await removing.wait()
        stage.task.cancel()
        await asyncio.wait({stage.task})
    await stage.panel.close(Card(title="Session ended", text="bye"))
    first, second = stage.surface.messages
    assert first.removed
    assert (second.removed, second.card.text) == (False, "bye")

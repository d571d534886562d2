"""The bot's one reaction: the last minute's tone of everybody together, changed once a minute at most."""

from __future__ import annotations

import asyncio

import pytest

from bot.cards import Card
from bot.listening.aggregate import OVERALL_S, Aggregate
from bot.listening.panel import Panel
from bot.listening.reaction import EVERY_S, Reaction
from bot.pictures import palette
from ser_engine.types import Window
from tests.fakes.backend import prediction
from tests.fakes.clock import FakeClock
from tests.fakes.surface import FakeSurface
from tests.fakes.voice_link import tone_burst

pytestmark = pytest.mark.unit


async def test_one_reaction_a_minute_and_the_panel_says_the_same() -> None:
    clock, surface, labels = FakeClock(), FakeSurface(), ["Happy"]
    panel = Panel(surface, clock, lambda: Card(title="Listening", text=""))
    reaction = Reaction(surface, panel, clock, lambda: labels[-1])
    await panel.open()
    running = asyncio.create_task(reaction.run(), name="reaction")
    message = surface.messages[0]
    await clock.advance(EVERY_S - 1)
    assert [shown.reaction for shown in surface.messages] == [None]
    await clock.advance(1)
    assert (message.reaction, reaction.label) == (palette.tone("Happy").emoji, "Happy")
    labels.append("Sad")
    await clock.advance(EVERY_S - 1)
    assert message.reaction == palette.tone("Happy").emoji
    await clock.advance(1)
    assert message.reaction == palette.tone("Sad").emoji
    await panel.open()  # it was posted anew
    await clock.advance(EVERY_S)
    assert surface.messages[1].reaction == palette.tone("Sad").emoji
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_the_tone_of_all_is_of_the_last_minute_and_of_who_is_still_included() -> None:
    def said(speaker: str, start_s: float) -> Window:
        return Window(speaker=speaker, start_s=start_s, pcm=tone_burst(3.0), speech_ratio=1.0, gap_ratio=0.0)

    all_together = Aggregate()
    assert all_together.overall(0.0) is None
    for start_s in (0.0, 3.0):
        all_together.add(said("1", start_s), prediction("Happy"))
    all_together.add(said("2", 6.0), prediction("Sad"))
    all_together.add(said("2", 9.0), prediction("Angry", reason="unsure"))
    assert all_together.overall(12.0) == "Happy"
    all_together.forget("1")
    assert all_together.overall(12.0) == "Sad"
    assert all_together.overall(9.1 + OVERALL_S) is None

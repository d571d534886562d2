"""A summary that was posted stays as it was, but for the people who had their data deleted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.cards import SUMMARY_ID
from bot.listening import farewell
from bot.texts import english, of
from storage.records import SummaryPlace
from tests.fakes.world import World, text_of

pytestmark = pytest.mark.e2e


async def test_a_closed_summary_stays_closed_whatever_the_server_chooses_later(world: World) -> None:
    await world.attested(summary_place=SummaryPlace.PARTICIPANTS)
    session_id, summary = await world.held(world.mara, world.theo)
    await world.attested(summary_place=SummaryPlace.VOICE_CHAT)
    await world.service.app.deletions.person(world.mara.id, world.sandbox.guild.id, 1)
    assert text_of(summary).split("\n")[1:] == [english.SUMMARY_TITLE, english.SUMMARY_FOR_PARTICIPANTS]
    assert not summary.attachments
    opened = text_of(await world.press(world.theo, summary, f"{SUMMARY_ID}{session_id}"))
    assert f"<@{world.theo.id}>" in opened
    assert f"<@{world.mara.id}>" not in opened
    assert await world.service.storage.stale_messages() == []


async def test_an_open_summary_stays_open_and_in_its_language(world: World) -> None:
    _, summary = await world.held(world.mara, world.theo)
    await world.attested(summary_place=SummaryPlace.PARTICIPANTS, language="de")
    await world.service.app.deletions.person(world.mara.id, world.sandbox.guild.id, 1)
    assert summary.embeds[0]["title"] == english.SUMMARY_TITLE != of("de").SUMMARY_TITLE
    assert f"<@{world.theo.id}>" in text_of(summary)
    assert f"<@{world.mara.id}>" not in text_of(summary)


async def test_a_summary_that_was_cut_off_before_it_was_checked_is_checked_within_the_hour(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody is deleted while Discord takes the summary, and Discord takes longer than the end waits."""
    post, patience = farewell.post_summary, asyncio.timeout(None)

    async def posting(*about: Any) -> None:
        async with patience:
            await post(*about)

    async def out_of_patience() -> None:
        patience.reschedule(asyncio.get_running_loop().time())
        await asyncio.Event().wait()

    monkeypatch.setattr(farewell, "post_summary", posting)
    world.delete_as_the_summary_is_noted(world.mara, monkeypatch, then=out_of_patience)
    _, summary = await world.held(world.mara, world.theo)
    assert f"<@{world.mara.id}>" in text_of(summary)
    await world.service.app.deletions.remove_doomed()
    assert f"<@{world.mara.id}>" not in text_of(summary)
    assert f"<@{world.theo.id}>" in text_of(summary)


async def test_a_summary_that_is_right_is_not_looked_at_again(world: World) -> None:
    await world.held(world.mara)
    assert await world.service.storage.stale_messages() == []

"""A summary that was posted stays as it was, but for the people who had their data deleted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.cards import SUMMARY_ID
from bot.listening import farewell
from bot.texts import english, of
from storage.records import MessageKind, SummaryPlace
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

    async def posting(*about: Any, **more: Any) -> None:
        async with patience:
            await post(*about, **more)

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


@pytest.mark.parametrize("taken", [False, True], ids=["not taken", "taken, and the answer lost"])
async def test_a_summary_comes_once_although_discord_is_away_for_a_moment(
    world: World, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    """Whoever is deleted between two tries is in none that stays."""
    sleep, summary = world.service.app.clock.sleep, farewell._summary
    tries: list[None] = []

    async def summing_up(*args: Any) -> Any:
        if not tries:
            world.sandbox.faults.rest(503, method="POST", path=r"/channels/\d+/messages$", after=taken)
        tries.append(None)
        return await summary(*args)

    async def between(seconds: float) -> None:
        if seconds == farewell.AGAIN_S:
            await world.service.storage.delete_person(world.mara.id, None)
        await sleep(min(seconds, 0.05))

    monkeypatch.setattr(farewell, "AGAIN_S", 9.75)
    monkeypatch.setattr(farewell, "_summary", summing_up)
    monkeypatch.setattr(world.service.app.clock, "sleep", between)
    session_id = await world.session_with(world.mara, world.theo)
    posted = [message for message in world.messages() if english.SUMMARY_TITLE in text_of(message)]
    assert len(tries) == 2
    assert len(posted) == 1
    assert f"<@{world.mara.id}>" not in text_of(posted[0])
    assert f"<@{world.theo.id}>" in text_of(posted[0])
    noted = await world.service.storage.messages_of_session(session_id)
    assert [one.message_id for one in noted if one.kind is MessageKind.SUMMARY] == [posted[0].id]

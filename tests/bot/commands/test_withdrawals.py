"""Whoever says no while an answer about their voice is on its way is not answered about; a forward is no way round."""

from __future__ import annotations

import asyncio
from typing import Any

import discord
import pytest

from bot.commands.answers import Answer
from bot.texts import Texts
from bot.texts import english as texts
from bot.withdrawals import Withdrawals
from sandbox import Message, User
from sandbox.recordings import as_voice_message
from storage.records import MessageKind, Purpose
from tests.bot.commands.test_analyze import BUTTONS, replies, reply_to, state
from tests.fakes.clips import CLIPS
from tests.fakes.world import World, text_of, wav

pytestmark = pytest.mark.e2e

CALLBACKS = r"^/interactions/"


def spoken(world: World) -> Message:
    """A voice message of Mara's."""
    recording = as_voice_message(CLIPS / "1030_IEO_ANG_HI.flac")
    return world.sandbox.send_voice_message(world.mara, world.sandbox.text, recording)


def answers(world: World, message: Message) -> list[Message]:
    """What everybody reads about how it sounds."""
    return [m for m in world.sandbox.messages(world.sandbox.text) if m.reply_to_id == message.id and m.embeds]


class Held:
    """Holds the recognition up until `go`."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        monkeypatch.setattr(world.service.backend, "_answer", self._wait)

    async def _wait(self, deadline_s: float) -> None:
        self.asked.set()
        await self.go.wait()


async def delete_everything(world: World, user: User) -> None:
    question = await world.ask(user, "privacy delete")
    await world.press(user, question, "undertone:delete")


async def opt_out(world: World, user: User) -> None:
    await world.ask(user, "privacy opt-out", {"what": "voice"})


@pytest.mark.parametrize("say_no", [opt_out, delete_everything])
async def test_who_says_no_while_it_is_analysed_is_not_answered_about(
    world: World, monkeypatch: pytest.MonkeyPatch, say_no: Any
) -> None:
    held = Held(world, monkeypatch)
    message = spoken(world)
    asking = await world.sandbox.context_menu(world.mara, message, texts.MENU_ANALYZE)
    await held.asked.wait()
    await say_no(world, world.mara)
    held.go.set()
    assert text_of(await world.sandbox.answer(asking)) == texts.OPTED_OUT_OF_VOICE
    assert not answers(world, message)
    assert not message.reactions
    assert not await world.service.storage.messages_about(world.mara.id, None)


@pytest.mark.parametrize("step", ["set_standing_consent", "delete_person"])
async def test_who_is_asked_about_before_their_no_is_stored_is_not_answered_about(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    storage, storing, go = world.service.storage, asyncio.Event(), asyncio.Event()
    store = getattr(storage, step)

    async def late(*args: Any, **more: Any) -> Any:
        storing.set()
        await go.wait()
        return await store(*args, **more)

    monkeypatch.setattr(storage, step, late)
    say_no = opt_out if step == "set_standing_consent" else delete_everything
    saying = asyncio.create_task(say_no(world, world.mara))
    await storing.wait()
    message = spoken(world)
    asking = await world.sandbox.context_menu(world.mara, message, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(asking)) == texts.OPTED_OUT_OF_VOICE
    assert not answers(world, message)
    assert not message.reactions
    go.set()
    await saying


async def test_after_a_no_not_even_the_rest_of_a_message_is_analysed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = world.sandbox.direct_message(world.mara, files=[("one.wav", wav()), ("two.wav", wav())])
    question = await reply_to(world, message)
    held = Held(world, monkeypatch)
    await state(world, world.mara, question)
    await held.asked.wait()
    await opt_out(world, world.mara)
    held.go.set()
    await world.sandbox.wait_for(lambda: any(m.content == texts.OPTED_OUT_OF_VOICE for m in replies(world, message)))
    assert world.service.backend.counters()["batches"] == 1


async def test_who_opts_out_while_a_private_answer_is_drawn_is_not_answered_about(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = Answer.content

    async def late(answer: Answer, words: Texts) -> dict[str, Any]:
        world.service.app.withdrawals.note(world.mara.id)
        return await content(answer, words)

    monkeypatch.setattr(Answer, "content", late)
    file = world.sandbox.file(world.sandbox.text, "voice.wav", wav())
    await state(world, world.mara, await world.ask(world.mara, "analyze", {"file": file}))

    def said(what: str) -> bool:
        return any(what in text_of(m) for m in world.sandbox.messages(world.sandbox.text))

    await world.sandbox.wait_for(lambda: said(texts.OPTED_OUT_OF_VOICE) or said(texts.ANALYSIS_TITLE))
    assert not said(texts.ANALYSIS_TITLE)


async def test_a_no_after_a_yes_counts_although_discord_is_slow_to_take_the_yes(world: World) -> None:
    message = spoken(world)
    await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    question = await reply_to(world, message)
    taken = asyncio.Event()
    slow = world.sandbox.faults.rest(0, path=CALLBACKS, held=taken)
    allow = BUTTONS.format("allow", message.id, world.mara.id)
    allowing = asyncio.create_task(world.sandbox.press(world.mara, question, allow))
    await world.sandbox.wait_for(lambda: slow.hits)
    await opt_out(world, world.mara)
    taken.set()
    await allowing

    def refused() -> bool:
        return any(text_of(m) == texts.AUTHOR_OPTED_OUT for m in world.sandbox.messages(world.sandbox.text))

    await world.sandbox.wait_for(lambda: answers(world, message) or refused())
    assert not answers(world, message)
    assert not message.reactions


async def test_an_authors_no_counts_although_discord_does_not_take_it(world: World) -> None:
    message = spoken(world)
    await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    question = await reply_to(world, message)
    refused = world.sandbox.faults.rest(404, path=CALLBACKS)
    await world.sandbox.press(world.mara, question, BUTTONS.format("deny", message.id, world.mara.id))
    await world.sandbox.wait_for(lambda: refused.hits)
    asking = await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(asking)) == texts.DECLINED_BEFORE


async def test_who_deletes_everything_while_discord_takes_the_answer_finds_it_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, note = world.service.app, world.service.app.own.note

    async def late(message: discord.Message, kind: MessageKind, **about: Any) -> None:
        if kind is MessageKind.ANSWER:
            await app.deletions.person(world.mara.id, None, 1)
        await note(message, kind, **about)

    monkeypatch.setattr(app.own, "note", late)
    message = spoken(world)
    asking = await world.sandbox.context_menu(world.mara, message, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(asking)) == texts.OPTED_OUT_OF_VOICE
    assert not answers(world, message)
    assert not message.reactions
    assert not await app.storage.messages_about(world.mara.id, None)


async def test_a_forward_is_no_way_round_somebodys_opt_out(world: World) -> None:
    await opt_out(world, world.mara)
    forward = world.sandbox.forward(world.theo, spoken(world), world.sandbox.text)
    asking = await world.sandbox.context_menu(world.theo, forward, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(asking)) == texts.AUTHOR_OPTED_OUT
    private = world.sandbox.forward(world.theo, spoken(world), world.sandbox.people.direct_messages(world.theo))

    def said() -> bool:
        place = world.sandbox.people.direct_messages(world.theo)
        told = (m for m in world.sandbox.messages(place) if m.reply_to_id == private.id)
        return any(text_of(m) == texts.AUTHOR_OPTED_OUT for m in told)

    await world.sandbox.wait_for(said)
    hers = world.sandbox.forward(world.mara, spoken(world), world.sandbox.text)
    asking = await world.sandbox.context_menu(world.mara, hers, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(asking)) == texts.OPTED_OUT_OF_VOICE


@pytest.mark.parametrize("say_no", [opt_out, delete_everything])
async def test_a_statement_about_a_forward_is_no_way_round_an_opt_out_that_came_before_it(
    world: World, say_no: Any
) -> None:
    forward = world.sandbox.forward(world.theo, spoken(world), world.sandbox.text)
    asking = await world.sandbox.context_menu(world.theo, forward, texts.MENU_ANALYZE)
    question = await world.sandbox.answer(asking)
    assert text_of(question) == texts.WHOSE_VOICE
    await say_no(world, world.mara)
    yes = next(custom_id for custom_id in question.custom_ids() if ":yes:" in custom_id)
    await world.sandbox.press(world.theo, question, yes)

    def said() -> bool:
        private = (m for m in world.sandbox.messages(world.sandbox.text) if m.visible_to == world.theo.id)
        return any(text_of(m) == texts.AUTHOR_OPTED_OUT for m in private)

    await world.sandbox.wait_for(said)
    assert not answers(world, forward)


async def test_a_forward_is_no_way_round_somebodys_no(world: World) -> None:
    message = spoken(world)
    await world.sandbox.answer(await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE))
    deny = f"undertone:voice:deny:{message.id}:{world.mara.id}"
    question = next(m for m in world.sandbox.messages(world.sandbox.text) if deny in m.custom_ids())
    await world.press(world.mara, question, deny)
    forward = world.sandbox.forward(world.theo, message, world.sandbox.text)
    asking = await world.sandbox.context_menu(world.theo, forward, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(asking)) == texts.DECLINED_BEFORE


async def test_opting_out_of_sessions_alone_takes_no_answer_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(world, monkeypatch)
    message = spoken(world)
    await world.sandbox.context_menu(world.mara, message, texts.MENU_ANALYZE)
    await held.asked.wait()
    await world.ask(world.mara, "privacy opt-out", {"what": Purpose.LIVE.value})
    held.go.set()
    await world.sandbox.wait_for(lambda: answers(world, message))


def test_a_no_counts_while_it_is_stored_and_for_all_that_was_asked_until_then() -> None:
    withdrawals = Withdrawals()
    with withdrawals.under_way(1):
        asked = withdrawals.number
        assert withdrawals.since(asked, 1)
        assert not withdrawals.since(asked, 2)
    assert withdrawals.since(asked, 1)
    assert not withdrawals.since(withdrawals.number, 1)


def test_what_was_forgotten_counts_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.withdrawals.MAX_PEOPLE", 2)
    withdrawals = Withdrawals()
    begun = withdrawals.number
    assert not withdrawals.since(begun, 1)
    for user_id in (1, 2, 3):
        withdrawals.note(user_id)
    assert all(withdrawals.since(begun, user_id) for user_id in (1, 2, 3, 99))
    assert not withdrawals.since(withdrawals.number, 1)

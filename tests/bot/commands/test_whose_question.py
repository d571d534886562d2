"""Questions about recordings: several that wait for one answer, and an answer that is pressed twice."""

from __future__ import annotations

import asyncio

import aiohttp
import discord
import pytest

from bot.commands.privacy import DELETE_ID
from bot.texts import english as texts
from sandbox import Message, User
from ser_engine.refusals import refusal
from storage.errors import StorageUnavailable
from tests.bot.commands.test_analyze import BUTTONS, button, reply_to, seen_by, spoken, state
from tests.fakes.world import World, text_of, wav

pytestmark = pytest.mark.integration


async def test_a_file_that_is_refused_does_not_cost_the_others_their_answer(world: World) -> None:
    for name, content in (("empty.wav", b""), ("voice.wav", wav())):
        file = world.sandbox.file(world.sandbox.text, name, content)
        question = await world.ask(world.mara, "analyze", {"file": file})
    await state(world, world.mara, question)
    await seen_by(world, world.mara)
    assert str(refusal("empty_file")) in {text_of(m).strip() for m in world.sandbox.messages(world.sandbox.text)}


async def test_a_statement_that_is_pressed_twice_stands(world: World) -> None:
    file = world.sandbox.file(world.sandbox.text, "voice.wav", wav())
    question = await world.ask(world.mara, "analyze", {"file": file})
    yes = button(question, "yes")
    await asyncio.gather(*(world.sandbox.press(world.mara, question, yes) for _ in range(2)))
    await seen_by(world, world.mara)
    assert question.content == texts.STATED


async def test_an_authors_answer_that_is_pressed_twice_stands(world: World) -> None:
    message = spoken(world)
    await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    question = await reply_to(world, message)
    allow = BUTTONS.format("allow", message.id, world.mara.id)
    await asyncio.gather(*(world.sandbox.press(world.mara, question, allow) for _ in range(2)))
    await world.sandbox.wait_for(lambda: message.reactions)
    assert question.content == texts.AGREED


async def test_an_author_whose_question_was_deleted_can_be_asked_again(world: World) -> None:
    message = spoken(world)
    await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    world.sandbox.state.delete_message(await reply_to(world, message))  # as a moderator does
    again = await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(again)) == texts.ASKED_AUTHOR
    await reply_to(world, message)


async def test_who_asked_and_has_everything_deleted_is_named_by_no_question(world: World) -> None:
    message = spoken(world)
    await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    question = await reply_to(world, message)
    assert f"<@{world.theo.id}>" in question.content
    await world.press(world.theo, await world.ask(world.theo, "privacy delete"), DELETE_ID)
    assert question not in world.messages()
    await world.sandbox.context_menu(world.owner, message, texts.MENU_ANALYZE)
    await reply_to(world, message)


async def test_a_deletion_is_told_although_there_is_no_way_to_discord_for_the_question(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut(_: object) -> None:
        raise aiohttp.ServerDisconnectedError

    message = spoken(world)
    await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    await reply_to(world, message)
    confirming = await world.ask(world.theo, "privacy delete")
    monkeypatch.setattr(discord.Message, "delete", cut)
    assert text_of(await world.press(world.theo, confirming, DELETE_ID)) == texts.NOTHING_TO_DELETE


async def make_gone(world: World, gone: str, message: Message, asker: User, deleting: Message) -> None:
    """The message is deleted, or the data of who asked, by the button of the message `deleting`."""
    if gone == "message":
        world.sandbox.state.delete_message(message)
        await world.ask(world.owner, "about")  # the bot was told of it before
    else:
        await world.press(asker, deleting, DELETE_ID)


@pytest.mark.parametrize("gone", ["asker's data", "message"])
async def test_a_question_that_is_being_posted_is_taken_back_too(world: World, gone: str) -> None:
    message, posted = spoken(world), asyncio.Event()
    question = await world.ask(world.theo, "privacy delete")
    slow = world.sandbox.faults.rest(0, method="POST", path=r"^/channels/\d+/messages$", held=posted)
    await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    await world.sandbox.wait_for(lambda: slow.hits)
    asked = await reply_to(world, message)
    await make_gone(world, gone, message, world.theo, question)
    posted.set()
    await world.sandbox.wait_for(lambda: asked not in world.messages(), 5)


@pytest.mark.parametrize("gone", ["asker's data", "message"])
async def test_a_question_whose_voice_it_is_that_is_being_posted_is_taken_back_too(world: World, gone: str) -> None:
    posted, asked_before = asyncio.Event(), await world.ask(world.mara, "privacy delete")
    slow = world.sandbox.faults.rest(0, method="POST", path=r"^/channels/\d+/messages$", held=posted)
    message = world.sandbox.send_message(
        world.mara, world.sandbox.text, f"<@{world.sandbox.bot.id}>", files=[("note.wav", wav())]
    )
    await world.sandbox.wait_for(lambda: slow.hits)
    asked = await reply_to(world, message)
    assert asked.content == texts.WHOSE_VOICE
    await make_gone(world, gone, message, world.mara, asked_before)
    posted.set()
    await world.sandbox.wait_for(lambda: asked not in world.messages(), 5)


async def test_below_a_message_it_is_said_that_the_database_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In which language is in the database, too."""

    async def away(*_: object) -> None:
        raise StorageUnavailable("away")

    monkeypatch.setattr(world.service.storage, "server", away)
    message = world.sandbox.send_message(
        world.mara, world.sandbox.text, f"<@{world.sandbox.bot.id}>", files=[("note.wav", wav())]
    )
    assert (await reply_to(world, message)).content == texts.STORAGE_AWAY

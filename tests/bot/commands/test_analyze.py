"""Files and voice messages: whose they are decides who has to agree."""

from __future__ import annotations

import pytest

from bot.texts import english as texts
from sandbox import Message
from ser_engine.errors import EngineError
from ser_engine.refusals import refusal
from storage.records import Decision
from tests.fakes.world import World, text_of, wav

pytestmark = pytest.mark.integration

BUTTONS = "undertone:voice:{}:{}:{}"


def posted(world: World, *, content: str = "", name: str = "note.wav") -> Message:
    return world.sandbox.send_message(world.mara, world.sandbox.text, content, files=[(name, wav())])


async def reply_to(world: World, message: Message) -> Message:
    """The bot's newest reply to a message, once it is there."""
    channel = world.sandbox.state.channels[message.channel_id]

    def found() -> Message | None:
        replies = [m for m in world.sandbox.messages(channel) if m.reply_to_id == message.id]
        return replies[-1] if replies else None

    return await world.sandbox.wait_for(found)


async def test_analyze_answers_with_the_breakdown_for_the_asking_person(world: World) -> None:
    file = world.sandbox.file(world.sandbox.text, "voice.wav", wav())
    answer = await world.ask(world.mara, "analyze", {"file": file})
    assert answer.visible_to == world.mara.id
    assert answer.embeds[0]["title"] == texts.ANALYSIS_TITLE
    assert "sounds **" in text_of(answer)
    assert all(word in text_of(answer) for word in ("angry", "happy", "sad", "disgusted", "neutral"))


async def test_a_long_file_is_told_over_time(world: World) -> None:
    file = world.sandbox.file(world.sandbox.text, "voice.wav", wav(7.5))
    answer = await world.ask(world.mara, "analyze", {"file": file})
    assert texts.OVER_TIME_TITLE in text_of(answer)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.wav", b"this is no sound at all, only letters", refusal("not_as_named", ending="wav", found="text")),
        ("empty.wav", b"", refusal("empty_file")),
        ("quiet.wav", wav(0.3), refusal("no_speech", seconds=0.8)),
    ],
)
async def test_files_that_cannot_be_analysed_are_answered_in_words(
    world: World, name: str, content: bytes, words: EngineError
) -> None:
    file = world.sandbox.file(world.sandbox.text, name, content)
    assert text_of(await world.ask(world.mara, "analyze", {"file": file})).strip() == str(words)


async def test_ones_own_message_gets_a_reaction_and_a_reply(world: World) -> None:
    message = posted(world)
    await world.sandbox.context_menu(world.mara, message, texts.MENU_ANALYZE)
    reply = await reply_to(world, message)
    assert reply.embeds[0]["title"] == texts.ANALYSIS_TITLE
    assert len(message.reactions) == 1
    assert message.reactions[0].emoji in text_of(reply)


async def test_somebody_elses_message_waits_for_its_author(world: World) -> None:
    message = posted(world)
    interaction = await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(interaction)) == texts.ASKED_AUTHOR
    question = await reply_to(world, message)
    assert f"<@{world.mara.id}>" in question.content
    assert message.reactions == []
    allow = BUTTONS.format("allow", message.id, world.mara.id)
    assert text_of(await world.press(world.theo, question, allow)) == texts.NOT_YOUR_CHOICE
    await world.sandbox.press(world.mara, question, allow)
    await world.sandbox.wait_for(lambda: message.reactions)
    assert question.custom_ids() == []


async def test_a_no_is_a_no(world: World) -> None:
    message = posted(world)
    await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    question = await reply_to(world, message)
    await world.sandbox.press(world.mara, question, BUTTONS.format("deny", message.id, world.mara.id))
    await world.sandbox.wait_for(lambda: question.content == texts.DECLINED)
    assert message.reactions == []


async def test_an_author_who_opted_out_is_not_even_asked(world: World) -> None:
    guild_id = world.sandbox.guild.id
    await world.service.storage.set_standing_consent(guild_id, world.mara.id, Decision.OPT_OUT)
    message = posted(world)
    interaction = await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(interaction)) == texts.AUTHOR_OPTED_OUT
    assert [m for m in world.messages() if m.reply_to_id == message.id] == []


async def test_an_author_who_opted_in_is_not_asked_again(world: World) -> None:
    guild_id = world.sandbox.guild.id
    await world.service.storage.set_standing_consent(guild_id, world.mara.id, Decision.OPT_IN)
    message = posted(world)
    await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    assert (await reply_to(world, message)).embeds


async def test_a_message_without_audio_is_said_to_be_one(world: World) -> None:
    message = world.sandbox.send_message(world.mara, world.sandbox.text, "hello")
    interaction = await world.sandbox.context_menu(world.mara, message, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(interaction)) == texts.NO_AUDIO_IN_MESSAGE


async def test_a_direct_message_is_answered(world: World) -> None:
    message = world.sandbox.direct_message(world.mara, files=[("note.wav", wav())])
    assert (await reply_to(world, message)).embeds[0]["title"] == texts.ANALYSIS_TITLE
    words_only = world.sandbox.direct_message(world.mara, "hello")
    assert (await reply_to(world, words_only)).content == texts.DIRECT_HINT


async def test_a_mention_with_a_file_is_answered_and_other_messages_are_not(world: World) -> None:
    ignored = posted(world)
    message = posted(world, content=f"<@{world.sandbox.bot.id}> how is that?")
    assert (await reply_to(world, message)).embeds[0]["title"] == texts.ANALYSIS_TITLE
    assert ignored.reactions == []
    assert [m for m in world.messages() if m.reply_to_id == ignored.id] == []


async def test_a_broken_file_in_a_direct_message_is_answered_in_words(world: World) -> None:
    message = world.sandbox.direct_message(world.mara, files=[("note.wav", b"not a sound")])
    assert (await reply_to(world, message)).content == str(refusal("not_as_named", ending="wav", found="text"))


async def test_nothing_of_a_voice_message_is_stored(world: World) -> None:
    message = posted(world)
    await world.sandbox.context_menu(world.mara, message, texts.MENU_ANALYZE)
    await reply_to(world, message)
    stored = await world.service.storage.export_person(world.mara.id, None)
    assert not any(stored.values())

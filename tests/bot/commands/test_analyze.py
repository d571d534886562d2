"""Files and voice messages: whose voice it is decides who has to agree."""

from __future__ import annotations

from functools import cache

import pytest

from bot.commands import answers
from bot.texts import english as texts
from bot.turns import USES
from sandbox import Message, User
from sandbox.models import Channel
from sandbox.permissions import Permission
from sandbox.recordings import as_voice_message
from ser_engine.errors import EngineError
from ser_engine.refusals import refusal
from storage.records import Decision, MessageKind, Purpose, VoiceMode
from tests.fakes.clips import CLIPS
from tests.fakes.world import World, text_of, wav

pytestmark = pytest.mark.integration

BUTTONS = "undertone:voice:{}:{}:{}"


@cache
def recorded() -> bytes:
    return as_voice_message(CLIPS / "1030_IEO_ANG_HI.flac")


def spoken(world: World, channel: Channel | None = None, *, by: User | None = None) -> Message:
    """A voice message of Mara's."""
    return world.sandbox.send_voice_message(by or world.mara, channel or world.sandbox.text, recorded())


def posted(world: World, *, content: str = "", name: str = "note.wav") -> Message:
    return world.sandbox.send_message(world.mara, world.sandbox.text, content, files=[(name, wav())])


def replies(world: World, message: Message) -> list[Message]:
    channel = world.sandbox.state.channels[message.channel_id]
    return [m for m in world.sandbox.messages(channel) if m.reply_to_id == message.id]


async def reply_to(world: World, message: Message) -> Message:
    """The bot's newest reply to a message, once it is there."""
    return (await world.sandbox.wait_for(lambda: replies(world, message)))[-1]


async def answer_to(world: World, message: Message) -> Message:
    """The reply that says how it sounds."""
    return await world.sandbox.wait_for(lambda: next((m for m in replies(world, message) if m.embeds), None))


def button(message: Message, answer: str) -> str:
    return next(custom_id for custom_id in message.custom_ids() if f":{answer}:" in custom_id)


async def state(world: World, user: User, question: Message, answer: str = "yes") -> None:
    await world.sandbox.press(user, question, button(question, answer))


async def seen_by(world: World, user: User, title: str = texts.ANALYSIS_TITLE) -> Message:
    """A private answer in the text channel."""

    def found() -> Message | None:
        private = [m for m in world.sandbox.messages(world.sandbox.text) if m.visible_to == user.id and m.embeds]
        return next((m for m in private if m.embeds[0]["title"] == title), None)

    return await world.sandbox.wait_for(found)


async def test_analyze_asks_whose_voice_it_is_once_a_day_and_answers_in_private(world: World) -> None:
    file = world.sandbox.file(world.sandbox.text, "voice.wav", wav())
    question = await world.ask(world.mara, "analyze", {"file": file})
    assert (question.content, question.visible_to) == (texts.WHOSE_VOICE, world.mara.id)
    await state(world, world.mara, question)
    answer = await seen_by(world, world.mara)
    assert "sounds **" in text_of(answer)
    assert all(word in text_of(answer) for word in ("angry", "happy", "sad", "disgusted", "neutral"))
    again = await world.ask(world.mara, "analyze", {"file": world.sandbox.file(world.sandbox.text, "b.wav", wav(7.5))})
    assert texts.OVER_TIME_TITLE in text_of(again)


async def test_who_does_not_state_it_is_not_answered_and_asked_again(world: World) -> None:
    file = world.sandbox.file(world.sandbox.text, "voice.wav", wav())
    question = await world.ask(world.mara, "analyze", {"file": file})
    await state(world, world.mara, question, "no")
    await world.sandbox.wait_for(lambda: question.content == texts.NOT_STATED)
    other = await world.ask(world.mara, "analyze", {"file": file})
    assert other.content == texts.WHOSE_VOICE


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.wav", b"this is no sound at all, only letters", refusal("not_as_named", ending="wav", found="text")),
        ("empty.wav", b"", refusal("empty_file")),
        ("quiet.wav", wav(0.3), refusal("no_speech", seconds=0.8)),
    ],
)
async def test_files_that_cannot_be_analysed_are_refused_in_words(
    world: World, name: str, content: bytes, words: EngineError
) -> None:
    message = world.sandbox.direct_message(world.mara, files=[(name, content)])
    await state(world, world.mara, await reply_to(world, message))
    await world.sandbox.wait_for(lambda: any(m.content == str(words) for m in replies(world, message)))


async def test_ones_own_voice_message_gets_a_reaction_and_a_reply(world: World) -> None:
    message = spoken(world)
    await world.sandbox.context_menu(world.mara, message, texts.MENU_ANALYZE)
    reply = await answer_to(world, message)
    assert reply.embeds[0]["title"] == texts.ANALYSIS_TITLE
    assert len(message.reactions) == 1
    assert message.reactions[0].emoji in text_of(reply)


async def test_ones_own_file_may_be_anybodys_voice(world: World) -> None:
    message = posted(world, name="phone.mov")
    interaction = await world.sandbox.context_menu(world.mara, message, texts.MENU_ANALYZE)
    question = await world.sandbox.answer(interaction)
    assert (question.content, question.visible_to) == (texts.WHOSE_VOICE, world.mara.id)
    assert message.reactions == []
    await state(world, world.mara, question)
    assert (await answer_to(world, message)).embeds
    assert len(message.reactions) == 1


async def test_somebody_elses_message_waits_for_its_author(world: World) -> None:
    message = spoken(world)
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


async def test_a_no_is_a_no_for_that_message_and_that_asker(world: World) -> None:
    message = spoken(world)
    await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    question = await reply_to(world, message)
    await world.sandbox.press(world.mara, question, BUTTONS.format("deny", message.id, world.mara.id))
    await world.sandbox.wait_for(lambda: question.content == texts.DECLINED)
    assert message.reactions == []
    again = await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(again)) == texts.DECLINED_BEFORE
    other = await world.sandbox.context_menu(world.owner, message, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(other)) == texts.ASKED_AUTHOR
    await world.service.gateway.client.close()  # another one takes its place
    await world.service.discord_ready()
    again = await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(again)) == texts.DECLINED_BEFORE


async def test_a_person_has_one_open_question_at_most(world: World) -> None:
    first, second = spoken(world), spoken(world)
    await world.sandbox.context_menu(world.theo, first, texts.MENU_ANALYZE)
    await reply_to(world, first)
    same = await world.sandbox.context_menu(world.owner, first, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(same)) == texts.ASKED_ALREADY
    other = await world.sandbox.context_menu(world.owner, second, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(other)) == texts.AUTHOR_IS_ASKED
    assert len(replies(world, first)) == 1
    assert replies(world, second) == []


@pytest.mark.parametrize("own", [True, False])
async def test_nobody_who_opted_out_is_answered_about_through_their_own_messages(world: World, own: bool) -> None:
    guild_id = world.sandbox.guild.id
    await world.service.storage.set_standing_consent(guild_id, world.mara.id, Decision.OPT_OUT, Purpose.VOICE)
    for message in (spoken(world), posted(world)):
        asker, words = (world.mara, texts.OPTED_OUT_OF_VOICE) if own else (world.theo, texts.AUTHOR_OPTED_OUT)
        interaction = await world.sandbox.context_menu(asker, message, texts.MENU_ANALYZE)
        assert text_of(await world.sandbox.answer(interaction)) == words
        assert replies(world, message) == []


async def test_an_author_who_opted_in_is_not_asked_again_but_only_for_voice_messages(world: World) -> None:
    guild_id = world.sandbox.guild.id
    await world.service.storage.set_standing_consent(guild_id, world.mara.id, Decision.OPT_IN, Purpose.LIVE)
    asked = await world.sandbox.context_menu(world.theo, spoken(world), texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(asked)) == texts.ASKED_AUTHOR
    await world.service.storage.set_standing_consent(guild_id, world.mara.id, Decision.OPT_IN, Purpose.VOICE)
    message = spoken(world)
    await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    assert (await answer_to(world, message)).embeds


async def test_what_was_answered_before_leaving_the_server_counts_no_more(world: World) -> None:
    guild = world.sandbox.guild
    await world.service.storage.set_standing_consent(guild.id, world.mara.id, Decision.OPT_IN, Purpose.VOICE)
    world.sandbox.state.remove_member(guild, world.mara.id)
    world.sandbox.state.add_member(guild, world.mara)
    interaction = await world.sandbox.context_menu(world.theo, spoken(world), texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(interaction)) == texts.ASKED_AUTHOR


async def test_a_message_without_audio_is_said_to_be_one(world: World) -> None:
    message = world.sandbox.send_message(world.mara, world.sandbox.text, "hello")
    interaction = await world.sandbox.context_menu(world.mara, message, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(interaction)) == texts.NO_AUDIO_IN_MESSAGE


async def test_a_direct_message_is_answered(world: World) -> None:
    message = spoken(world, world.sandbox.people.direct_messages(world.mara))
    assert (await answer_to(world, message)).embeds[0]["title"] == texts.ANALYSIS_TITLE
    words_only = world.sandbox.direct_message(world.mara, "hello")
    assert (await reply_to(world, words_only)).content == texts.DIRECT_HINT


@pytest.mark.parametrize("name", ["q13_iphone_video.mov", "voice.caf", "obs.mkv", "no_ending", "photo.png"])
async def test_any_file_in_a_direct_message_is_answered_by_its_content(world: World, name: str) -> None:
    message = world.sandbox.direct_message(world.mara, files=[(name, wav())])
    await state(world, world.mara, await reply_to(world, message))
    assert (await answer_to(world, message)).embeds


async def test_every_recording_of_a_message_is_answered(world: World) -> None:
    files = [(f"take_{number}.wav", wav()) for number in range(9)]
    message = world.sandbox.direct_message(world.mara, files=[*files, ("notes.wav", b"only letters")])
    await state(world, world.mara, await reply_to(world, message))
    said = text_of(await answer_to(world, message))
    assert said.count("sounds **") == 9
    assert str(refusal("not_as_named", ending="wav", found="text")) in said


async def test_a_forward_is_analysed_on_the_askers_word(world: World) -> None:
    original = spoken(world)
    forward = world.sandbox.forward(world.theo, original, world.sandbox.text)
    interaction = await world.sandbox.context_menu(world.owner, forward, texts.MENU_ANALYZE)
    question = await world.sandbox.answer(interaction)
    assert question.content == texts.WHOSE_VOICE
    await state(world, world.owner, question)
    assert (await answer_to(world, forward)).embeds


async def test_a_forward_in_private_is_analysed_on_the_askers_word(world: World) -> None:
    forward = world.sandbox.forward(world.theo, spoken(world), world.sandbox.people.direct_messages(world.theo))
    await state(world, world.theo, await reply_to(world, forward))
    assert (await answer_to(world, forward)).embeds


async def test_a_voice_message_that_replies_to_the_bot_is_answered(world: World) -> None:
    hint = await reply_to(world, world.sandbox.direct_message(world.mara, "hello"))
    assert hint.author is world.sandbox.bot
    first = spoken(world)
    await world.sandbox.context_menu(world.mara, first, texts.MENU_ANALYZE)
    answer = await answer_to(world, first)
    second = world.sandbox.send_voice_message(world.mara, world.sandbox.text, recorded(), reply_to=answer)
    assert (await answer_to(world, second)).embeds


async def test_a_mention_with_a_file_is_answered_and_other_messages_are_not(world: World) -> None:
    ignored = posted(world)
    message = posted(world, content=f"<@{world.sandbox.bot.id}> how is that?")
    question = await reply_to(world, message)
    await state(world, world.mara, question)
    assert (await answer_to(world, message)).embeds[0]["title"] == texts.ANALYSIS_TITLE
    await world.sandbox.wait_for(lambda: question not in replies(world, message))
    assert ignored.reactions == []
    assert replies(world, ignored) == []


async def test_only_three_in_a_minute_for_each_person(world: World) -> None:
    for _ in range(USES):
        await answer_to(world, spoken(world, world.sandbox.people.direct_messages(world.mara)))
    refused = spoken(world, world.sandbox.people.direct_messages(world.mara))
    assert "try again in" in (await reply_to(world, refused)).content
    other = spoken(world, world.sandbox.people.direct_messages(world.theo), by=world.theo)
    assert (await answer_to(world, other)).embeds


async def test_a_question_about_a_deleted_message_is_taken_away(world: World) -> None:
    message = spoken(world)
    await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    await reply_to(world, message)
    world.sandbox.people.delete(world.mara, message)
    await world.sandbox.wait_for(lambda: replies(world, message) == [])


async def test_a_message_that_is_gone_ends_it_quietly(world: World, caplog: pytest.LogCaptureFixture) -> None:
    first = spoken(world, world.sandbox.people.direct_messages(world.mara))
    world.sandbox.people.delete(world.mara, first)
    second = spoken(world, world.sandbox.people.direct_messages(world.mara))
    await answer_to(world, second)
    assert replies(world, first) == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_channel_that_is_switched_off_is_not_answered_in(world: World) -> None:
    await world.attested(voice_modes={world.sandbox.text.id: VoiceMode.OFF})
    interaction = await world.sandbox.context_menu(world.mara, spoken(world), texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(interaction)) == texts.SWITCHED_OFF_HERE


async def test_the_words_of_an_answer_come_where_the_bot_may_attach_no_picture(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MAX_STRETCHES", 0)
    for allowed in (True, False):
        if not allowed:
            world.sandbox.deny(world.sandbox.bot, world.sandbox.text, Permission.ATTACH_FILES)
        message = spoken(world)
        interaction = await world.sandbox.context_menu(world.mara, message, texts.MENU_ANALYZE)
        assert text_of(await world.sandbox.answer(interaction)) == texts.DONE_BELOW
        (reply,) = replies(world, message)
        assert texts.ANALYSIS_TITLE in text_of(reply)
        assert bool(reply.attachments) is allowed


async def test_deleting_ones_data_takes_back_the_answer_and_the_reaction(world: World) -> None:
    message = spoken(world)
    interaction = await world.sandbox.context_menu(world.mara, message, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(interaction)) == texts.DONE_BELOW
    assert (len(replies(world, message)), len(message.reactions)) == (1, 1)
    await world.press(world.mara, await world.ask(world.mara, "privacy delete"), "undertone:delete")
    assert (replies(world, message), message.reactions) == ([], [])
    assert message in world.sandbox.messages(world.sandbox.text), "it is hers"


async def test_nothing_of_a_voice_message_is_stored(world: World) -> None:
    message = spoken(world)
    interaction = await world.sandbox.context_menu(world.mara, message, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(interaction)) == texts.DONE_BELOW  # by then the reply is noted, too
    stored = await world.service.storage.export_person(world.mara.id, None)
    messages = stored.pop("messages_about_you")  # where they are, so that deletion reaches them
    assert {message["kind"] for message in messages} == {MessageKind.ANSWER, MessageKind.REACTION}
    assert not any(stored.values())

"""A voice message (Ogg Opus with its flag) gets a reaction and a reply."""

from __future__ import annotations

import pytest

from bot.pictures import palette
from bot.texts import english as texts
from sandbox import Message
from sandbox.models import MessageFlag
from sandbox.recordings import as_voice_message
from ser_engine.models import find_model
from ser_engine.recognizer import Recognizer
from ser_engine.segmenter import segment_pcm
from ser_engine.summary import summarise
from tests.e2e.stage import Stage
from tests.fakes.clips import CLIPS, clip

pytestmark = pytest.mark.e2e

ANGRY = CLIPS / "1030_IEO_ANG_HI.flac"


async def test_ones_own_voice_message_is_answered_where_it_stands(play: Stage) -> None:
    discord = play.discord
    ines = discord.add_person("Ines")
    message = discord.send_voice_message(ines, discord.text, as_voice_message(ANGRY))
    assert message.flags & MessageFlag.VOICE_MESSAGE
    await discord.context_menu(ines, message, texts.MENU_ANALYZE)

    def reply() -> Message | None:
        found = (m for m in discord.messages(discord.text) if m.author is discord.bot and m.embeds)
        return next((m for m in found if m.reply_to_id == message.id), None)

    answer = await discord.wait_for(reply)
    await discord.wait_for(lambda: message.reactions)
    windows = segment_pcm(clip(ANGRY))
    predictions = Recognizer.load(find_model(play.service.settings.model)).predict(windows, {})
    expected = summarise(list(zip(windows, predictions, strict=True)))
    tone = palette.tone(expected.emotion, unclear=expected.unclear)
    assert tone.emoji in str(answer.embeds[0])
    assert tone.word in str(answer.embeds[0])
    assert [r.emoji for r in message.reactions] == [tone.emoji]


async def test_somebody_elses_voice_message_waits_for_its_author(play: Stage) -> None:
    discord = play.discord
    ines, theo = discord.add_person("Ines"), discord.add_person("Theo")
    message = discord.send_voice_message(ines, discord.text, as_voice_message(ANGRY))
    interaction = await discord.context_menu(theo, message, texts.MENU_ANALYZE)
    assert texts.ASKED_AUTHOR in (await discord.answer(interaction)).content
    assert not message.reactions
    deny = f"undertone:voice:deny:{message.id}:{ines.id}"
    question = await discord.wait_for(
        lambda: next((m for m in discord.messages(discord.text) if deny in m.custom_ids()), None)
    )
    await discord.press(ines, question, deny)
    await discord.wait_for(lambda: any(texts.DECLINED in m.content for m in discord.messages(discord.text)))
    assert not message.reactions


async def test_a_direct_message_is_answered(play: Stage) -> None:
    discord = play.discord
    ines = discord.add_person("Ines")
    channel = discord.people.direct_messages(ines)
    message = discord.send_voice_message(ines, channel, as_voice_message(ANGRY))
    await discord.wait_for(lambda: any(m.author is discord.bot and m.embeds for m in discord.messages(channel)))
    assert message.reactions

"""Voice messages that nobody asks about, where the server chose so, for those who opted in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.texts import english as texts
from sandbox.gateway import Intent
from sandbox.recordings import as_voice_message
from ser_engine.refusals import refusal
from storage.errors import StorageUnavailable
from storage.records import Decision, Purpose, ServerSettings, VoiceMode
from tests.bot.commands.test_analyze import answer_to, recorded, replies, spoken
from tests.fakes.world import World, standing, wav

pytestmark = pytest.mark.integration


@pytest.fixture
async def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A bot whose owner switched *Message Content Intent* on."""
    async with standing(tmp_path, monkeypatch, privileged=Intent.MESSAGE_CONTENT) as made:
        yield made


async def opted_in(world: World, purpose: Purpose) -> None:
    await world.service.storage.set_standing_consent(world.sandbox.guild.id, world.mara.id, Decision.OPT_IN, purpose)


async def test_the_intent_is_asked_for_when_the_application_may_have_it(reader: World) -> None:
    assert reader.service.gateway.client.intents.message_content


async def test_the_intent_is_not_asked_for_when_the_application_may_not_have_it(world: World) -> None:
    assert not world.service.gateway.client.intents.message_content


async def test_a_voice_message_of_who_opted_in_is_answered(reader: World) -> None:
    await reader.attested(voice_modes={reader.sandbox.text.id: VoiceMode.REPLY})
    await opted_in(reader, Purpose.VOICE)
    message = spoken(reader)
    assert (await answer_to(reader, message)).embeds[0]["title"] == texts.ANALYSIS_TITLE
    assert len(message.reactions) == 1


async def test_an_emoji_alone_where_the_server_wants_no_more(reader: World) -> None:
    await reader.attested(voice_modes={reader.sandbox.text.id: VoiceMode.REACT})
    await opted_in(reader, Purpose.VOICE)
    message = spoken(reader)
    await reader.sandbox.wait_for(lambda: message.reactions)
    assert replies(reader, message) == []


async def test_nobody_elses_and_nothing_elsewhere(reader: World) -> None:
    await reader.attested(voice_modes={reader.sandbox.text.id: VoiceMode.REACT})
    await opted_in(reader, Purpose.LIVE)  # of sessions, which is another answer
    unasked = spoken(reader)
    elsewhere = spoken(reader, reader.sandbox.state.add_channel(reader.sandbox.guild, "elsewhere"))
    theirs = reader.sandbox.send_voice_message(reader.theo, reader.sandbox.text, recorded())
    last = spoken(reader, reader.sandbox.people.direct_messages(reader.mara))
    await answer_to(reader, last)
    assert [message.reactions for message in (unasked, elsewhere, theirs)] == [[], [], []]


@pytest.mark.parametrize("mode", [VoiceMode.REACT, VoiceMode.REPLY])
async def test_what_cannot_be_analysed_is_told_only_where_answers_are_wanted(
    reader: World, tmp_path: Path, mode: VoiceMode
) -> None:
    await reader.attested(voice_modes={reader.sandbox.text.id: mode})
    await opted_in(reader, Purpose.VOICE)
    quiet = tmp_path / "quiet.wav"
    quiet.write_bytes(wav(0.3))
    message = reader.sandbox.send_voice_message(reader.mara, reader.sandbox.text, as_voice_message(quiet))
    next_one = spoken(reader)  # a person's recordings take their turns
    await reader.sandbox.wait_for(lambda: next_one.reactions)
    await answer_to(reader, spoken(reader, reader.sandbox.people.direct_messages(reader.mara)))
    if mode is VoiceMode.REPLY:
        await reader.sandbox.wait_for(lambda: replies(reader, message))
    said = [] if mode is VoiceMode.REACT else [str(refusal("no_speech", seconds=0.8))]
    assert [reply.content for reply in replies(reader, message)] == said


async def test_nobody_is_told_that_the_database_is_away_who_asked_nothing(
    reader: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, asked = reader.service.storage.server, asyncio.Event()

    async def away_once(guild_id: int) -> ServerSettings:
        if asked.is_set():
            return await server(guild_id)
        asked.set()
        raise StorageUnavailable("away")

    monkeypatch.setattr(reader.service.storage, "server", away_once)
    message = spoken(reader)
    await asked.wait()
    await answer_to(reader, spoken(reader, reader.sandbox.people.direct_messages(reader.mara)))
    assert replies(reader, message) == []

"""The log of a whole conversation, at its most talkative, tells nobody who was there."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from bot.commands.panel_view import EXCLUDE_ID, INCLUDE_ID
from bot.texts import english as texts
from sandbox.permissions import Permission
from sandbox.recordings import as_voice_message
from tests.e2e.stage import Stage
from tests.fakes.clips import CLIPS, clip_paths
from tests.fakes.log import written

pytestmark = pytest.mark.e2e

NOTE = "Zacharias forgot the milk"


PATIENCE_S = 60.0


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    with written("debug", json=True) as stream:
        yield stream


async def test_a_whole_conversation_leaves_no_id_and_no_name_in_the_log(log: io.StringIO, play: Stage) -> None:
    discord = play.discord
    mara, theo = discord.add_person("Maravilla"), discord.add_person("Theodosius")
    for user in (play.host, theo):
        await play.seat(user)
    voice = await play.seat(mara)
    panel = await play.listen()
    session_id = play.session_id
    await discord.answer(await discord.press(mara, panel, INCLUDE_ID), PATIENCE_S)
    await discord.voice.settled(discord.voice_channel.id)
    await voice.say(clip_paths()[0])
    await play.until_windows(session_id, 1)
    await discord.answer(await discord.press(theo, panel, EXCLUDE_ID), PATIENCE_S)
    for user, command, options in (
        (mara, "mark", {"note": NOTE}),
        (theo, "privacy opt-out", None),
        (theo, "listen stop", None),  # refused
        (play.host, "listen stop", None),
        (mara, "report last", None),
        (mara, "privacy export", None),
    ):
        await discord.answer(await discord.command(user, discord.text, command, options), PATIENCE_S)
    message = discord.send_voice_message(mara, discord.text, as_voice_message(CLIPS / "1030_IEO_ANG_HI.flac"))
    await discord.answer(await discord.context_menu(mara, message, texts.MENU_ANALYZE), PATIENCE_S)
    async with play.http.get(f"/sessions/{session_id}") as response:
        assert "Maravilla" in await response.text()
    discord.deny(discord.bot, discord.voice_channel, Permission.VIEW_CHANNEL)
    question = await discord.answer(await discord.command(mara, discord.text, "privacy delete"), PATIENCE_S)
    await discord.answer(await discord.press(mara, question, "undertone:delete"), PATIENCE_S)
    await play.service.stop()

    text = log.getvalue()
    assert all(event in text for event in ("session_opened", "command_refused", "message_analysed", "service_stopped"))
    people = (play.host, mara, theo, discord.bot)
    places = (discord.text, discord.voice_channel)
    messages = [m for place in places for m in discord.messages(place)]
    ids = {one.id for one in people} | {one.id for one in messages} | {discord.guild.id, *(one.id for one in places)}
    assert not [one for one in ids if str(one) in text]
    for word in (*(user.name for user in (play.host, mara, theo)), NOTE, discord.guild.name, discord.token):
        assert word not in text, word

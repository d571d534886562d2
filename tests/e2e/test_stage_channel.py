"""A stage, where whoever joins only listens: those who speak are heard, and no chime counts that nobody hears."""

from __future__ import annotations

import pytest

from bot.commands.panel_view import INCLUDE_ID, STOP_ID
from bot.texts import english as texts
from sandbox.models import ChannelType
from sandbox.permissions import Permission
from tests.e2e.stage import Stage
from tests.fakes.clips import clip_paths
from tests.fakes.world import text_of

pytestmark = pytest.mark.e2e

PATIENCE_S = 60.0


def on_a_stage(play: Stage) -> None:
    """The call is on a stage of the server, not in its voice channel."""
    discord = play.discord
    discord.voice_channel = discord.state.add_channel(discord.guild, "Open mic", ChannelType.STAGE)


async def test_who_speaks_on_a_stage_is_heard_and_the_panel_is_the_notice(play: Stage) -> None:
    discord = play.discord
    on_a_stage(play)
    mara = discord.add_person("Mara")
    await play.seat(play.host)
    voice = await play.seat(mara)
    panel = await play.listen()
    assert panel.channel_id == discord.voice_channel.id, "the stage has a chat of its own"
    session = play.service.sessions.of(discord.guild.id)
    assert session is not None
    await discord.answer(await discord.press(mara, panel, INCLUDE_ID), PATIENCE_S)
    discord.suppress(mara, suppressed=False)  # a moderator lets her speak
    await discord.voice.settled(discord.voice_channel.id)
    await voice.say(clip_paths()[0])
    await play.until_windows(session.record.id, 1, PATIENCE_S)
    assert session._display.notices._shown == {"panel"}, "nobody hears the chime, and a stage has no status line"
    seat = discord.state.voice_state(discord.guild.id, discord.bot.id)
    assert seat is not None
    assert seat.suppress
    await discord.press(play.host, panel, STOP_ID)
    await discord.wait_for(lambda: play.service.sessions.of(discord.guild.id) is None, PATIENCE_S)
    assert any(texts.SUMMARY_TITLE in text_of(message) for message in discord.messages(discord.voice_channel))


async def test_on_a_stage_without_any_notice_nothing_starts(play: Stage) -> None:
    discord = play.discord
    on_a_stage(play)
    await play.seat(play.host)
    for place in (discord.voice_channel, discord.text):
        discord.deny(discord.bot, place, Permission.SEND_MESSAGES)
    interaction = await discord.command(play.host, discord.text, "listen start")
    question = await discord.answer(interaction, PATIENCE_S)
    (attest,) = question.custom_ids()
    answer = await discord.answer(await discord.press(play.host, question, attest), PATIENCE_S)
    assert texts.NO_NOTICE in text_of(answer)
    assert play.service.sessions.of(discord.guild.id) is None

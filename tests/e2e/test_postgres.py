"""A conversation is kept in PostgreSQL as it is in SQLite, and a start after it finds it there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bot.commands.panel_view import INCLUDE_ID, STOP_ID
from tests.e2e.stage import stage
from tests.fakes.clips import clip_paths
from tests.fakes.postgres import new_database

pytestmark = pytest.mark.e2e


async def test_a_conversation_is_kept_in_postgresql(tmp_path: Path) -> None:
    address = await asyncio.to_thread(new_database)
    async with stage(tmp_path / "data", address) as play:
        discord = play.discord
        await play.seat(play.host)
        ada = discord.add_person("Ada")
        voice = await play.seat(ada)
        panel = await play.listen()
        session_id = play.session_id
        await discord.press(ada, panel, INCLUDE_ID)
        await discord.voice.settled(discord.voice_channel.id)
        await voice.say(clip_paths()[0])
        await play.until_windows(session_id, 1)
        await discord.press(play.host, play.panel() or panel, STOP_ID)
        await discord.wait_for(lambda: play.service.sessions.of(discord.guild.id) is None)
        before = await play.report(session_id)
    assert not list((tmp_path / "data").glob("*.db"))

    async with stage(tmp_path / "data", address) as play:
        report = await play.report(session_id)
    assert report["state"] == "ended"
    assert [person["pseudonym"] for person in report["participants"]] == ["Speaker 1"]
    assert report["windows"] == before["windows"]
    (window, *_) = report["windows"]
    assert sum(window["probabilities"].values()) == pytest.approx(1.0, abs=0.001)

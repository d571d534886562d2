"""Signals to the whole process group, as systemd, containers and terminals send them: sessions end with a summary.

A terminal that is closed sends SIGHUP.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bot.commands.attest import ATTEST_ID
from bot.commands.panel_view import INCLUDE_ID
from bot.texts import english as texts
from sandbox import Message, Sandbox
from sandbox.permissions import EVERYONE, Permission
from tests.e2e.program import reaching, undertone
from tests.fakes.clips import clip_paths
from tests.fakes.waiting import kept_waiting_s, until
from tests.fakes.world import text_of

pytestmark = pytest.mark.e2e

WITHIN_S = 10.0


@pytest.fixture(autouse=True)
def a_terminal() -> Iterator[None]:
    """Under `nohup` these tests, and so the program, would ignore SIGHUP."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=str)
async def test_a_signal_to_the_group_ends_the_session_with_its_summary_in_time(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with Sandbox(rate_limits=False) as discord:
        role = discord.state.add_role(discord.guild, "Host", permissions=int(EVERYONE | Permission.MANAGE_GUILD))
        host = discord.add_person("Hanna", role_ids=(role.id,))
        bot = undertone("run", folder=tmp_path, before=(), **reaching(discord, tmp_path), UNDERTONE_LOG_LEVEL="info")
        async with bot as program, discord.speaker(host) as voice:
            await discord.wait_for(lambda: discord.gateway.connected, timeout_s=60.0)
            await voice.join(discord.voice_channel.id)
            question = await discord.answer(await discord.command(host, discord.text, "listen start"))
            await discord.press(host, question, ATTEST_ID)
            panel = await discord.wait_for(lambda: with_button(discord, INCLUDE_ID))
            await discord.press(host, panel, INCLUDE_ID)
            await discord.voice.settled(discord.voice_channel.id)
            await voice.say(clip_paths()[0])
            await discord.wait_for(lambda: stored(tmp_path))
            talking = asyncio.create_task(voice.say(clip_paths()[1]), name="talks on")
            spoken = voice.counters["spoken"]
            await discord.wait_for(lambda: voice.counters["spoken"] >= spoken + 100)
            kept_s = [kept_waiting_s(str(program.pid))]
            os.killpg(program.pid, number)

            def ended() -> bool:
                kept_s.append(kept_waiting_s(str(program.pid)))
                return program.process.returncode is not None

            took_s = await until(ended, 120.0)
            code = await program.ended()
            await asyncio.gather(talking, return_exceptions=True)
        log = program.output
        assert code == 0, log
        assert took_s < WITHIN_S + max(kept_s) - kept_s[0]
        assert "worker_replaced" not in log
        assert "Traceback" not in log
        assert texts.END_REASONS["shutdown"] in text_of(panel)
        summary = next(m for m in discord.messages(discord.voice_channel) if texts.SUMMARY_TITLE in text_of(m))
        assert f"<@{host.id}> spoke" in text_of(summary)
    with closing(sqlite3.connect(tmp_path / "data" / "undertone.db")) as database:
        assert database.execute("SELECT state, end_reason FROM sessions").fetchall() == [("ended", "shutdown")]
    assert stored(tmp_path) >= 2, log  # also what was being said when the signal came


def stored(folder: Path) -> int:
    """How many windows the database holds."""
    with closing(sqlite3.connect(folder / "data" / "undertone.db")) as database:
        (windows,) = database.execute("SELECT count(*) FROM windows").fetchone()
    return int(windows)


def with_button(discord: Sandbox, custom_id: str) -> Message | None:
    messages = discord.messages(discord.voice_channel)
    return next((message for message in reversed(messages) if custom_id in message.custom_ids()), None)

"""SIGTERM to the whole process group, as systemd, containers and terminals send it: sessions end with a summary."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from bot.commands.attest import ATTEST_ID
from bot.commands.panel_view import INCLUDE_ID
from bot.texts import english as texts
from sandbox import Message, Sandbox
from sandbox.permissions import EVERYONE, Permission
from tests.fakes.clips import clip_paths
from tests.fakes.world import text_of

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 10.0


async def undertone_run(sandbox: Sandbox, folder: Path) -> asyncio.subprocess.Process:
    """`undertone run` against the loopback Discord, with the workers of the seed engine, in a group of its own."""
    authority = folder / "authority.pem"
    authority.write_bytes(sandbox.voice.certificate.authority_pem)
    settings = {
        "DISCORD_TOKEN": sandbox.token,
        "DISCORD_API_BASE": sandbox.api_base,
        "SSL_CERT_FILE": str(authority),
        "PORT": "0",
        "UNDERTONE_DATA_DIR": str(folder / "data"),
        "UNDERTONE_MODEL": "seed",
        "UNDERTONE_LOG_LEVEL": "info",
        "PYTHONPATH": str(ROOT),
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UNDERTONE_", "DATABASE_"))}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        "run",
        cwd=folder,
        env={**kept, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )


async def test_a_signal_to_the_group_ends_the_session_with_its_summary_in_time(tmp_path: Path) -> None:
    async with Sandbox(rate_limits=False) as discord:
        role = discord.state.add_role(discord.guild, "Host", permissions=int(EVERYONE | Permission.MANAGE_GUILD))
        host = discord.add_person("Hanna", role_ids=(role.id,))
        bot = await undertone_run(discord, tmp_path)
        try:
            async with discord.speaker(host) as voice:
                await discord.wait_for(lambda: discord.gateway.connected, timeout_s=60.0)
                await voice.join(discord.voice_channel.id)
                question = await discord.answer(await discord.command(host, discord.text, "listen start"), 15.0)
                await discord.press(host, question, ATTEST_ID)
                panel = await discord.wait_for(lambda: with_button(discord, INCLUDE_ID), timeout_s=15.0)
                await discord.press(host, panel, INCLUDE_ID)
                await discord.voice.settled(discord.voice_channel.id)
                await voice.say(clip_paths()[0])
                await discord.wait_for(lambda: stored(tmp_path), timeout_s=30.0)
                talking = asyncio.create_task(voice.say(clip_paths()[1]), name="talks on")
                spoken = voice.counters["spoken"]
                await discord.wait_for(lambda: voice.counters["spoken"] >= spoken + 100, timeout_s=30.0)
                os.killpg(bot.pid, signal.SIGTERM)
                began_s = time.monotonic()
                async with asyncio.timeout(WITHIN_S):
                    output, _ = await bot.communicate()
                took_s = time.monotonic() - began_s
                await asyncio.gather(talking, return_exceptions=True)
        finally:
            if bot.returncode is None:
                os.killpg(bot.pid, signal.SIGKILL)
                output, _ = await bot.communicate()
                print(output.decode())  # noqa: T201
        log = output.decode()
        assert bot.returncode == 0, log
        assert took_s < WITHIN_S
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

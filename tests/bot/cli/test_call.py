"""`undertone doctor --call`: a client of its own joins, tells what it met and is gone; the rest is said in words."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from bot.cli import call
from bot.settings import load_settings
from sandbox import Sandbox
from tests.fakes.settings import keep_addresses, settings_for

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_addresses(monkeypatch)


async def test_it_joins_reports_and_leaves(tmp_path: Path) -> None:
    async with Sandbox(rate_limits=False) as sandbox:
        connector = aiohttp.TCPConnector(ssl=sandbox.ssl_context())
        settings = settings_for(sandbox, tmp_path)
        text = await call.report(settings, sandbox.voice_channel.id, me=None, seconds=0.5, connector=connector)
        assert "listening (joined)" in text
        assert "nobody spoke" in text
        assert str(sandbox.voice_channel.id) not in text
        await sandbox.wait_for(lambda: sandbox.state.voice_state(sandbox.guild.id, sandbox.bot.id) is None)


async def test_what_is_no_voice_channel_and_a_token_that_is_refused_are_said(tmp_path: Path) -> None:
    async with Sandbox(rate_limits=False) as sandbox:
        with pytest.raises(call.CannotCheck, match="is no voice channel"):
            await call.report(settings_for(sandbox, tmp_path), sandbox.text.id, me=None, seconds=0.5)
        settings = settings_for(sandbox, tmp_path, discord_token="not.the.token")
        with pytest.raises(call.CannotCheck, match="refuses DISCORD_TOKEN"):
            await call.report(settings, sandbox.voice_channel.id, me=None, seconds=0.5)


async def test_a_call_that_the_bot_is_in_is_left_alone(tmp_path: Path) -> None:
    async with Sandbox(rate_limits=False) as sandbox:
        other = sandbox.add_voice_channel("Elsewhere")
        sandbox.state.join_voice(sandbox.bot.id, other)
        with pytest.raises(call.CannotCheck, match="is in a call of this server already"):
            await call.report(settings_for(sandbox, tmp_path), sandbox.voice_channel.id, me=None, seconds=0.5)
        seat = sandbox.state.voice_state(sandbox.guild.id, sandbox.bot.id)
        assert seat is not None
        assert seat.channel_id == other.id


async def test_a_discord_that_does_not_answer_is_said(tmp_path: Path) -> None:
    settings = load_settings(
        env_file=None, data_dir=tmp_path, discord_token="a.b.c", discord_api_base="http://127.0.0.1:1/api"
    )
    with pytest.raises(call.CannotCheck, match="does not answer"):
        await call.report(settings, 1, me=None, seconds=0.5)

"""The service in a loopback Discord, with a fake model and a fake voice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import discord
import pytest

from bot.service import Service
from bot.settings import load_settings
from sandbox import Sandbox
from tests.fakes.backend import FakeBackend
from tests.fakes.voice_link import FakeVoice
from tests.fakes.world import World


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(discord.http.Route, "BASE", discord.http.Route.BASE)
    gateway = discord.gateway.DiscordWebSocket
    monkeypatch.setattr(gateway, "DEFAULT_GATEWAY", gateway.DEFAULT_GATEWAY)
    async with Sandbox(rate_limits=False) as sandbox:
        voice = FakeVoice()
        settings = load_settings(
            env_file=None,
            data_dir=tmp_path,
            port=0,
            discord_token=sandbox.token,
            discord_api_base=sandbox.api_base,
            database_address=None,
        )
        async with Service(settings, backend=FakeBackend(), connect=voice) as service:
            await service.discord_ready()
            yield World(sandbox, service, voice)

"""A channel at its limit of people, through the whole service: whoever starts a session is told before it joins."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import aiohttp
import discord
import pytest

from bot.service import Service
from bot.texts import english as texts
from sandbox import Sandbox
from tests.fakes.backend import FakeBackend
from tests.fakes.settings import keep_addresses, settings_for
from tests.fakes.voice_link import FakeVoice
from tests.fakes.waiting import Stopwatch
from tests.fakes.world import World

pytestmark = pytest.mark.integration

TOLD_WITHIN_S: Final = 3.0


async def test_a_channel_at_its_limit_is_told_within_three_seconds_and_nothing_is_asked_of_discord(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_addresses(monkeypatch)
    asked: list[Any] = []
    async with Sandbox(rate_limits=False) as sandbox:
        answer_request = sandbox.gateway.voice_request

        def noted(session: Any, request: Any) -> Any:
            asked.append(request)
            return answer_request(session, request)

        monkeypatch.setattr(sandbox.gateway, "voice_request", noted)
        sandbox.voice_channel.user_limit = 2
        sandbox.state.update_channel(sandbox.voice_channel)
        settings = settings_for(sandbox, tmp_path)
        connector = lambda: aiohttp.TCPConnector(ssl=sandbox.ssl_context())  # noqa: E731 - what the service calls
        async with Service(settings, make_connector=connector, backend=FakeBackend()) as service:
            await service.discord_ready()
            world = World(sandbox, service, FakeVoice())
            world.sit(world.owner, world.mara)
            await world.seen(world.owner, world.mara)
            await world.attested()
            async with Stopwatch() as watch:
                answer = await world.ask(world.owner, "listen start")
            assert texts.JOIN_FAILURES["channel_full"] in answer.content
            assert watch.took_s < TOLD_WITHIN_S
            assert asked == []
            assert not service.sessions.running()
            # A seat more, and the same command joins: it was the limit that kept it out.
            sandbox.voice_channel.user_limit = 3
            sandbox.state.update_channel(sandbox.voice_channel)
            await sandbox.wait_for(lambda: _limit(service, sandbox) == 3)
            await world.ask(world.owner, "listen start")
            await sandbox.wait_for(lambda: sandbox.voice.connection(sandbox.bot.id) is not None)
            assert asked


def _limit(service: Service, sandbox: Sandbox) -> int | None:
    channel = service.gateway.client.get_channel(sandbox.voice_channel.id)
    return channel.user_limit if isinstance(channel, discord.VoiceChannel) else None

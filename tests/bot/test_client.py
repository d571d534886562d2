"""Something starts the client again, whatever ends it; and refusals are final, in words."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import discord
import pytest
from discord.gateway import DiscordWebSocket, KeepAliveHandler
from discord.shard import EventItem, EventType
from structlog.testing import capture_logs

from bot import deletion
from bot.application import intents
from bot.errors import DiscordRefused
from bot.service import Service
from bot.settings import load_settings
from bot.shards import ForgivingQueue, mendable
from sandbox import Sandbox
from sandbox.gateway.session import Intent
from storage import Storage
from storage.errors import StorageUnavailable
from storage.records import Decision
from tests.fakes.backend import FakeBackend
from tests.fakes.settings import keep_addresses, settings_for
from tests.fakes.voice_link import FakeVoice
from tests.fakes.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def restored_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_addresses(monkeypatch)


def test_only_the_smallest_intents_are_asked_for() -> None:
    asked = {name for name, on in intents(message_content=False) if on}
    assert asked == {"guilds", "voice_states", "guild_messages", "dm_messages"}


@pytest.mark.parametrize("code", [1006, 1001, 4000, 4007, 4009])
async def test_a_cut_becomes_another_attempt_and_a_fatal_code_does_not(code: int) -> None:
    def closed(number: int) -> EventItem:
        error = discord.ConnectionClosed.__new__(discord.ConnectionClosed)
        error.code = number
        return EventItem(EventType.close, None, error)

    assert mendable(closed(code))
    assert not mendable(closed(4004))
    assert not mendable(closed(4014))
    queue = ForgivingQueue()
    queue.put_nowait(closed(code))
    assert queue.empty()
    async with asyncio.timeout(60):
        assert (await queue.get()).type == EventType.reconnect
    queue.put_nowait(closed(code))
    assert len(queue._timers) == 1, "an attempt that was made is not held, with its error and all that hangs on it"
    queue.stop()
    queue.put_nowait(closed(4004))
    assert (await queue.get()).type == EventType.close


async def test_a_gateway_that_hangs_up_before_hello_is_tried_again_by_the_same_client(tmp_path: Path) -> None:
    async with Sandbox(rate_limits=False) as sandbox:
        service = Service(settings_for(sandbox, tmp_path), backend=FakeBackend(), connect=FakeVoice())
        async with service:
            await service.discord_ready()
            first = service.gateway.client
            sandbox.faults.refuse_gateway(1)  # the attempt to resume; the next one is cut
            sandbox.faults.cut_gateway_before_hello(1)
            sandbox.gateway.cut()
            async with asyncio.timeout(60):
                while first.cuts_survived < 1 or not sandbox.gateway.connected:
                    await asyncio.sleep(0.05)
            assert service.gateway.client is first


async def test_a_client_that_ended_is_replaced(tmp_path: Path) -> None:
    async with Sandbox(rate_limits=False) as sandbox:
        service = Service(settings_for(sandbox, tmp_path), backend=FakeBackend(), connect=FakeVoice())
        async with service:
            await service.discord_ready()
            first = service.gateway.client
            await first.close()
            async with asyncio.timeout(60):
                while service.gateway.client is first or not service.gateway.ready:
                    await asyncio.sleep(0.05)
            assert service.gateway.restarts == 1


async def test_what_discord_does_not_tell_a_replaced_client_is_as_it_was(tmp_path: Path) -> None:
    """Clients are replaced when Discord has trouble, and then it may not answer: what it told before still holds."""
    content = Intent.MESSAGE_CONTENT

    async def replaced(service: Service, sandbox: Sandbox) -> bool:
        sandbox.faults.rest(503, path="/applications/@me")
        last = service.gateway.client
        await last.close()
        await until(lambda: service.gateway.client is not last and service.gateway.ready)
        return service.gateway.client.intents.message_content

    async with Sandbox(rate_limits=False, allowed_privileged_intents=content) as sandbox:
        service = Service(settings_for(sandbox, tmp_path), backend=FakeBackend(), connect=FakeVoice())
        async with service:
            await service.discord_ready()
            assert await replaced(service, sandbox)
            sandbox.gateway.allowed_privileged = 0
            assert not await replaced(service, sandbox), "it was switched off meanwhile"


async def test_a_client_that_ends_while_it_connects_anew_leaves_no_heartbeat_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resuming: asyncio.Queue[DiscordWebSocket] = asyncio.Queue()

    async def hang(connection: DiscordWebSocket) -> None:
        resuming.put_nowait(connection)
        await asyncio.Event().wait()

    monkeypatch.setattr(DiscordWebSocket, "resume", hang)
    async with Sandbox(rate_limits=False) as sandbox:
        service = Service(settings_for(sandbox, tmp_path), backend=FakeBackend(), connect=FakeVoice())
        async with service:
            await service.discord_ready()
            sandbox.gateway.cut()
            async with asyncio.timeout(60):
                connection = await resuming.get()
            threads = [one for one in threading.enumerate() if isinstance(one, KeepAliveHandler)]
            heartbeats = [one for one in threads if one.ws.loop is asyncio.get_running_loop()]
            assert heartbeats
        await connection.socket.close()  # nobody's, and aiohttp would complain of it in another test
    for heartbeat in heartbeats:
        await asyncio.to_thread(heartbeat.join, 10.0)
    assert not any(heartbeat.is_alive() for heartbeat in heartbeats)


async def test_in_which_servers_the_bot_is_is_noted_though_the_database_was_away_when_discord_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is out of a server for 14 days loses all that is stored of it: that must neither be missed nor made up."""
    monkeypatch.setattr(deletion, "EVERY_S", 0.05)
    asked: list[set[int]] = []
    note = Storage.servers_present

    async def away_at_first(storage: Storage, here: set[int], *rest: Any) -> None:
        asked.append(here)
        if len(asked) <= 2:
            raise StorageUnavailable("away")
        await note(storage, here, *rest)

    monkeypatch.setattr(Storage, "servers_present", away_at_first)
    gone = 4_711
    async with (
        Sandbox(rate_limits=False) as sandbox,
        Service(settings_for(sandbox, tmp_path), backend=FakeBackend(), connect=FakeVoice()) as service,
    ):
        await service.discord_ready()
        storage = service.storage
        for guild_id in (sandbox.guild.id, gone):
            await storage.set_standing_consent(guild_id, 7, Decision.OPT_IN)
        await storage.server_left(sandbox.guild.id, service.app.clock.now())  # that it is back was not noted
        seen = len(asked)
        async with asyncio.timeout(60):
            while len(asked) < max(seen, 2) + 2:
                await asyncio.sleep(0.01)
        later = service.app.clock.now() + timedelta(days=30)
        assert await storage.purge_left(later) == [gone]
    assert asked[-1] == {sandbox.guild.id}


async def test_a_refused_token_ends_the_service_in_words(tmp_path: Path) -> None:
    async with Sandbox(rate_limits=False) as sandbox:
        settings = settings_for(sandbox, tmp_path, discord_token="wrong")
        async with Service(settings, backend=FakeBackend(), connect=FakeVoice()) as service:
            with pytest.raises(DiscordRefused, match="DISCORD_TOKEN"):
                await service.discord_ready()


async def test_a_discord_that_cannot_be_reached_is_said_with_what_to_look_at(tmp_path: Path) -> None:
    settings = load_settings(
        env_file=None, discord_token="x", discord_api_base="http://127.0.0.1:1/api/v10", data_dir=tmp_path, port=0
    )
    with capture_logs() as logs:
        async with Service(settings, backend=FakeBackend(), connect=FakeVoice()) as service:
            async with asyncio.timeout(60):
                while not service.gateway.restarts:
                    await asyncio.sleep(0.01)
    ended = next(line for line in logs if line["event"] == "discord_connection_ended")
    assert "firewall" in ended["remedy"]


async def test_rest_errors_at_the_start_are_waited_out(tmp_path: Path) -> None:
    async with Sandbox(rate_limits=False) as sandbox:
        sandbox.faults.rest(404, path="/users/@me")
        async with Service(settings_for(sandbox, tmp_path), backend=FakeBackend(), connect=FakeVoice()) as service:
            await service.discord_ready()
            assert service.gateway.restarts == 1

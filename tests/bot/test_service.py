"""The service as a whole: what starts it, what keeps it from starting, and how it ends."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from bot.errors import KeyFileError, PortInUse
from bot.listening.manager import SessionManager
from bot.secret import load_key
from bot.service import Service
from bot.texts import english as texts
from sandbox import Sandbox
from ser_engine.errors import ModelError
from storage import NewSession, SessionState, Storage
from storage.errors import AlreadyServed, StorageError, StorageUnavailable, WrongKey
from tests.fakes.backend import FakeBackend
from tests.fakes.clock import FakeClock
from tests.fakes.settings import keep_addresses, settings_for
from tests.fakes.voice_link import FakeVoice
from tests.fakes.waiting import Stopwatch
from tests.fakes.world import World, text_of

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def restored_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_addresses(monkeypatch)


class BrokenBackend(FakeBackend):
    """Cannot load its model."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    async def start(self) -> None:
        raise ModelError("The model's files were changed.")

    async def close(self) -> None:
        self.closed = True


async def started(service: Service) -> None:
    async with service:
        pass


async def test_a_taken_port_is_said_and_everything_is_closed_again(tmp_path: Path) -> None:
    backend = FakeBackend()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        async with Sandbox() as sandbox:
            service = Service(settings_for(sandbox, tmp_path, port=port), backend=backend, connect=FakeVoice())
            with pytest.raises(PortInUse, match=rf"Port {port} on 127.0.0.1 is taken.*: PORT={port + 1} in \.env"):
                await started(service)
    assert not backend.ready


async def test_a_model_that_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    backend = BrokenBackend()
    async with Sandbox() as sandbox:
        with pytest.raises(ModelError, match="changed"):
            await started(Service(settings_for(sandbox, tmp_path), backend=backend, connect=FakeVoice()))
    assert backend.closed


async def test_a_key_of_another_database_and_a_damaged_one_are_said(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        settings = settings_for(sandbox, tmp_path)
        storage = await Storage.open(settings.database_url, key=load_key(tmp_path))
        await storage.close()
        (tmp_path / "secret.key").write_bytes(b"x" * 32)
        with pytest.raises(WrongKey):
            await started(Service(settings, backend=FakeBackend(), connect=FakeVoice()))
        (tmp_path / "secret.key").write_bytes(b"x")
        with pytest.raises(KeyFileError):
            await started(Service(settings, backend=FakeBackend(), connect=FakeVoice()))


async def test_a_database_that_cannot_be_reached_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with Sandbox() as sandbox:
        settings = settings_for(sandbox, tmp_path, database_address=f"sqlite:///{tmp_path / 'file' / 'x.db'}")
        with pytest.raises(StorageError):
            await started(Service(settings, backend=FakeBackend(), connect=FakeVoice()))


async def test_alive_ready_and_metrics_are_three_answers(tmp_path: Path) -> None:
    async with Sandbox(rate_limits=False) as sandbox:
        sandbox.faults.rest(404, path="/users/@me")  # Discord is not there at first
        async with (
            Service(settings_for(sandbox, tmp_path), backend=FakeBackend(), connect=FakeVoice()) as service,
            aiohttp.ClientSession(service.url) as http,
        ):
            assert (await http.get("/health")).status == 200
            early = await http.get("/health/ready")
            assert (early.status, (await early.json())["checks"]["gateway"]) == (503, False)
            await service.discord_ready()
            assert (await http.get("/health/ready")).status == 200
            metrics = await (await http.get("/metrics")).text()
            assert "undertone_sessions_running 0.0" in metrics
            assert 'undertone_sessions_dropped_total{reason="excluded"} 0.0' in metrics


async def test_stopping_ends_sessions_with_a_summary_within_ten_seconds(tmp_path: Path) -> None:
    async with Sandbox(rate_limits=False) as sandbox:
        voice = FakeVoice()
        service = Service(settings_for(sandbox, tmp_path), backend=FakeBackend(), connect=voice)
        async with service:
            await service.discord_ready()
            world = World(sandbox, service, voice)
            world.sit(world.owner)
            await world.seen(world.owner)
            panel = await world.attest_and_start()
            async with Stopwatch() as watch:
                await service.stop()
        assert watch.took_s < 10
        assert texts.END_REASONS["shutdown"] in text_of(panel)
        assert (await world.embed(texts.SUMMARY_TITLE)).embeds
        assert voice.link.closed
        await service.stop()  # twice does no harm


async def test_a_second_start_beside_the_first_leaves_its_sessions_alone(tmp_path: Path) -> None:
    """With a port of its own, too: the running session would be closed as one of a process that died."""
    async with Sandbox(rate_limits=False) as sandbox:
        voice = FakeVoice()
        settings = settings_for(sandbox, tmp_path)
        async with Service(settings, backend=FakeBackend(), connect=voice) as service:
            await service.discord_ready()
            world = World(sandbox, service, voice)
            world.sit(world.owner)
            await world.seen(world.owner)
            await world.attest_and_start()
            with pytest.raises(AlreadyServed, match=r"Another Undertone serves .*undertone\.db already"):
                await started(Service(settings, backend=FakeBackend(), connect=FakeVoice()))
            record = await service.storage.session(world.running().record.id)
            assert record is not None
            assert record.state is SessionState.LIVE
        async with Service(settings, backend=FakeBackend(), connect=voice):
            pass  # the place is free again


async def test_a_session_that_waits_for_discord_does_not_hold_up_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SessionManager.end_all.__kwdefaults__ or {}, "within_s", 0.5)
    async with Sandbox(rate_limits=False) as sandbox:
        voice = FakeVoice()
        service = Service(settings_for(sandbox, tmp_path), backend=FakeBackend(), connect=voice)
        async with service:
            await service.discord_ready()
            world = World(sandbox, service, voice)
            world.sit(world.owner)
            await world.seen(world.owner)
            await world.attest_and_start()
            (session,) = service.sessions.running()
            sandbox.faults.refuse_gateway(1_000)
            await service.gateway.client.close()
            await sandbox.wait_for(lambda: voice.link.closed)
            async with Stopwatch() as watch:
                await service.stop()
        assert watch.took_s < 8
    storage = await Storage.open(service.settings.database_url, key=load_key(tmp_path))
    record = await storage.session(session.record.id)
    await storage.close()
    assert record is not None
    assert (record.state.value, record.end_reason) == ("interrupted", "connection_lost")


async def test_a_start_closes_what_a_killed_process_left(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        settings = settings_for(sandbox, tmp_path)
        storage = await Storage.open(settings.database_url, key=load_key(tmp_path))
        left = await storage.start_session(
            NewSession(guild_id=1, channel_id=2, started_by=3, model="m", model_version="v", labels=("Angry", "Sad"))
        )
        await storage.close()
        async with Service(settings, backend=FakeBackend(), connect=FakeVoice()) as service:
            record = await service.storage.session(left.id)
            assert record is not None
            assert (record.state.value, record.end_reason in texts.END_REASONS) == ("interrupted", True)


async def test_what_is_older_than_its_days_is_deleted_by_itself(tmp_path: Path) -> None:
    clock = FakeClock()
    async with Sandbox() as sandbox:
        settings = settings_for(sandbox, tmp_path)
        storage = await Storage.open(settings.database_url, key=load_key(tmp_path))
        await storage.start_session(
            NewSession(guild_id=1, channel_id=2, started_by=3, model="m", model_version="v", labels=("Angry", "Sad"))
        )
        (ended,) = await storage.interrupt_live_sessions()
        await storage.close()
        assert ended.ended_at is not None
        clock._start = ended.ended_at + timedelta(days=settings.retention_days) - timedelta(minutes=30)
        async with Service(settings, backend=FakeBackend(), connect=FakeVoice(), clock=clock) as service:
            assert await service.storage.session(ended.id) is not None
            service.bus.publish(ended.id, "window", {"participant_id": 1})  # as a session of this process leaves them
            async with asyncio.timeout(60):
                while await service.storage.session(ended.id) is not None or service.bus.knows(ended.id):
                    await clock.advance(3601)  # an hour after the first round, however long that takes
                    await asyncio.sleep(0.02)


async def test_a_database_that_is_away_when_the_old_is_to_be_deleted_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, asked = FakeClock(), []

    async def away(*_: object) -> int:
        asked.append(clock.now())
        raise StorageUnavailable("busy")

    async with (
        Sandbox() as sandbox,
        Service(settings_for(sandbox, tmp_path), backend=FakeBackend(), connect=FakeVoice(), clock=clock) as service,
    ):
        monkeypatch.setattr(service.storage, "purge_expired", away)
        async with asyncio.timeout(60):
            while len(asked) < 2:
                await clock.advance(3601)
                await asyncio.sleep(0.02)
        assert service._main is not None
        assert not service._main.done()


async def test_the_printed_address_opens_the_reports_and_each_start_has_its_own(tmp_path: Path) -> None:
    async def status(url: str) -> int:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http, http.get(url) as answer:
            return answer.status

    keys = set()
    async with Sandbox(rate_limits=False) as sandbox:
        for _ in range(2):
            async with Service(settings_for(sandbox, tmp_path), backend=FakeBackend(), connect=FakeVoice()) as service:
                keys.add(service.entry_url.partition("?key=")[2])
                assert await status(service.entry_url) == 200
                assert await status(service.url) == 403
    assert len(keys) == 2
    assert min(map(len, keys)) > 40

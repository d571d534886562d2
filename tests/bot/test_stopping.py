"""A stop has an end, and what can be written is written, although the database hangs."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import aiohttp
import pytest

from bot.commands.panel_view import INCLUDE_ID
from bot.secret import load_key
from bot.service import Service
from bot.texts import english as texts
from sandbox import Message, Sandbox
from storage import Storage
from storage.records import SessionState
from tests.fakes.backend import FakeBackend
from tests.fakes.postgres import line_to_a_new_database
from tests.fakes.settings import keep_addresses, settings_for
from tests.fakes.voice_link import FakeVoice, tone_burst
from tests.fakes.waiting import Stopwatch
from tests.fakes.world import World, text_of

pytestmark = pytest.mark.integration


@asynccontextmanager
async def listening(
    address: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[World, Message]]:
    """A service in which somebody was heard a moment ago, and the panel of that session."""
    keep_addresses(monkeypatch)
    async with Sandbox(rate_limits=False) as sandbox:
        voice = FakeVoice()
        settings = settings_for(sandbox, folder, database_address=address)
        async with Service(settings, backend=FakeBackend(), connect=voice) as service:
            await service.discord_ready()
            world = World(sandbox, service, voice)
            world.sit(world.owner)
            await world.seen(world.owner)
            panel = await world.attest_and_start()
            await world.press(world.owner, panel, INCLUDE_ID)
            yield world, panel


async def test_a_file_that_another_program_has_does_not_hold_up_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(None, tmp_path, monkeypatch) as (world, panel):
        service, session = world.service, world.running()
        with closing(sqlite3.connect(tmp_path / "undertone.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            world.voice.link.hear(world.owner.id, tone_burst())
            await world.sandbox.wait_for(lambda: session.counters()["predictions"])
            async with Stopwatch() as watch:
                await service.stop()
            other.rollback()
    assert watch.took_s < 10
    assert texts.END_REASONS["shutdown"] in text_of(panel)


async def test_a_message_that_discord_takes_late_does_not_hold_up_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(None, tmp_path, monkeypatch) as (world, _):
        faults, edited = world.sandbox.faults, asyncio.Event()
        faults.rest(0, method="PATCH", path=r"^/channels/\d+/messages/\d+$", held=edited)
        summary = faults.rest(429, method="POST", path=r"^/channels/\d+/messages$", retry_after_s=25.0)
        async with Stopwatch() as watch:
            await world.service.stop()
        edited.set()
    assert summary.hits
    assert watch.took_s < 10


@pytest.mark.parametrize("back_after_s", [None, 3.0])
async def test_a_database_that_hangs_does_not_hold_up_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, back_after_s: float | None
) -> None:
    async with line_to_a_new_database(tmp_path) as line:
        async with listening(line.url, tmp_path, monkeypatch) as (world, panel), aiohttp.ClientSession() as browser:
            service, session = world.service, world.running()
            line.flows.clear()
            world.voice.link.hear(world.owner.id, tone_burst())
            await world.sandbox.wait_for(lambda: session.counters()["predictions"])
            await world.sandbox.command(world.owner, world.sandbox.text, "report last")
            page = asyncio.create_task(browser.get(service.entry_url), name="page")
            if back_after_s is not None:
                asyncio.get_running_loop().call_later(back_after_s, line.flows.set)
            async with Stopwatch() as watch:
                await service.stop()
            with suppress(aiohttp.ClientError):
                (await page).close()
        assert watch.took_s < 10
        assert texts.END_REASONS["shutdown"] in text_of(panel)
        line.flows.set()
        storage = await Storage.open(line.url, key=load_key(tmp_path))
        record = await storage.session(session.record.id)
        report = await storage.report(session.record.id)
        await storage.close()
        assert record is not None
        assert report is not None
        if back_after_s is not None:
            assert record.state is SessionState.ENDED
            assert len(report.participants[0].windows) == 1

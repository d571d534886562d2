"""A session of one server: a real database, a fake channel, a fake voice link and a fake model."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import discord

from bot.app import App
from bot.listening.ends import EndReason
from bot.listening.follower import LiveEvent
from bot.listening.live import LiveBus
from bot.listening.manager import StartRequest, VoiceChange
from bot.listening.session import ListeningSession
from bot.settings import load_settings
from storage import Storage, WindowWriter
from tests.fakes.backend import FakeBackend
from tests.fakes.clock import FakeClock
from tests.fakes.surface import FakeSurface
from tests.fakes.voice_link import FakeVoice, tone_burst

GUILD, CHANNEL, HOST, GUEST, SHY = 10, 20, 1, 2, 3


async def told_live(bus: LiveBus, session_id: str, last_id: int | None = None) -> AsyncGenerator[LiveEvent, None]:
    """The events that a page is told, one by one."""
    with bus.follow(session_id, last_id) as follower:
        while (found := await follower.next()) is not None:
            for event in found:
                yield event


class Held:
    """A call of storage that waits the first time it is about one person."""

    def __init__(self, call: Callable[..., Awaitable[Any]], *, first: int) -> None:
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        self._call = call
        self._first = first

    async def __call__(self, guild_id: int, user_id: int, *rest: Any, **more: Any) -> Any:
        if user_id == self._first and not self.asked.is_set():
            self.asked.set()
            await self.go.wait()
        return await self._call(guild_id, user_id, *rest, **more)


class Stage:
    """One server, one channel, three people."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.clock = FakeClock()
        self.voice = FakeVoice()
        self.backend = FakeBackend()
        self.bus = LiveBus()
        self.surface = FakeSurface(names={HOST: "Mara", GUEST: "Theo"})
        self.tasks: set[asyncio.Task[None]] = set()
        self.present = [(HOST, False), (GUEST, False), (SHY, False), (99, True)]
        self._presses = itertools.count(1)
        self.app = App(
            settings=load_settings(env_file=None),
            storage=storage,
            writer=WindowWriter(storage),
            backend=self.backend,
            bus=self.bus,
            clock=self.clock,
            client=self._no_client,
            connected=self._connected,
            connect=self.voice,
            surface=lambda record, asked_in, server: self.surface,
            spawn=self._spawn,
            report_url=lambda session_id: f"http://here/sessions/{session_id}",
            share_url=lambda token: None,
        )
        self.manager = self.app.sessions

    def _no_client(self) -> discord.Client:
        raise RuntimeError("a session asks its surface, not the client")

    async def _connected(self) -> None:
        return

    def _spawn(self, work: object, name: str) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)  # type: ignore[arg-type]
        self.tasks.add(task)

    def press(self) -> int:
        """The id of an interaction that happens now."""
        return next(self._presses)

    async def start(self) -> ListeningSession:
        await self.backend.start()
        return await self.manager.start(
            StartRequest(
                guild_id=GUILD,
                channel_id=CHANNEL,
                channel="a channel",
                started_by=HOST,
                present=lambda: self.present,
                asked_in=CHANNEL,
            )
        )

    async def end(self, reason: EndReason = EndReason.STOPPED) -> None:
        await self.manager.stop(GUILD, reason)
        await self.over()

    async def over(self) -> None:
        """Until nothing runs, with the fake clock moving on as it does."""
        while any(not task.done() for task in self.tasks):
            await self.clock.advance(0.5)
            await asyncio.sleep(0.01)

    async def said(self, session: ListeningSession, windows: int) -> None:
        """Until so many windows were recognised."""
        await self.counted(session, "predictions", windows)

    async def counted(self, session: ListeningSession, counter: str, least: int) -> None:
        async with asyncio.timeout(60):
            while session.counters()[counter] < least:
                await asyncio.sleep(0.01)

    async def is_being_recognised(self, user: int) -> None:
        """Somebody talks, and the backend works on it until it `may_answer`."""
        self.backend.may_answer.clear()
        self.backend.asked.clear()
        self.voice.link.hear(user, tone_burst())
        await self.backend.asked.wait()

    async def moves(self, user: int, before: int | None, after: int | None, *, itself: bool = False) -> None:
        await self.manager.voice_changed(
            VoiceChange(
                guild_id=GUILD,
                user_id=user,
                bot=itself,
                itself=itself,
                before_id=before,
                after_id=after,
                server_deaf=False,
            )
        )

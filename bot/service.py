"""The whole service in one object, and the order in which its parts live: storage, recognition, web, Discord.

What starts later depends on what started before, so the end goes the other way round (`bot.stopping`): sessions end
with their summary while everything still works, then the connection to Discord and the web pages close, then database
and recognition. One task group owns every lasting task.

    async with Service(settings) as service:
        await service.wait()
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

import structlog

from bot.app import App, Spawn
from bot.assembly import default_connect, first_error, interrupted, local_url, make_access, port_error, timed
from bot.client import ClientKeeper, MakeConnector
from bot.commands.arrivals import look_again
from bot.commands.language import public_texts
from bot.commands.panel_view import buttons_of
from bot.commands.sharing import tell_of_share
from bot.listening.clock import Clock, SystemClock
from bot.listening.discord_surface import DiscordSurface
from bot.listening.live import LiveBus
from bot.listening.manager import SessionManager
from bot.listening.recovery import recover
from bot.listening.voice import Connect
from bot.log_names import log_names
from bot.recognition import Warming, make_backend
from bot.secret import key_of
from bot.settings import Settings
from bot.stopping import OfSessions, end_in_time
from bot.web.app import create_app
from bot.web.connections import affordable
from bot.web.keys import Operator
from bot.web.serving import serving
from ser_engine.backends.base import InferenceBackend
from storage import ServerSettings, SessionRecord, Storage, WindowWriter

_log = structlog.get_logger(__name__)


class Service:
    """Start with ``async with``; `wait` returns when it ended by itself, which is an error and is raised there.

    `make_connector` gives the Discord client its way to the network (the loopback Discord's certificate), `backend` and
    `connect` replace recognition and voice in tests; `warming` is recognition that was begun before. `open_to_all`
    shows every report to everybody: the people of the demo are invented.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        make_connector: MakeConnector | None = None,
        backend: InferenceBackend | None = None,
        warming: Warming | None = None,
        connect: Connect | None = None,
        clock: Clock | None = None,
        open_to_all: bool = False,
        frame_ancestors: tuple[str, ...] = (),
    ) -> None:
        self.settings = settings
        self.bus = LiveBus()
        self.backend = warming.backend if warming is not None else backend or make_backend(settings)
        self._warming = warming
        self.gateway = ClientKeeper(settings, lambda: self.app, make_connector=make_connector)
        self._connect = connect
        self._clock = clock or SystemClock()
        self._open_to_all = open_to_all
        self._entry_key = secrets.token_urlsafe(32)
        self._frame_ancestors = frame_ancestors
        self._stop = asyncio.Event()
        self._started = asyncio.Event()
        self._main: asyncio.Task[None] | None = None
        self.storage: Storage
        self.writer: WindowWriter
        self.app: App
        self.took: dict[str, float] = {}
        """Seconds of each step of the start."""
        self.port = settings.port
        """The port that was taken; differs from the setting when that is 0."""

    # --- life

    async def __aenter__(self) -> Self:
        """Start everything; returns when web and recognition are up and Discord is being connected to.

        Raises StartError, ModelError, StorageError.
        """
        self._main = asyncio.create_task(self._run(), name="service")
        started = asyncio.create_task(self._started.wait(), name="service-started")
        try:
            await asyncio.wait({self._main, started}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.stop()
            raise
        finally:
            started.cancel()
        if self._main.done():
            await self._main
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def wait(self) -> None:
        """Return when the service has stopped; raises what broke it."""
        if self._main is not None:
            await asyncio.shield(self._main)

    async def stop(self) -> None:
        """End sessions with their summary, then everything else. Takes up to 10 s; may be called twice."""
        self._stop.set()
        if self._main is not None:
            await asyncio.gather(self._main, return_exceptions=True)

    async def discord_ready(self, timeout_s: float = 30.0) -> None:
        """Return when the bot is logged in and knows its servers. Raises TimeoutError, or what broke the service."""
        waiting = asyncio.create_task(self.gateway.connected(), name="service-discord-ready")
        mains: set[asyncio.Task[None]] = {self._main} if self._main is not None else set()
        try:
            done, _ = await asyncio.wait({waiting, *mains}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if waiting not in done:
            if self._main in done:
                await self.wait()
            raise TimeoutError(f"Discord was not ready within {timeout_s:.0f} s")

    @property
    def sessions(self) -> SessionManager:
        return self.app.sessions

    @property
    def url(self) -> str:
        """Where the web pages are, on this machine."""
        return local_url(self.settings.host, self.port)

    @property
    def entry_url(self) -> str:
        """Where the pages are, with the key that opens the reports when nobody can sign in."""
        base = self.settings.public_url or self.url
        keyless = self._open_to_all or self.settings.can_sign_in
        return f"{base}/" if keyless else f"{base}/?key={self._entry_key}"

    def ready(self) -> Mapping[str, bool]:
        """What must hold beside recognition and database, by name."""
        return {"gateway": self.gateway.ready, "saving": not self.writer.failing, **self.app.neighbours.ready()}

    def counters(self) -> Mapping[str, Mapping[str, float]]:
        """Totals by part, for ``/metrics``."""
        return {
            "sessions": self.sessions.counters(),
            "writer": self.writer.counters(),
            "recordings": self.app.turns.counters(),
            "discord": {
                "restarts": self.gateway.restarts,
                "memberships_unanswered": self.gateway.names.unanswered,
                "names_asked_elsewhere": self.gateway.names.asked_elsewhere,
            },
            "neighbours": self.app.neighbours.counters(),
        }

    # --- the parts, in order

    async def _run(self) -> None:
        async with AsyncExitStack() as stack:
            warming = self._warming or Warming(self.backend)  # a second or more; the database needs none
            stack.push_async_callback(warming.close)
            key = key_of(self.settings)
            log_names.use(key)
            with timed(self.took, "opening the database"):
                self.storage = await Storage.open(
                    self.settings.database_url, key=key, retention_days=self.settings.retention_days
                )
            stack.push_async_callback(self.storage.close)
            self._interrupted = await interrupted(self.storage, self.settings.shards)
            self.writer = WindowWriter(self.storage)
            with timed(self.took, "waiting for the recognition"):
                await warming.done
            try:
                async with asyncio.TaskGroup() as tasks:
                    await self._live(tasks, key)
            except BaseExceptionGroup as group:
                raise first_error(group) from group

    async def _live(self, tasks: asyncio.TaskGroup, key: bytes) -> None:
        of_sessions = OfSessions(tasks)
        self.app = self._make_app(of_sessions.spawn)
        async with AsyncExitStack() as stack:
            pages = await stack.enter_async_context(AsyncExitStack())
            with timed(self.took, "opening the web pages"):
                await pages.enter_async_context(self._web(key))
            lasting = [
                tasks.create_task(self.writer.run(), name="window-writer"),
                tasks.create_task(self.app.deletions.run(), name="retention"),
                tasks.create_task(self.app.neighbours.run(), name="neighbours"),
                tasks.create_task(recover(self.app, self._interrupted), name="recovery"),
                tasks.create_task(look_again(self.app), name="arrivals"),
            ]
            discord_task = tasks.create_task(self.gateway.run(), name="discord")
            self._started.set()
            _log.info("service_started", url=self.url, model=self.backend.model.name)
            try:
                await self._stop.wait()
            finally:
                parts = (self.sessions, self.gateway, pages, self.storage)
                await end_in_time(*parts, lasting=lasting, discord=discord_task, late=of_sessions)
        _log.info("service_stopped")

    @asynccontextmanager
    async def _web(self, key: bytes) -> AsyncIterator[None]:
        app = create_app(
            storage=self.storage,
            backend=self.backend,
            bus=self.bus,
            names=self.gateway.names,
            access=make_access(self.settings, key, entry_key=self._entry_key, open_to_all=self._open_to_all),
            ready=self.ready,
            counters=self.counters,
            each_session=self.sessions.each,
            measured=(self.app.delays,),
            connections=affordable(),
            delete=self._delete,
            tell=lambda session, share, maker_id: tell_of_share(self.app, session, share, maker_id=maker_id),
            operator=Operator(
                name=self.settings.operator, contact=self.settings.contact, policy_url=self.settings.policy_url
            ),
            frame_ancestors=self._frame_ancestors,
        )
        async with AsyncExitStack() as stack:
            host, port = self.settings.host, self.settings.port
            try:
                self.port = await stack.enter_async_context(serving(app, host, port))
            except OSError as error:
                raise port_error(error, host, port) from error
            stack.callback(self.bus.close_all)
            yield

    async def _delete(self, session_id: str) -> bool:
        return not (await self.app.deletions.session(session_id)).refused

    def _make_app(self, spawn: Spawn) -> App:
        return App(
            settings=self.settings,
            storage=self.storage,
            writer=self.writer,
            backend=self.backend,
            bus=self.bus,
            clock=self._clock,
            client=lambda: self.gateway.client,
            connected=self.gateway.connected,
            connect=self._connect if self._connect is not None else default_connect(),
            surface=self._surface,
            spawn=spawn,
            report_url=self._report_url,
            share_url=lambda token: f"{base}/s/{token}" if (base := self._links_base()) else None,
        )

    def _surface(self, record: SessionRecord, asked_in: int | None, server: ServerSettings) -> DiscordSurface:
        return DiscordSurface(
            lambda: self.gateway.client,
            record,
            asked_in=asked_in,
            own=self.app.own,
            read_status=lambda guild, channel_id: self.gateway.client.statuses.of(guild, channel_id),
            buttons=lambda card, texts: buttons_of(self.app, card, texts),
            speaks=lambda server: public_texts(server, self.gateway.client.get_guild(record.guild_id)),
            server=server,
            spawn=self.app.spawn,
        )

    def _report_url(self, session_id: str) -> str | None:
        base = self._links_base()
        return f"{base}/sessions/{session_id}" if base else None

    def _links_base(self) -> str | None:
        """Where links in Discord lead: the public address. A link that opens on this machine only is posted nowhere but
        in a loopback Discord, whose people are all on it."""
        if self.settings.public_url or self.settings.is_discord:
            return self.settings.public_url
        return self.url if self.settings.host in ("127.0.0.1", "localhost", "::1") else None

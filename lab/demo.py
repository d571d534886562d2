"""The demo: a Discord inside the process, people who talk in it, and the very same service listening to them.

Nothing here is known to the bot: it meets a server, a voice channel and people who press buttons, over the wire.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Self

import aiohttp
import structlog

from bot.commands.attest import ATTEST_ID
from bot.commands.panel_view import INCLUDE_ID, MARK_ID
from bot.errors import StartError
from bot.recognition import Warming
from bot.service import Service
from bot.settings import Settings, load_settings
from bot.texts import english as texts
from lab.conversation import CAST, Line, Person, load_clips, script
from sandbox import Message, NotOffered, Sandbox, User
from sandbox.gateway import Intent
from sandbox.permissions import EVERYONE, Permission
from sandbox.recordings import Recording, as_voice_message
from sandbox.voice import Speaker
from ser_engine.backends.base import InferenceBackend

FIRST_VOICE_MESSAGE_S: Final = 20.0
MARK_S: Final = 45.0
SECOND_VOICE_MESSAGE_S: Final = 60.0
STALE_S: Final = 24 * 3600.0
"""Folders of demos that were killed are removed after this time."""

_log = structlog.get_logger(__name__)


class Demo:
    """``async with`` starts everything and opens a session; `play` is the conversation, without end."""

    def __init__(
        self,
        settings: Settings,
        *,
        web_port: int,
        chat_port: int,
        backend: InferenceBackend | None = None,
        warming: Warming | None = None,
    ) -> None:
        self._base = settings
        self._backend = backend
        self._warming = warming
        self._web_port = web_port
        self._stack = AsyncExitStack()
        self.sandbox = Sandbox(host=settings.host, port=chat_port, allowed_privileged_intents=Intent.MESSAGE_CONTENT)
        self._service: Service | None = None
        self._users: dict[str, User] = {}
        self._voices: dict[str, Speaker] = {}
        self._clips = load_clips()
        self._session_id = ""

    @property
    def service(self) -> Service:
        if self._service is None:
            raise RuntimeError("the demo was not started")
        return self._service

    @property
    def chat_url(self) -> str:
        return self.sandbox.url

    @property
    def report_url(self) -> str:
        return f"{self.service.url}/sessions/{self._session_id}"

    # --- starting and ending

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """The service first, so that the session ends with everybody still there to read its summary."""
        if self._service is not None:
            await self._service.stop()
        elif self._warming is not None:
            await self._warming.close()
        await self._stack.aclose()

    async def _start(self) -> None:
        folder = _folder(self._base.data_dir)
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        await self._stack.enter_async_context(self.sandbox)
        self._service = Service(
            self._settings(folder),
            make_connector=lambda: aiohttp.TCPConnector(limit=0, ssl=self.sandbox.ssl_context()),
            open_to_all=True,
            frame_ancestors=(self.sandbox.url, f"http://localhost:{self.sandbox.port}"),
            backend=self._backend,
            warming=self._warming,
        )
        await asyncio.gather(self._seat(), self._service.__aenter__())
        await self.service.discord_ready()
        await self._open_session()

    def _settings(self, folder: Path) -> Settings:
        """The person's own settings, but for a Discord, a database and a place of the demo's own."""
        return load_settings(
            **{
                **self._base.model_dump(),
                "discord_token": self.sandbox.token,
                "discord_api_base": self.sandbox.api_base,
                "database_address": None,
                "data_dir": folder,
                "port": self._web_port,
                "public_url": None,
                "oauth_client_id": None,
                "oauth_client_secret": None,
            }
        )

    async def _seat(self) -> None:
        """Everybody sits down in the voice channel."""
        host = self.sandbox.state.add_role(
            self.sandbox.guild, "Host", permissions=int(EVERYONE | Permission.MANAGE_GUILD)
        )
        for person in CAST:
            roles = (host.id,) if person is CAST[0] else ()
            user = self._users[person.name] = self.sandbox.add_person(person.name, person.colour, role_ids=roles)
            voice = self.sandbox.speaker(user)
            self._voices[person.name] = await self._stack.enter_async_context(voice)
        await asyncio.gather(*(v.join(self.sandbox.voice_channel.id) for v in self._voices.values()))

    async def _open_session(self) -> None:
        """Mara starts it and states what is asked of her; all but Otto press the button."""
        mara = self._users[CAST[0].name]
        interaction = await self.sandbox.command(mara, self.sandbox.text, "listen start")
        question = await self.sandbox.answer(interaction)
        if ATTEST_ID in question.custom_ids():
            await self.sandbox.press(mara, question, ATTEST_ID)
        panel = await self.sandbox.wait_for(self._panel, timeout_s=15.0)
        session = await self.sandbox.wait_for(lambda: self.service.sessions.of(self.sandbox.guild.id), timeout_s=15.0)
        self._session_id = session.record.id
        self.sandbox.report_url = self.report_url
        for person in CAST:
            if person.included:
                await self.sandbox.press(self._users[person.name], panel, INCLUDE_ID)

    def _panel(self) -> Message | None:
        """The newest panel with buttons."""
        messages = self.sandbox.messages(self.sandbox.voice_channel)
        return next((m for m in reversed(messages) if INCLUDE_ID in m.custom_ids()), None)

    # --- playing

    async def play(self) -> None:
        """Talk until cancelled; ends only when the service did."""
        async with asyncio.TaskGroup() as tasks:
            talking = tasks.create_task(self._talk(tasks), name="demo-talk")
            scenes = tasks.create_task(self._scenes(), name="demo-scenes")
            try:
                await self.service.wait()
            finally:
                talking.cancel()
                scenes.cancel()

    async def _talk(self, tasks: asyncio.TaskGroup) -> None:
        for line in script(self._clips):
            tasks.create_task(self._speak(line), name=f"demo-line-{line.person.name}")
            await asyncio.sleep(max(0.1, line.clip.duration_s + line.pause_s))

    async def _speak(self, line: Line) -> None:
        try:
            await self._voices[line.person.name].say(line.clip.path)
        except (OSError, RuntimeError) as error:  # a clip is a file: there may be no descriptor left to read it with
            _log.warning("demo_line_not_said", error=type(error).__name__)

    async def _scenes(self) -> None:
        """What happens beside the talk, once each."""
        started_s = time.monotonic()
        for at_s, scene in (
            (FIRST_VOICE_MESSAGE_S, self._own_voice_message),
            (MARK_S, self._mark),
            (SECOND_VOICE_MESSAGE_S, self._asked_voice_message),
        ):
            await asyncio.sleep(max(0.0, started_s + at_s - time.monotonic()))
            try:
                await scene()
            except (NotOffered, OSError) as error:
                _log.warning("demo_scene_failed", scene=scene.__name__, error=type(error).__name__)

    async def _own_voice_message(self) -> None:
        """Ines sends a voice message and asks about it herself."""
        message = await self._voice_message(CAST[2], self._clips[CAST[2].actor][1])
        await self.sandbox.context_menu(self._users[CAST[2].name], message, texts.MENU_ANALYZE)

    async def _asked_voice_message(self) -> None:
        """Theo asks about Mara's; the bot asks her, and she agrees."""
        message = await self._voice_message(CAST[0], self._clips[CAST[0].actor][4])
        await self.sandbox.context_menu(self._users[CAST[1].name], message, texts.MENU_ANALYZE)
        allow = f"undertone:voice:allow:{message.id}:{message.author.id}"
        question = await self.sandbox.wait_for(
            lambda: next((m for m in self.sandbox.messages(self.sandbox.text) if allow in m.custom_ids()), None)
        )
        await asyncio.sleep(4.0)
        await self.sandbox.press(self._users[CAST[0].name], question, allow)

    async def _mark(self) -> None:
        if (panel := self._panel()) is not None:
            await self.sandbox.press(self._users[CAST[3].name], panel, MARK_ID)

    async def _voice_message(self, person: Person, clip: Recording) -> Message:
        ogg = await asyncio.to_thread(as_voice_message, clip.path)
        return self.sandbox.send_voice_message(self._users[person.name], self.sandbox.text, ogg)


def _folder(data_dir: Path) -> Path:
    """A folder of this demo's own; what killed demos left is removed."""
    home = data_dir / "demo"
    try:
        home.mkdir(parents=True, exist_ok=True)
        for old in home.glob("run-*"):
            if old.stat().st_mtime < time.time() - STALE_S:
                shutil.rmtree(old, ignore_errors=True)
        return Path(tempfile.mkdtemp(prefix="run-", dir=home))
    except OSError as error:
        raise StartError(
            f"{home} cannot be used: {error.strerror}. Name a folder that can be written to: UNDERTONE_DATA_DIR=…"
        ) from error

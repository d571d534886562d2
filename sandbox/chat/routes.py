"""The page and its files, and what a visitor can do as one of the people.

It listens on this machine alone. Even so a page from elsewhere, open in the same browser, must not act here: requests
that do something carry a header that such a page cannot set, and the host must be this machine's name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Final

from aiohttp import BodyPartReader, web
from pydantic import BaseModel, Field, ValidationError
from yarl import URL

from sandbox.bodies import whole
from sandbox.chat.stream import Stream
from sandbox.chat.typed import read_command
from sandbox.chat.view import View
from sandbox.errors import ApiError
from sandbox.forms import ATTACHMENTS_LIMIT, PERSON_UPLOAD_LIMIT_BYTES
from sandbox.interactions import Interaction
from sandbox.models import SPOKEN, Channel, Json, Message, User
from sandbox.people import NotOffered, People
from sandbox.recordings import as_voice_message, recordings
from sandbox.rest.answers import reply
from sandbox.world import World

_FILES: Final = {
    "": ("index.html", "text/html"),
    "page/style.css": ("style.css", "text/css"),
    "page/app.js": ("app.js", "text/javascript"),
    "page/text.js": ("text.js", "text/javascript"),
    "page/message.js": ("message.js", "text/javascript"),
    "page/places.js": ("places.js", "text/javascript"),
    "page/composer.js": ("composer.js", "text/javascript"),
    "page/icon.svg": ("icon.svg", "image/svg+xml"),
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; frame-src http://127.0.0.1:* http://localhost:*"
)
LOCALES: Final = ("en-GB", "de")
"""Languages that a visitor may give a person's Discord."""
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_ACT_HEADER: Final = "X-Sandbox-Page"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Act(BaseModel):
    """Something that a visitor does as one of the people."""

    who: int = Field(alias="as")
    channel: int = 0
    message: int = 0
    custom_id: str = ""
    values: list[str] | None = Field(default=None, max_length=25)
    """What was chosen in a menu, which may be nothing; None for a button."""
    fields: dict[str, str] = Field(default_factory=dict)
    interaction: str = ""
    text: str = Field(default="", max_length=4_000)
    name: str = ""
    emoji: str = Field(default="", max_length=12)


class Chat:
    def __init__(self, world: World, people: People, you: User, report_url: Callable[[], str | None]) -> None:
        self._world = world
        self._people = people
        self._you = you
        self._report_url = report_url
        self._forms: dict[str, Interaction] = {}
        self.view = View(world, people)
        self.stream = Stream(world.state, self.view, self._snapshot)

    def _snapshot(self) -> Json:
        return self.view.snapshot(report_url=self._report_url(), you=self._you)

    # looking

    async def file(self, request: web.Request) -> web.Response:
        name, content_type = _FILES[request.path.removeprefix("/")]
        body = resources.files("sandbox").joinpath("page", name).read_bytes()
        headers = _HEADERS | {"Content-Security-Policy": " ".join((_POLICY, *self._report_origin()))}
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=headers)

    def _report_origin(self) -> list[str]:
        report = self._report_url()
        return [str(URL(report).origin())] if report else []

    async def commands(self, request: web.Request) -> web.Response:
        act = Act.model_validate(dict(request.query))
        user, channel = self._who(act), self._channel(act)
        return reply(self.view.commands(user, channel))

    # doing

    async def say(self, request: web.Request) -> web.Response:
        """A message, or a slash command when the text begins with a slash; multipart when there is a file."""
        act, files = await _read(request)
        user, channel = self._who(act), self._channel(act)
        if act.text.startswith("/"):
            text, options = read_command(self._world, channel, act.text[1:], files)
            return self._outcome(await self._people.command(user, channel, text, options))
        self._people.send_message(user, channel, act.text, files=files)
        return reply({})

    async def recording(self, request: web.Request) -> web.Response:
        """One of the recordings, sent as a voice message; `name` is what the actor was asked to sound like."""
        act, _ = await _read(request)
        user, channel = self._who(act), self._channel(act)
        fitting = [r for r in recordings() if r.intended == act.name]
        if not fitting:
            raise NotOffered(f"a recording that sounds {act.name}")
        ogg = await asyncio.to_thread(as_voice_message, random.choice(fitting).path)  # noqa: S311  (any will do)
        self._people.send_voice_message(user, channel, ogg)
        return reply({})

    async def press(self, request: web.Request) -> web.Response:
        act, _ = await _read(request)
        user, message = self._who(act), self._message(act)
        if act.values is not None:
            return self._outcome(await self._people.choose(user, message, act.custom_id, act.values))
        return self._outcome(await self._people.press(user, message, act.custom_id))

    async def language(self, request: web.Request) -> web.Response:
        """Choose the language of one's own Discord; `name` is its locale."""
        act, _ = await _read(request)
        if act.name not in LOCALES:
            raise NotOffered(f"the language {act.name}")
        user = self._who(act)
        user.locale = act.name
        self.stream.publish("places", self.view.places())
        return reply({})

    async def menu(self, request: web.Request) -> web.Response:
        act, _ = await _read(request)
        return self._outcome(await self._people.context_menu(self._who(act), self._message(act), act.name))

    async def submit(self, request: web.Request) -> web.Response:
        act, _ = await _read(request)
        opened = self._forms.pop(act.interaction, None)
        if opened is None or opened.user.id != act.who:
            raise NotOffered("this form")
        return self._outcome(await self._people.submit(opened, act.fields))

    async def react(self, request: web.Request) -> web.Response:
        act, _ = await _read(request)
        user, message = self._who(act), self._message(act)
        mine = any(r.emoji == act.emoji and user.id in r.user_ids for r in message.reactions)
        if mine:
            self._world.state.remove_reaction(message, act.emoji, user.id)
        else:
            self._people.react(user, message, act.emoji)
        return reply({})

    async def voice(self, request: web.Request) -> web.Response:
        """Sit down in a voice channel, or stand up when already there. The visitor is seen there, but not heard."""
        act, _ = await _read(request)
        user, channel = self._who(act), self._channel(act)
        if channel.type not in SPOKEN or channel.guild_id is None:
            raise NotOffered("voice")
        seat = self._world.state.voice_state(channel.guild_id, user.id)
        if seat is not None and seat.channel_id == channel.id:
            self._world.state.leave_voice(channel.guild_id, user.id)
        else:
            self._world.state.join_voice(user.id, channel, self_mute=True)
        return reply({})

    # inside

    def _who(self, act: Act) -> User:
        user = self._world.state.users.get(act.who)
        if user is None or user.bot:
            raise NotOffered("this person")
        return user

    def _channel(self, act: Act) -> Channel:
        if act.channel == 0:
            return self._people.direct_messages(self._who(act))
        channel = self._world.state.channels.get(act.channel)
        if channel is None:
            raise NotOffered("this channel")
        return channel

    def _message(self, act: Act) -> Message:
        message = self._world.state.message(act.channel, act.message)
        if message is None:
            raise NotOffered("this message")
        return message

    def _outcome(self, interaction: Interaction) -> web.Response:
        """The form to show, if the bot opened one; everything else reaches the page by the stream."""
        if interaction.modal is None:
            return reply({})
        while len(self._forms) > 100:
            self._forms.pop(next(iter(self._forms)))
        self._forms[str(interaction.id)] = interaction
        return reply({"form": interaction.modal, "interaction": str(interaction.id)})


async def _read(request: web.Request) -> tuple[Act, list[tuple[str, bytes]]]:
    if not request.content_type.startswith("multipart/"):
        async with whole():
            raw = await request.read()
        return Act.model_validate_json(raw), []
    async with whole():
        told, files = await _parts(request)
    if told is None:
        raise NotOffered("an empty request")
    return Act.model_validate_json(told), files


async def _parts(request: web.Request) -> tuple[bytes | None, list[tuple[str, bytes]]]:
    """What is to be done, as JSON, and the files that come with it."""
    act: bytes | None = None
    files: list[tuple[str, bytes]] = []
    async for part in await request.multipart():
        if isinstance(part, BodyPartReader) and part.name == "act":
            act = await part.read()
        elif isinstance(part, BodyPartReader) and part.name == "file":
            if len(files) == ATTACHMENTS_LIMIT:
                raise NotOffered(f"more than {ATTACHMENTS_LIMIT} files")
            content = bytearray()
            while chunk := await part.read_chunk(256 * 1024):
                content += chunk
                if len(content) > PERSON_UPLOAD_LIMIT_BYTES:
                    raise NotOffered("a file of more than 50 MB")
            files.append((part.filename or "file", bytes(content)))
    return act, files


async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse other hosts' names and other sites' requests; say in words what could not be done."""
    if not _is_local(request.url.host or "") and _is_local(_listening_on(request)):
        return reply({"error": "This page answers to this machine's own names only."}, status=421)
    if request.method == "POST" and request.headers.get(_ACT_HEADER) != "1":
        return reply({"error": "Only this page may do that."}, status=403)
    try:
        return await handler(request)
    except NotOffered as error:
        return reply({"error": f"Not possible here: {error}"}, status=409)
    except (ValueError, ValidationError) as error:
        text = "That was not understood." if isinstance(error, ValidationError) else str(error)
        return reply({"error": text}, status=400)
    except ApiError as error:
        return reply({"error": error.message}, status=error.status)
    except web.HTTPRequestEntityTooLarge:
        return reply({"error": "That is too large."}, status=413)


def _listening_on(request: web.Request) -> str:
    name = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return str(name[0]) if name else ""


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def mount(app: web.Application, chat: Chat) -> None:
    """Put the page at the root of the sandbox's application."""

    def guarded(handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await guard(request, handler)

        return handle

    for path in _FILES:
        app.router.add_get(f"/{path}", guarded(chat.file))
    app.router.add_get("/page/events", guarded(chat.stream.serve))
    app.router.add_get("/page/commands", guarded(chat.commands))
    for name in ("say", "recording", "press", "menu", "submit", "react", "voice", "language"):
        app.router.add_post(f"/page/{name}", guarded(getattr(chat, name)))

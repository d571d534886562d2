"""The loopback Discord in one object: start it, point an unmodified client at it, act as its people.

async with Sandbox() as discord:
    mara = discord.add_person("Mara", "#c2577b")
    # a client with discord.http.Route.BASE = discord.api_base logs in with discord.token
    interaction = await discord.command(mara, discord.text, "listen start")
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self, TypeVar

from aiohttp import web

from sandbox import cdn, chat, oauth
from sandbox.bodies import is_ours
from sandbox.commands import CommandBook
from sandbox.faults import Faults
from sandbox.gateway import Gateway
from sandbox.grants import Grants
from sandbox.interactions import Interaction, Interactions
from sandbox.models import Attachment, Channel, ChannelType, Guild, Member, Message, Overwrite, User
from sandbox.people import People
from sandbox.permissions import BOT
from sandbox.posting import Posting
from sandbox.ratelimits import RateLimits
from sandbox.rest.app import create_api
from sandbox.seating import Seating
from sandbox.state import State
from sandbox.voice import Close, Speaker, SpeakingChange, VoiceServer, VoiceSettings
from sandbox.world import WORLD, SignedUrls, World

T = TypeVar("T")

_log = logging.getLogger("sandbox.http")
_log.addFilter(is_ours)

VOICE_HOST: Final = "127.0.0.1"
"""Those who talk are all inside this machine, and discord.py's voice knows no IPv6; `host` is for the pages."""
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what listens there is reached here


class Sandbox:
    """A Discord with one server, a bot account that is invited to it, and the account of a visitor who owns it."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        guild_name: str = "The Reading Room",
        bot_name: str = "Undertone",
        you: str = "You",
        heartbeat_interval_s: float = 41.25,
        interaction_deadline_s: float = 3.0,
        interaction_lifetime_s: float = 900.0,
        allowed_privileged_intents: int = 0,
        rate_limits: bool = True,
        bot_permissions: int = BOT,
        voice_settings: VoiceSettings | None = None,
    ) -> None:
        self.host = host
        self._port = port
        self.token = token or f"sandbox.{secrets.token_urlsafe(24)}"
        self.state = State()
        self.faults = Faults()
        self.you = self.state.add_user(you, colour="#4f7a5b")
        self.bot = self.state.add_user(bot_name, colour="#6d5bd0", bot=True)
        self.guild: Guild = self.state.add_guild(guild_name, self.you)
        self.state.dm_channel(self.you.id)
        role = self.state.add_role(self.guild, bot_name, permissions=int(bot_permissions), managed=True)
        self.bot_role = role
        self.state.add_member(self.guild, self.bot, role_ids=(role.id,))
        self.text: Channel = self.state.add_channel(self.guild, "general", topic="Anything goes, kindly.")
        self.voice_channel: Channel = self.state.add_channel(self.guild, "Fireside", ChannelType.VOICE)
        urls = SignedUrls()
        self.gateway = Gateway(
            state=self.state,
            bot=self.bot,
            token=self.token,
            urls=urls,
            faults=self.faults,
            heartbeat_interval_s=heartbeat_interval_s,
            allowed_privileged=allowed_privileged_intents,
        )
        self.world = World(
            state=self.state,
            bot=self.bot,
            owner=self.you,
            token=self.token,
            urls=urls,
            commands=CommandBook(self.state.ids),
            interactions=Interactions(self.state, deadline_s=interaction_deadline_s, lifetime_s=interaction_lifetime_s),
            posting=Posting(self.state),
            gateway=self.gateway,
            faults=self.faults,
            limits=RateLimits(enabled=rate_limits),
            grants=Grants(client_secret=secrets.token_urlsafe(24)),
        )
        self.people = People(self.world)
        self.voice = VoiceServer(host=VOICE_HOST, settings=voice_settings, on_speaking=self._on_speaking)
        self.seating = Seating(self.state, self.gateway, self.voice)
        self._report_url: str | None = None
        self.chat = chat.Chat(self.world, self.people, self.you, lambda: self._report_url)
        self._stack = contextlib.AsyncExitStack()

    # running

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        try:
            await self._stack.enter_async_context(self.voice)
            await self._serve()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._stack.aclose()

    async def _serve(self) -> None:
        app = web.Application()
        app[WORLD] = self.world
        app.add_subapp("/api/v10", create_api())
        app.router.add_get("/gateway", self.gateway.handle)
        app.add_routes(cdn.ROUTES)
        app.add_routes([oauth.authorize(self.world)])
        chat.mount(app, self.chat)
        runner = web.AppRunner(app, access_log=None, logger=_log, shutdown_timeout=1.0)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        self._stack.push_async_callback(self._hang_up)
        site = web.TCPSite(runner, self.host, self._port)
        await site.start()
        self._port = runner.addresses[0][1]
        self.world.urls.base = self.url
        self.gateway.resume_url = f"ws://{self._authority}/gateway"

    async def _hang_up(self) -> None:
        self.chat.stream.close()
        await self.gateway.close()

    @property
    def _authority(self) -> str:
        host = _EVERY_ADDRESS.get(self.host, self.host)
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        """Where people look: the chat page."""
        return f"http://{self._authority}"

    @property
    def report_url(self) -> str | None:
        """The live report that the chat page links to, and shows beside the chat where there is room."""
        return self._report_url

    @report_url.setter
    def report_url(self, url: str | None) -> None:
        self._report_url = url
        self.chat.stream.publish("report", {"url": url})

    @property
    def api_base(self) -> str:
        """For `discord.http.Route.BASE`."""
        return f"{self.url}/api/v10"

    @property
    def gateway_url(self) -> str:
        """For `discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY`.

        discord.py asks REST for the gateway's address once; after an invalid session it goes to that default.
        """
        return self.gateway.resume_url

    @property
    def application_id(self) -> int:
        return self.world.application_id

    def ssl_context(self) -> ssl.SSLContext:
        """For the client's connector: it trusts the voice server's certificate, which nobody signed."""
        return self.voice.ssl_context()

    def _on_speaking(self, change: SpeakingChange) -> None:
        self.state.set_speaking(change.guild_id, change.user_id, change.speaking)

    @property
    def client_secret(self) -> str:
        """Of the application, for signing in to web pages with its id."""
        return self.world.grants.client_secret

    # the server and its people

    def add_person(self, name: str, colour: str = "#5b7fd1", *, role_ids: tuple[int, ...] = ()) -> User:
        user = self.state.add_user(name, colour=colour)
        self.state.add_member(self.guild, user, role_ids=role_ids)
        self.state.dm_channel(user.id)
        return user

    def add_server(self, name: str, *, shard: tuple[int, int] | None = None) -> Guild:
        """Another server of the visitor's, with the bot, a text channel and a voice channel; `shard` is the number of
        the shard that it is to be on, and of all shards."""
        guild = self.state.add_guild(name, self.you, shard=shard)
        role = self.state.add_role(guild, self.bot.name, permissions=self.bot_role.permissions, managed=True)
        self.state.add_channel(guild, "general")
        self.state.add_channel(guild, "Fireside", ChannelType.VOICE)
        self.state.add_member(guild, self.bot, role_ids=(role.id,))
        return guild

    def member(self, user: User) -> Member:
        return self.guild.members[user.id]

    def add_text_channel(self, name: str, *, topic: str | None = None) -> Channel:
        return self.state.add_channel(self.guild, name, topic=topic)

    def add_voice_channel(self, name: str) -> Channel:
        return self.state.add_channel(self.guild, name, ChannelType.VOICE)

    def speaker(self, user: User, *, pace: float = 1.0, **options: Any) -> Speaker:
        """The voice of a person; see `Speaker` for what it can do.

        async with discord.speaker(mara) as voice:
            await voice.join(discord.voice_channel.id)
            await voice.say(path)
        """
        return Speaker(user.id, self.seating, self.ssl_context(), pace=pace, **options)

    # what moderators and Discord itself do

    def move(self, user: User, channel: Channel) -> None:
        """Drag somebody who is in voice to another channel; the bot gets a ticket for it."""
        self.seating.move(user, channel)

    def disconnect(self, user: User) -> None:
        """Take somebody out of voice, as a moderator does."""
        self.state.leave_voice(self.guild.id, user.id)

    async def end_call(self, *, region_changed: bool, word_after_s: float = 0.2) -> None:
        """Close the bot's voice websocket with 4022; `word_after_s` later the gateway says what that means.

        When the region changed, the bot stays in the channel and is sent to another voice server; otherwise it is taken
        out of the channel, as by a kick.
        """
        if region_changed:
            await self.seating.change_region(self.bot, word_after_s)
            return
        await self.voice.close(self.bot.id, Close.CALL_TERMINATED)
        await asyncio.sleep(word_after_s)
        self.disconnect(self.bot)

    def suppress(self, user: User, *, suppressed: bool = True) -> None:
        """Take away or give what a stage gives to speakers: without it nobody hears them.

        Raises:
            LookupError: they are in no voice channel.
        """
        seat = self.state.voice_state(self.guild.id, user.id)
        if seat is None:
            raise LookupError(f"{user.name} is in no voice channel")
        self.state.update_voice(seat, suppress=suppressed)

    def silence(self, user: User, *, mute: bool | None = None, deaf: bool | None = None) -> None:
        """Mute or deafen somebody for the whole server.

        Raises:
            LookupError: they are in no voice channel.
        """
        seat = self.state.voice_state(self.guild.id, user.id)
        if seat is None:
            raise LookupError(f"{user.name} is in no voice channel")
        self.state.update_voice(seat, mute=mute, deaf=deaf)

    async def move_voice_server(self) -> None:
        """Send the bot to another voice server in the middle of its call."""
        await self.seating.move_voice_server(self.bot)

    def deny(self, user: User, channel: Channel, permissions: int) -> None:
        """Take permissions in a channel away from one member, in addition to what is denied already."""
        overwrite = next((o for o in channel.overwrites if o.kind == 1 and o.id == user.id), None)
        if overwrite is None:
            overwrite = Overwrite(id=user.id, kind=1)
            channel.overwrites.append(overwrite)
        overwrite.deny |= int(permissions)
        overwrite.allow &= ~int(permissions)
        self.state.update_channel(channel)

    # acting as a person; see `People` for all of it

    async def command(
        self, user: User, channel: Channel, text: str, options: Mapping[str, Any] | None = None, **how: bool
    ) -> Interaction:
        return await self.people.command(user, channel, text, options, **how)

    async def context_menu(self, user: User, message: Message, name: str) -> Interaction:
        return await self.people.context_menu(user, message, name)

    async def press(self, user: User, message: Message, custom_id: str) -> Interaction:
        return await self.people.press(user, message, custom_id)

    async def submit(self, interaction: Interaction, values: Mapping[str, str]) -> Interaction:
        return await self.people.submit(interaction, values)

    def send_message(
        self,
        user: User,
        channel: Channel,
        content: str = "",
        *,
        files: Sequence[tuple[str, bytes]] = (),
        reply_to: Message | None = None,
    ) -> Message:
        return self.people.send_message(user, channel, content, files=files, reply_to=reply_to)

    def send_voice_message(
        self, user: User, channel: Channel, ogg: bytes, *, reply_to: Message | None = None
    ) -> Message:
        return self.people.send_voice_message(user, channel, ogg, reply_to=reply_to)

    def forward(self, user: User, message: Message, channel: Channel) -> Message:
        return self.people.forward(user, message, channel)

    def direct_message(self, user: User, content: str = "", *, files: Sequence[tuple[str, bytes]] = ()) -> Message:
        return self.people.direct_message(user, content, files=files)

    def file(self, channel: Channel, name: str, content: bytes) -> Attachment:
        return self.people.file(channel, name, content)

    # looking

    def messages(self, channel: Channel, *, seen_by: User | None = None) -> list[Message]:
        """Oldest first. `seen_by` leaves out what only others can see; without it everything is listed."""
        found = self.state.messages(channel.id)
        return found if seen_by is None else [m for m in found if m.visible_to in (None, seen_by.id)]

    async def wait_for(self, predicate: Callable[[], T | None], timeout_s: float = 60.0) -> T:
        """Wait until `predicate` returns something true, and return it.

        It is asked at each change here, and every 50 ms besides, for what changes elsewhere.

        Raises:
            TimeoutError: it did not in time.
        """
        changed = asyncio.Event()
        stop = self.state.listen(lambda _: changed.set())
        try:
            async with asyncio.timeout(timeout_s):
                while not (result := predicate()):
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(changed.wait(), 0.05)
                    changed.clear()
                return result
        finally:
            stop()

    async def answer(self, interaction: Interaction, timeout_s: float = 60.0) -> Message:
        """The bot's answer to an interaction, once it is more than "thinking"."""
        return await self.wait_for(lambda: interaction.answer, timeout_s)

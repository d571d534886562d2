"""The Discord client: which events it takes, and that something starts it again when it ends.

A gateway connection that is cut before its HELLO ends `Client.start()` for good (discord.py 2.7.1), so `ClientKeeper`
runs clients one after the other, with a growing pause, until it is told to stop. Intents are the smallest set that
works: servers, voice states, and messages without their content (Discord still shows what is sent to the bot or
mentions it).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import aiohttp
import discord
import structlog
import yarl
from discord import app_commands

from bot.app import App
from bot.application import MESSAGE_CONTENT_REMEDY, UNREACHABLE_REMEDY, intents, may_read_content
from bot.assembly import to_the_end
from bot.commands import register
from bot.commands.arrivals import never_heard, tell_present
from bot.commands.auto_listen import Gatherings, maybe_start
from bot.commands.common import report_error
from bot.commands.language import MenuTranslator
from bot.commands.voice_messages import VoiceMessages
from bot.commands.whose_voice import Remembered
from bot.directory import Directory
from bot.errors import DiscordRefused
from bot.listening.ends import EndReason
from bot.listening.manager import SessionManager, VoiceChange
from bot.settings import Settings
from bot.shards import SteadyClient, settle
from bot.statuses import ChannelStatuses
from bot.texts import english
from bot.voice import logs
from storage.errors import StorageError

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
STEADY_S: Final = 60.0
"""A client that was up this long starts the pauses anew."""

MakeConnector = Callable[[], aiohttp.BaseConnector]

_log = structlog.get_logger(__name__)


class UndertoneClient(SteadyClient):
    """One connection's life. Everything that lasts is in the `App`."""

    def __init__(
        self,
        app: App,
        remembered: Remembered,
        *,
        message_content: bool = False,
        connector: aiohttp.BaseConnector | None = None,
    ) -> None:
        options: dict[str, Any] = {} if connector is None else {"connector": connector}
        if (shards := app.settings.shards) is not None:
            options |= {"shard_ids": list(shards.ids), "shard_count": shards.count}
        super().__init__(
            intents=intents(message_content=message_content),
            max_messages=None,
            chunk_guilds_at_startup=False,
            guild_ready_timeout=2.0 if app.settings.is_discord else 0.2,
            allowed_mentions=discord.AllowedMentions.none(),
            activity=discord.CustomActivity(name=english.ACTIVITY),
            **options,
        )
        self.app = app
        self.up = asyncio.Event()
        self.statuses = ChannelStatuses(self)
        self._gatherings = Gatherings()
        self._tree = app_commands.CommandTree[UndertoneClient](self)
        self._tree.error(report_error)
        self._messages: VoiceMessages = register(self, self._tree, app, remembered)

    @property
    def _sessions(self) -> SessionManager:
        return self.app.sessions

    async def setup_hook(self) -> None:
        if not self.app.settings.is_discord:  # discord.py goes to its built-in address after an invalid session
            _, address, _ = await self.http.get_bot_gateway()
            discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(address)
        await self._tree.set_translator(MenuTranslator())
        if self.app.settings.shards is not None and 0 not in self.app.settings.shards.ids:
            return  # the process with the first shard does it for all
        commands = await self._tree.sync()
        _log.info("commands_synced", commands=len(commands))

    async def on_ready(self) -> None:
        self.up.set()
        _log.info("discord_ready", servers=len(self.guilds), shards=self.shard_count)
        if not self.intents.message_content:
            _log.warning("message_content_not_allowed", remedy=MESSAGE_CONTENT_REMEDY)
        here = {guild.id for guild in self.guilds}
        await to_the_end(self.app.storage.servers_present(here, self.app.clock.now(), self.app.neighbours.has))

    async def on_shard_resumed(self, shard_id: int) -> None:
        _log.info("discord_resumed", shard=shard_id)
        for guild in self.guilds:
            if guild.shard_id == shard_id:
                await self.on_guild_available(guild)

    async def on_guild_available(self, guild: discord.Guild) -> None:
        """A server's state came anew; people may have come and gone meanwhile."""
        for channel in (*guild.voice_channels, *guild.stage_channels):
            self._gatherings.begins(channel)
        await tell_present(self.app, guild)

    async def on_voice_state_update(
        self, member: discord.Member, before: discord.VoiceState, after: discord.VoiceState
    ) -> None:
        channel = after.channel  # discord.py writes into `after` when the member moves on
        arrived = channel is not None and channel != before.channel and not member.bot
        change = VoiceChange(
            guild_id=member.guild.id,
            user_id=member.id,
            bot=member.bot,
            itself=self.user is not None and member.id == self.user.id,
            before_id=before.channel.id if before.channel else None,
            after_id=channel.id if channel else None,
            server_deaf=after.deaf,
        )
        if before.channel is not None and channel != before.channel:
            self._gatherings.begins(before.channel)
        if channel is not None and arrived:
            if before.channel is not None:  # before anything is waited for: they may be gone from here, too, by then
                await self._sessions.voice_changed(replace(change, after_id=None))
            try:
                change = replace(change, bot=await never_heard(self.app, member))
            except StorageError as error:  # they are there all the same, and can press the button
                _log.warning("arrival_not_looked_up", guild=member.guild.id, error=error.code)
                change = replace(change, unasked=True)
            if member.id not in channel.voice_states:  # left again meanwhile, and that was told already
                return
        await self._sessions.voice_changed(change)
        if channel is not None and arrived and self._gatherings.begins(channel):
            await maybe_start(self.app, channel)

    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        self._sessions.channel_deleted(channel.guild.id, channel.id)

    async def on_raw_message_delete(self, gone: discord.RawMessageDeleteEvent) -> None:
        self._sessions.messages_deleted(gone.guild_id, (gone.message_id,))
        await self._messages.deleted((gone.message_id,))

    async def on_raw_bulk_message_delete(self, gone: discord.RawBulkMessageDeleteEvent) -> None:
        self._sessions.messages_deleted(gone.guild_id, gone.message_ids)
        await self._messages.deleted(gone.message_ids)

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        self._sessions.guild_removed(guild.id)
        await to_the_end(self.app.storage.server_left(guild.id, self.app.clock.now()))

    async def on_guild_join(self, guild: discord.Guild) -> None:
        await self.app.storage.server_back(guild.id)

    async def on_guild_channel_update(self, _: discord.abc.GuildChannel, after: discord.abc.GuildChannel) -> None:
        self._check_permissions(after.guild)

    async def on_guild_role_update(self, _: discord.Role, after: discord.Role) -> None:
        self._check_permissions(after.guild)

    async def on_guild_role_delete(self, role: discord.Role) -> None:
        self._check_permissions(role.guild)

    async def on_thread_delete(self, thread: discord.Thread) -> None:
        """With a thread its messages go, and nobody is told of each."""
        self._sessions.places_changed(thread.guild.id)

    async def on_thread_update(self, _: discord.Thread, after: discord.Thread) -> None:
        self._sessions.places_changed(after.guild.id)  # it may be closed, and what stands there not to be changed

    async def on_member_update(self, _: discord.Member, after: discord.Member) -> None:
        if self.user is not None and after.id == self.user.id:
            self._check_permissions(after.guild)

    async def on_message(self, message: discord.Message) -> None:
        mentioned = self.user is not None and self.user in message.mentions  # a reply that pings it mentions it
        await self._messages.on_message(message, mentioned=mentioned)

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        _log.exception("event_failed", event_name=event_method)

    def _check_permissions(self, guild: discord.Guild) -> None:
        """Discord leaves a bot in a channel that it may not join any more; the bot does not stay."""
        session = self._sessions.of(guild.id)
        channel = guild.get_channel(session.record.channel_id) if session is not None else None
        if channel is None:
            return
        allowed = channel.permissions_for(guild.me)
        if not (allowed.view_channel and allowed.connect):
            self._sessions.permission_lost(guild.id)
        self._sessions.places_changed(guild.id)


class ClientKeeper:
    """Keeps a client running."""

    def __init__(
        self, settings: Settings, app: Callable[[], App], *, make_connector: MakeConnector | None = None
    ) -> None:
        logs.protect()  # before the first gateway message is logged
        self._settings = settings
        self._app = app
        self._make_connector = make_connector
        self._client: UndertoneClient | None = None
        self._remembered = Remembered()
        self._content = False
        """What Discord last told of *Message Content Intent*."""
        self._replaced = asyncio.Event()
        self._stop = asyncio.Event()
        self.restarts = 0
        self.names = Directory(
            lambda: self._client if self.ready else None, here=lambda guild_id: self._app().neighbours.has(guild_id)
        )

    @property
    def client(self) -> UndertoneClient:
        """The newest client, connected or not."""
        if self._client is None:
            raise RuntimeError("the gateway was not started")
        return self._client

    @property
    def ready(self) -> bool:
        return self._client is not None and self._client.is_ready() and not self._client.is_closed()

    async def connected(self) -> None:
        """Return when Discord can be talked to."""
        while not self.ready:
            self._replaced.clear()
            waits = [asyncio.create_task(self._replaced.wait(), name="gateway-replaced")]
            if self._client is not None and not self._client.is_closed():
                waits.append(asyncio.create_task(self._client.up.wait(), name="gateway-up"))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waits:
                    task.cancel()

    async def run(self) -> None:
        """Run clients until `close`. Raises DiscordRefused when trying again cannot help."""
        discord.http.Route.BASE = self._settings.discord_api_base
        pause_s = FIRST_PAUSE_S
        while not self._stop.is_set():
            started_s = asyncio.get_running_loop().time()
            error = await self._run_client()
            if self._stop.is_set():
                return
            self.restarts += 1
            remedy = {"remedy": UNREACHABLE_REMEDY} if isinstance(error, aiohttp.ClientConnectorError) else {}
            _log.warning("discord_connection_ended", error=type(error).__name__ if error else None, **remedy)
            await self._app().sessions.end_all(EndReason.CONNECTION_LOST, within_s=0.1)
            if asyncio.get_running_loop().time() - started_s > STEADY_S:
                pause_s = FIRST_PAUSE_S
            pause = pause_s * random.uniform(0.8, 1.2)  # noqa: S311  # spreads reconnects, hides nothing
            await asyncio.sleep(pause)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _run_client(self) -> Exception | None:
        told = await may_read_content(self._settings.discord_api_base, self._settings.token)
        if told is not None:  # a Discord in trouble, for which clients are replaced, may not tell
            self._content = told
        connector = self._make_connector() if self._make_connector is not None else None
        client = UndertoneClient(self._app(), self._remembered, message_content=self._content, connector=connector)
        self._client = client
        self._replaced.set()
        try:
            await client.start(self._settings.token)
        except discord.LoginFailure as error:
            raise DiscordRefused(english.LOGIN_REFUSED) from error
        except discord.PrivilegedIntentsRequired as error:
            if told is None and self._content:  # it was switched off meanwhile
                self._content = False
                return error
            raise DiscordRefused(english.INTENTS_REFUSED) from error
        except Exception as error:  # noqa: BLE001  # whatever ended it, the next one is started
            return error
        finally:
            if not client.is_closed():
                await client.close()
        return None

    async def close(self) -> None:
        """Disconnect and start no other. Waits for what discord.py began for events and commands."""
        self._stop.set()
        if self._client is not None:
            await self._client.close()
        await settle()

"""A session's surface in Discord: embeds and buttons in a channel's chat, the status line, the headphones icon."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import discord
import structlog

from bot.cards import Card, embed_of
from bot.listening.surface import DISCORD_TROUBLE, Draw, NoPlace, Picture, Posted, SurfaceGone
from bot.own_messages import TROUBLE, OwnMessages
from bot.texts import Texts
from storage.errors import StorageError
from storage.records import MessageKind, MessageRecord, ServerSettings, SessionRecord, SummaryPlace

if TYPE_CHECKING:
    from bot.app import Spawn

NO_MENTIONS: Final = discord.AllowedMentions.none()
LOOK_IN_S: Final = 5.0
ASK_NAME_S: Final = 2.0
LATE_S: Final = 30.0
"""How long a message that nobody waits for may take; the next one to that channel has to wait for it."""
TO_POST: Final = discord.Permissions(view_channel=True, send_messages=True, embed_links=True)
TO_POST_IN_THREADS: Final = discord.Permissions(view_channel=True, send_messages_in_threads=True, embed_links=True)

ReadStatus = Callable[[discord.Guild, int], Any]
"""Asks Discord for a voice channel's status line: server and channel id, awaitable text or None."""

_log = structlog.get_logger(__name__)


class DiscordSurface:
    """Satisfies `bot.listening.surface.Surface`. Goes by ids, so that it outlives a client that was replaced."""

    def __init__(
        self,
        client: Callable[[], discord.Client],
        record: SessionRecord,
        *,
        asked_in: int | None,
        own: OwnMessages,
        read_status: ReadStatus,
        buttons: Callable[[Card, Texts], discord.ui.View | None],
        speaks: Callable[[ServerSettings], Texts],
        server: ServerSettings,
        spawn: Spawn,
    ) -> None:
        self._speaks = speaks
        self.server = server
        self._client = client
        self._record = record
        self._asked_in = asked_in
        self._own = own
        self._read_status = read_status
        self._buttons = buttons
        self._spawn = spawn

    @property
    def server(self) -> ServerSettings:
        return self._server

    @server.setter
    def server(self, server: ServerSettings) -> None:
        self._server = server
        self.texts = self._speaks(server)  # it may have chosen another language

    # --- messages

    async def post(
        self, card: Card, kind: MessageKind, *, picture: Draw | None = None, mention: Sequence[int] = ()
    ) -> Posted:
        more: dict[str, Any] = {"allowed_mentions": NO_MENTIONS}
        if kind is MessageKind.SUMMARY:  # of which there is one: Discord gives it back to whoever lost its answer
            more["nonce"] = self._record.id
        embed = embed_of(card)
        if (view := self._buttons(card, self.texts)) is not None:
            more["view"] = view
        if mention:
            more["content"] = " ".join(f"<@{user_id}>" for user_id in mention)
            more["allowed_mentions"] = discord.AllowedMentions(users=[discord.Object(user) for user in mention])
        drawn: Picture | None = None
        for channel_id in self._places(kind):
            if picture is not None:
                drawn, picture = await picture(), None
            more.pop("file", None)
            embed.set_image(url=None)
            if drawn is not None and may_attach(self._live().get_channel(channel_id)):
                more["file"] = picture_file(drawn)  # a file is read as it is sent, so each try has its own
                embed.set_image(url="attachment://summary.png")
            sending = asyncio.ensure_future(self._send(channel_id, kind, embed=embed, **more))
            try:
                return await asyncio.shield(sending)
            except (discord.NotFound, discord.Forbidden):
                continue
            except asyncio.CancelledError:
                try:
                    self._spawn(self._sent_late(sending, kind), f"late-{kind.value}-{self._record.id}")
                except RuntimeError:  # the service ends, and takes no task any more
                    sending.cancel()
                raise
        raise NoPlace

    async def _send(self, channel_id: int, kind: MessageKind, **content: Any) -> Posted:
        message = await self._channel(channel_id).send(**content)
        await self._own.note(message, kind, session_id=self._record.id, stale=kind is MessageKind.SUMMARY)
        return Posted(channel_id=channel_id, message_id=message.id)

    async def _sent_late(self, sending: asyncio.Future[Posted], kind: MessageKind) -> None:
        """Whoever posted it waits no more and does not know of it: it would say for ever that the bot listens.

        A summary stays, and is looked at with the next round of deletions.
        """
        with suppress(SurfaceGone, *TROUBLE):
            async with asyncio.timeout(LATE_S):
                posted = await sending
            if kind is not MessageKind.SUMMARY:
                await self.remove(posted)

    async def edit(self, posted: Posted, card: Card) -> None:
        message = self._channel(posted.channel_id).get_partial_message(posted.message_id)
        try:
            await message.edit(embed=embed_of(card), view=self._buttons(card, self.texts), allowed_mentions=NO_MENTIONS)
        except (discord.NotFound, discord.Forbidden) as error:
            raise SurfaceGone from error

    async def remove(self, posted: Posted) -> None:
        try:
            await self._own.discard(self._panel(posted))
        except StorageError as error:  # its row goes with the session
            _log.warning("message_not_forgotten", session=self._record.id, error=error.code)

    async def remove_later(self, posted: Posted) -> None:
        await self._own.discard_later(self._panel(posted))

    def stands_well(self, posted: Posted) -> bool:
        return next(self._places(MessageKind.PANEL), None) == posted.channel_id

    async def react(self, posted: Posted, emoji: str | None, *, instead_of: str | None) -> None:
        message = self._channel(posted.channel_id).get_partial_message(posted.message_id)
        me = self._live().user
        if instead_of is not None and me is not None:
            await message.remove_reaction(instead_of, me)
        if emoji is not None:
            await message.add_reaction(emoji)

    async def tell_starter(self, card: Card) -> None:
        if self._record.started_by is not None:
            private = await self._live().create_dm(discord.Object(self._record.started_by))
            message = await private.send(embed=embed_of(card))
            await self._own.note(message, MessageKind.SUMMARY, session_id=self._record.id, stale=True)

    # --- the voice channel

    async def status(self) -> str | None:
        guild = self._live().get_guild(self._record.guild_id)
        status = None if guild is None else await self._read_status(guild, self._record.channel_id)
        return status if isinstance(status, str) else None

    @asynccontextmanager
    async def looking_in(self) -> AsyncIterator[None]:
        """In the voice channel for a moment, deaf and mute: who is not in it may not change its status line."""
        guild = self._live().get_guild(self._record.guild_id)
        channel = guild.get_channel(self._record.channel_id) if guild is not None else None
        if guild is None or not isinstance(channel, discord.VoiceChannel):
            raise SurfaceGone
        seated = asyncio.ensure_future(
            self._live().wait_for(
                "voice_state_update",
                check=lambda member, _, after: member.id == guild.me.id and after.channel == channel,
                timeout=LOOK_IN_S,
            )
        )
        try:
            await guild.change_voice_state(channel=channel, self_deaf=True, self_mute=True)
            await seated
            yield
        finally:
            seated.cancel()
            await guild.change_voice_state(channel=None)

    async def show_status(self, text: str | None) -> None:
        channel = self._live().get_channel(self._record.channel_id)
        if isinstance(channel, discord.VoiceChannel):
            await channel.edit(status=text)
        elif text is not None:  # a stage has no status line
            raise SurfaceGone

    def audible(self) -> bool:
        guild = self._live().get_guild(self._record.guild_id)
        channel = guild.get_channel(self._record.channel_id) if guild is not None else None
        if guild is None or channel is None or not channel.permissions_for(guild.me).speak:
            return False
        seat = guild.me.voice
        return seat is None or not (seat.mute or seat.suppress)

    async def deafen(self, *, deaf: bool) -> None:
        guild = self._live().get_guild(self._record.guild_id)
        me: discord.Member | None = None if guild is None else guild.me  # unknown in the middle of a new session
        if guild is None or me is None or me.voice is None or me.voice.self_deaf == deaf:
            return
        await guild.change_voice_state(channel=me.voice.channel, self_deaf=deaf)

    def name(self, user_id: int) -> str | None:
        guild = self._client().get_guild(self._record.guild_id)
        member = guild.get_member(user_id) if guild is not None else None
        return member.display_name if member is not None else None

    async def called(self, user_id: int) -> str | None:
        if (name := self.name(user_id)) is not None:
            return name
        guild = self._client().get_guild(self._record.guild_id)
        if guild is None:
            return None
        try:
            async with asyncio.timeout(ASK_NAME_S):
                return (await guild.fetch_member(user_id)).display_name
        except DISCORD_TROUBLE:
            return None

    # --- places

    def _places(self, kind: MessageKind) -> Iterator[int]:
        """Channels in which the people of the call can see a message, the best first; a summary's is the chosen one.

        Raises SurfaceGone when the client does not know the server: it was removed from it, or has not heard of it yet
        since its gateway session began, and then knows no channel of it.
        """
        guild = self._live().get_guild(self._record.guild_id)
        if guild is None or (guild.unavailable and not guild.channels):
            raise SurfaceGone
        chosen = self._report_channel(guild) if kind is MessageKind.SUMMARY else None
        if chosen is not None:
            yield chosen
        system = guild.system_channel.id if guild.system_channel is not None else None
        for channel_id in dict.fromkeys((self._record.channel_id, self._asked_in, system)):
            if channel_id is not None and self._may_use(guild, channel_id):
                yield channel_id

    def _report_channel(self, guild: discord.Guild) -> int | None:
        """Where the server wants summaries, whoever of the call can see it."""
        if self.server.summary_place is not SummaryPlace.REPORT_CHANNEL or self.server.report_channel_id is None:
            return None
        channel = guild.get_channel_or_thread(self.server.report_channel_id)
        return channel.id if channel is not None and _may_post(channel) else None

    def _may_use(self, guild: discord.Guild, channel_id: int) -> bool:
        channel = guild.get_channel_or_thread(channel_id)
        if channel is None or not _may_post(channel):
            return False
        if isinstance(channel, discord.Thread) and channel.is_private():  # its permissions do not say who is in it
            return False
        if channel_id == self._record.channel_id:
            return True
        voice = guild.get_channel(self._record.channel_id)
        seated = voice.voice_states if isinstance(voice, discord.VoiceChannel | discord.StageChannel) else ()
        people = [member for user_id in seated if (member := guild.get_member(user_id)) is not None]
        return all(member.bot or channel.permissions_for(member).view_channel for member in people)

    def _panel(self, posted: Posted) -> MessageRecord:
        return MessageRecord(
            message_id=posted.message_id,
            channel_id=posted.channel_id,
            guild_id=self._record.guild_id,
            kind=MessageKind.PANEL,
        )

    def _channel(self, channel_id: int) -> discord.PartialMessageable:
        return self._live().get_partial_messageable(channel_id, guild_id=self._record.guild_id)

    def _live(self) -> discord.Client:
        """The client, as long as it can say anything."""
        client = self._client()
        if client.is_closed():
            raise SurfaceGone
        return client


def _may_post(channel: discord.abc.GuildChannel | discord.Thread) -> bool:
    """Whether the bot may post there: in a thread another permission counts than in its channel."""
    needed = TO_POST_IN_THREADS if isinstance(channel, discord.Thread) else TO_POST
    return channel.permissions_for(channel.guild.me) >= needed


def may_attach(channel: object) -> bool:
    """Whether the bot may send a file there: Discord refuses the whole message otherwise, so rather the words alone."""
    if not isinstance(channel, discord.abc.GuildChannel | discord.Thread):
        return True
    return channel.permissions_for(channel.guild.me).attach_files


def picture_file(picture: Picture) -> discord.File:
    return discord.File(io.BytesIO(picture.png), "summary.png", description=picture.description)

"""A session's surface in Discord: embeds and buttons in the panel's channel, the status line, the headphones icon."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

import discord

from bot.cards import Card, embed_of
from bot.listening.surface import SurfaceGone
from bot.texts import Texts

NO_MENTIONS: Final = discord.AllowedMentions.none()


class DiscordSurface:
    """Satisfies `bot.listening.surface.Surface`. Goes by ids, so that it outlives a client that was replaced."""

    def __init__(
        self,
        client: Callable[[], discord.Client],
        *,
        guild_id: int,
        panel_channel_id: int,
        voice_channel_id: int,
        buttons: Callable[[], discord.ui.View],
        texts: Texts,
    ) -> None:
        self.texts = texts
        self._client = client
        self._guild_id = guild_id
        self._panel_channel_id = panel_channel_id
        self._voice_channel_id = voice_channel_id
        self._buttons = buttons

    async def post(self, card: Card) -> int:
        try:
            if card.buttons:
                message = await self._channel().send(
                    embed=embed_of(card), view=self._buttons(), allowed_mentions=NO_MENTIONS
                )
            else:
                message = await self._channel().send(embed=embed_of(card), allowed_mentions=NO_MENTIONS)
        except discord.NotFound as error:
            raise SurfaceGone from error
        return message.id

    async def edit(self, message_id: int, card: Card) -> None:
        try:
            await (
                self._channel()
                .get_partial_message(message_id)
                .edit(
                    embed=embed_of(card),
                    view=self._buttons() if card.buttons else None,
                    allowed_mentions=NO_MENTIONS,
                )
            )
        except discord.NotFound as error:
            raise SurfaceGone from error

    async def remove(self, message_id: int) -> None:
        try:
            await self._channel().get_partial_message(message_id).delete()
        except discord.NotFound:
            return

    async def post_picture(self, card: Card, picture: bytes, *, description: str) -> int:
        file = discord.File(io.BytesIO(picture), "summary.png", description=description)
        embed = embed_of(card).set_image(url="attachment://summary.png")
        try:
            message = await self._channel().send(embed=embed, file=file, allowed_mentions=NO_MENTIONS)
        except discord.NotFound as error:
            raise SurfaceGone from error
        return message.id

    async def show_status(self, text: str | None) -> None:
        channel = self._live().get_channel(self._voice_channel_id)
        if isinstance(channel, discord.VoiceChannel):
            await channel.edit(status=text)
        elif text is not None:  # a stage has no status line
            raise SurfaceGone

    async def deafen(self, *, deaf: bool) -> None:
        guild = self._live().get_guild(self._guild_id)
        if guild is None or guild.me.voice is None or guild.me.voice.self_deaf == deaf:
            return
        await guild.change_voice_state(channel=guild.me.voice.channel, self_deaf=deaf)

    def name(self, user_id: int) -> str | None:
        guild = self._client().get_guild(self._guild_id)
        member = guild.get_member(user_id) if guild is not None else None
        return member.display_name if member is not None else None

    def _channel(self) -> discord.PartialMessageable:
        return self._live().get_partial_messageable(self._panel_channel_id, guild_id=self._guild_id)

    def _live(self) -> discord.Client:
        """The client, as long as it can say anything."""
        client = self._client()
        if client.is_closed():
            raise SurfaceGone
        return client

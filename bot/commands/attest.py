"""The statement before the first start in a server, with a button that makes it and starts at once."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import discord
import structlog

from bot.app import App
from bot.commands import starting
from bot.commands.common import Interaction, defer, guild_of, report_error, require_manage_server
from bot.texts import Texts, english

ATTEST_ID = "undertone:attest"

_log = structlog.get_logger(__name__)


class AttestButton(discord.ui.DynamicItem[discord.ui.Button[Any]], template=rf"{ATTEST_ID}(?::(?P<channel>\d+))?"):
    """Its id says in which channel to start, when one was named. The permission is checked again when it is pressed."""

    app: ClassVar[App]

    def __init__(self, texts: Texts, channel_id: int | None) -> None:
        custom_id = ATTEST_ID if channel_id is None else f"{ATTEST_ID}:{channel_id}"
        button = discord.ui.Button[Any](label=texts.BTN_ATTEST, style=discord.ButtonStyle.primary, custom_id=custom_id)
        super().__init__(button)
        self._channel_id = channel_id

    @classmethod
    async def from_custom_id(
        cls, interaction: Interaction, item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> AttestButton:
        return cls(english, int(match["channel"]) if match["channel"] else None)

    async def callback(self, interaction: Interaction) -> None:
        try:
            await self._stated(interaction)
        except Exception as error:  # noqa: BLE001  # a template's view has no error handler of ours
            await report_error(interaction, error)

    async def _stated(self, interaction: Interaction) -> None:
        await defer(interaction)
        require_manage_server(interaction, "NEEDS_MANAGE_SERVER")
        guild = guild_of(interaction)
        now = datetime.now(UTC)
        server = await self.app.storage.change_server(
            guild.id, lambda before: replace(before, attested_at=before.attested_at or now)
        )
        if server.attested_at == now:
            _log.info("server_attested", guild=guild.id, user=interaction.user.id)
        channel = guild.get_channel(self._channel_id) if self._channel_id is not None else None
        wanted = channel if isinstance(channel, discord.VoiceChannel | discord.StageChannel) else None
        await starting.start(interaction, self.app, wanted)


def attest_view(texts: Texts, channel_id: int | None) -> discord.ui.View:
    return discord.ui.View(timeout=None).add_item(AttestButton(texts, channel_id))

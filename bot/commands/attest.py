"""The statement before the first start in a server, with a button that makes it and starts at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import discord
import structlog

from bot.app import App
from bot.commands import starting
from bot.commands.common import Interaction, defer, guild_of, report_error, require_manage_server
from bot.texts import Texts, english

ATTEST_ID = "undertone:attest"

_log = structlog.get_logger(__name__)


class AttestView(discord.ui.View):
    """One button. The permission is checked again when it is pressed."""

    def __init__(self, app: App, texts: Texts = english) -> None:
        super().__init__(timeout=None)
        self._app = app
        self.attest.label = texts.BTN_ATTEST

    @discord.ui.button(style=discord.ButtonStyle.primary, custom_id=ATTEST_ID)
    async def attest(self, interaction: Interaction, _: discord.ui.Button[Any]) -> None:
        await defer(interaction)
        require_manage_server(interaction, "NEEDS_MANAGE_SERVER")
        guild = guild_of(interaction)
        server = await self._app.storage.server(guild.id)
        if server.attested_at is None:
            await self._app.storage.save_server(replace(server, attested_at=datetime.now(UTC)))
            _log.info("server_attested", guild=guild.id, user=interaction.user.id)
        await starting.start(interaction, self._app)

    async def on_error(self, interaction: Interaction, error: Exception, item: discord.ui.Item[Any], /) -> None:
        await report_error(interaction, error)

"""`/settings`: how Undertone behaves in this server. Reading is for everyone, changing needs Manage Server."""

from __future__ import annotations

from dataclasses import replace

import discord
from discord import app_commands

from bot import texts
from bot.app import App
from bot.cards import Card, embed_of
from bot.commands.common import Interaction, defer, guild_of, require_manage_server, say

MAX_AUTO_CHANNELS = 50


class SettingsGroup(app_commands.Group):
    def __init__(self, app: App) -> None:
        super().__init__(name="settings", description=texts.CMD_SETTINGS, guild_only=True)
        self._app = app

    @app_commands.command(name="show", description=texts.CMD_SETTINGS_SHOW)
    async def show(self, interaction: Interaction) -> None:
        await defer(interaction)
        server = await self._app.storage.server(guild_of(interaction).id)
        lines = texts.settings_lines(
            attested=server.attested_at is not None,
            role_id=server.listen_role_id,
            days=server.retention_days,
            channels=server.auto_channel_ids,
        )
        await say(interaction, embed=embed_of(Card(title=texts.SETTINGS_TITLE, text=lines)))

    @app_commands.command(name="role", description=texts.CMD_SETTINGS_ROLE)
    @app_commands.describe(role=texts.ARG_SETTINGS_ROLE)
    async def role(self, interaction: Interaction, role: discord.Role | None = None) -> None:
        await defer(interaction)
        require_manage_server(interaction)
        server = await self._app.storage.server(guild_of(interaction).id)
        await self._app.storage.save_server(replace(server, listen_role_id=role.id if role else None))
        await say(interaction, texts.role_set(role.id) if role else texts.ROLE_CLEARED)

    @app_commands.command(name="retention", description=texts.CMD_SETTINGS_RETENTION)
    @app_commands.describe(days=texts.CMD_SETTINGS_RETENTION)
    async def retention(self, interaction: Interaction, days: app_commands.Range[int, 1, 365]) -> None:
        await defer(interaction)
        require_manage_server(interaction)
        server = await self._app.storage.server(guild_of(interaction).id)
        await self._app.storage.save_server(replace(server, retention_days=days))
        await say(interaction, texts.retention_set(days))

    @app_commands.command(name="auto", description=texts.CMD_SETTINGS_AUTO)
    @app_commands.describe(channel=texts.ARG_SETTINGS_CHANNEL, on=texts.ARG_SETTINGS_ON)
    async def auto(self, interaction: Interaction, channel: discord.TextChannel, on: bool) -> None:
        await defer(interaction)
        require_manage_server(interaction)
        server = await self._app.storage.server(guild_of(interaction).id)
        others = tuple(known for known in server.auto_channel_ids if known != channel.id)
        chosen = (*others, channel.id)[-MAX_AUTO_CHANNELS:] if on else others
        await self._app.storage.save_server(replace(server, auto_channel_ids=chosen))
        await say(interaction, texts.auto_set(channel.id, on=on))

"""`/settings`: how Undertone behaves in this server. Reading is for everyone, changing needs Manage Server."""

from __future__ import annotations

from dataclasses import replace

import discord
from discord import app_commands

from bot.app import App
from bot.cards import Card, embed_of
from bot.commands.common import Interaction, defer, guild_of, require_manage_server, say
from bot.commands.language import described, texts_of
from bot.texts import Texts
from storage.records import ServerSettings

MAX_AUTO_CHANNELS = 50


class SettingsGroup(app_commands.Group):
    def __init__(self, app: App) -> None:
        super().__init__(name="settings", description=described("CMD_SETTINGS"), guild_only=True)
        self._app = app

    @app_commands.command(name="show", description=described("CMD_SETTINGS_SHOW"))
    async def show(self, interaction: Interaction) -> None:
        await defer(interaction)
        server = await self._app.storage.server(guild_of(interaction).id)
        texts = texts_of(interaction)
        await say(interaction, embed=embed_of(Card(title=texts.SETTINGS_TITLE, text=settings_lines(server, texts))))

    @app_commands.command(name="role", description=described("CMD_SETTINGS_ROLE"))
    @app_commands.describe(role=described("ARG_SETTINGS_ROLE"))
    async def role(self, interaction: Interaction, role: discord.Role | None = None) -> None:
        await defer(interaction)
        require_manage_server(interaction)
        server = await self._app.storage.server(guild_of(interaction).id)
        await self._app.storage.save_server(replace(server, listen_role_id=role.id if role else None))
        texts = texts_of(interaction)
        await say(interaction, texts("ROLE_SET", role_id=role.id) if role else texts.ROLE_CLEARED)

    @app_commands.command(name="retention", description=described("CMD_SETTINGS_RETENTION"))
    @app_commands.describe(days=described("CMD_SETTINGS_RETENTION"))
    async def retention(self, interaction: Interaction, days: app_commands.Range[int, 1, 365]) -> None:
        await defer(interaction)
        require_manage_server(interaction)
        server = await self._app.storage.server(guild_of(interaction).id)
        await self._app.storage.save_server(replace(server, retention_days=days))
        await say(interaction, texts_of(interaction)("RETENTION_SET", n=days))

    @app_commands.command(name="auto", description=described("CMD_SETTINGS_AUTO"))
    @app_commands.describe(channel=described("ARG_SETTINGS_CHANNEL"), on=described("ARG_SETTINGS_ON"))
    async def auto(self, interaction: Interaction, channel: discord.TextChannel, on: bool) -> None:
        await defer(interaction)
        require_manage_server(interaction)
        server = await self._app.storage.server(guild_of(interaction).id)
        others = tuple(known for known in server.auto_channel_ids if known != channel.id)
        chosen = (*others, channel.id)[-MAX_AUTO_CHANNELS:] if on else others
        await self._app.storage.save_server(replace(server, auto_channel_ids=chosen))
        await say(interaction, texts_of(interaction)("AUTO_ON" if on else "AUTO_OFF", channel_id=channel.id))


def settings_lines(server: ServerSettings, texts: Texts) -> str:
    role_id = server.listen_role_id
    return texts(
        "SETTINGS_LINES",
        statement=texts.SETTINGS_ATTESTED if server.attested_at else texts.SETTINGS_NOT_ATTESTED,
        who=texts("SETTINGS_ROLE_AND_MANAGER", role_id=role_id) if role_id else texts.MANAGE_SERVER,
        days=texts("DAYS", n=server.retention_days),
        where=texts.together(f"<#{channel}>" for channel in server.auto_channel_ids) or texts.NOWHERE,
    )

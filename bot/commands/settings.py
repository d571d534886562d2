"""`/settings`: one message that shows how Undertone behaves in this server, with menus to change it.

Discord lets a message hold five rows. So the first menu chooses what to change, and the menu for that stands below it.
Reading is for everyone, changing needs Manage Server; that is checked again at each choice.
"""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import Any, ClassVar, Final

import discord
from discord import app_commands

from bot.app import App
from bot.cards import Card, embed_of
from bot.commands.arrivals import tell_present
from bot.commands.common import (
    Interaction,
    change,
    defer,
    defer_change,
    guild_of,
    manages_server,
    report_error,
    require_manage_server,
    say,
)
from bot.commands.language import described, texts_of
from bot.commands.settings_menus import TOPIC, Menu, Topic, changed, menus_for
from bot.commands.settings_words import settings_lines, warnings
from bot.listening.inert import fitting
from bot.texts import Texts
from storage.records import ServerSettings

CARD_CHARS: Final = 4_000
"""Of the 4,096 that Discord takes: a server may have many channels with something missing."""


def settings_command(app: App) -> app_commands.Command[Any, ..., None]:
    @app_commands.command(name="settings", description=described("CMD_SETTINGS"))
    @app_commands.guild_only()
    async def settings(interaction: Interaction) -> None:
        await defer(interaction)
        server = await app.storage.server(guild_of(interaction).id)
        texts = texts_of(interaction)
        view = settings_view(server, texts, None) if manages_server(interaction) else discord.utils.MISSING
        await say(interaction, embed=embed_of(settings_card(app, guild_of(interaction), server, texts)), view=view)

    return settings


def settings_card(app: App, guild: discord.Guild, server: ServerSettings, texts: Texts) -> Card:
    said = "\n".join(settings_lines(server, texts))
    wrong = [f"⚠️ {warning}" for warning in warnings(app, guild, server, texts)]
    if wrong:
        said += "\n\n" + fitting(wrong, CARD_CHARS - len(said), texts)
    return Card(title=texts.SETTINGS_TITLE, text=said)


def settings_view(
    server: ServerSettings, texts: Texts, topic: Topic | None, channel_id: int | None = None
) -> discord.ui.View:
    view = discord.ui.View(timeout=None)
    for select in menus_for(server, texts, topic, channel_id):
        view.add_item(SettingsMenu(select))
    return view


class SettingsMenu(
    discord.ui.DynamicItem[Any],
    template=r"undertone:settings:(?P<what>[a-z_]+)(?::(?P<channel>\d+))?",
):
    """One menu. Its id says what it chooses, so that it works after a restart."""

    app: ClassVar[App]

    def __init__(self, select: Menu) -> None:
        super().__init__(select)

    @classmethod
    async def from_custom_id(
        cls, interaction: Interaction, item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> SettingsMenu:
        return cls(item)  # type: ignore[arg-type]  # a menu, because its id is one of ours

    async def callback(self, interaction: Interaction) -> None:
        try:
            await self._chosen(interaction)
        except Exception as error:  # noqa: BLE001  # a template's view has no error handler of ours
            await report_error(interaction, error)

    async def _chosen(self, interaction: Interaction) -> None:
        require_manage_server(interaction)
        await defer_change(interaction)
        _, _, what, *rest = self.custom_id.split(":")
        values = chosen_in(interaction)
        guild, texts = guild_of(interaction), texts_of(interaction)
        server = await self.app.storage.server(guild.id)
        channel_id = int(rest[0]) if rest else None
        if what == TOPIC:
            topic = Topic(values[0])
        else:
            topic = Topic(what)
            if topic is Topic.VOICE and channel_id is None:
                channel_id = int(values[0])
            else:
                choice = partial(changed, topic=topic, values=values, channel_id=channel_id)
                server = await self.app.storage.change_server(guild.id, choice)
                self.app.sessions.server_changed(server)
        card = settings_card(self.app, guild, server, texts)
        shown = change(interaction, embed=embed_of(card), view=settings_view(server, texts, topic, channel_id))
        if topic is Topic.UNHEARD_ROLES:  # at once, in a session that runs, too
            await asyncio.gather(tell_present(self.app, guild), shown)
        else:
            await shown


def chosen_in(interaction: Interaction) -> list[str]:
    """What was chosen in a menu: values, or ids of roles or channels."""
    data: Any = interaction.data or {}
    return [str(value) for value in data.get("values", [])]

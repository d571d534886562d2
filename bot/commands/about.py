"""`/about`: what it is, can and cannot."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from discord import app_commands

from bot import texts
from bot.app import App
from bot.cards import Card, embed_of
from bot.commands.common import Interaction, say


def about_command(app: App) -> app_commands.Command[Any, ..., None]:
    @app_commands.command(name="about", description=texts.CMD_ABOUT)
    async def about(interaction: Interaction) -> None:
        model = app.backend.model
        card = Card(
            title=texts.NAME,
            text=f"{texts.ABOUT}\n\n**{texts.NOT_FOR}**",
            footer=f"version {version('undertone')} · model {model.name} {model.version}: {', '.join(model.labels)}",
        )
        await say(interaction, embed=embed_of(card))

    return about

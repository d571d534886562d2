"""`/about`: what it is, can and cannot."""

from __future__ import annotations

from typing import Any

from discord import app_commands

from bot.app import App
from bot.cards import Card, embed_of
from bot.commands.common import Interaction, operator_line, say
from bot.commands.language import described, texts_of
from bot.release import program_version


def about_command(app: App) -> app_commands.Command[Any, ..., None]:
    @app_commands.command(name="about", description=described("CMD_ABOUT"))
    @app_commands.allowed_installs(guilds=True, users=True)
    @app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
    async def about(interaction: Interaction) -> None:
        texts, model = texts_of(interaction), app.backend.model
        card = Card(
            title=texts.NAME,
            text=f"{texts.ABOUT}\n\n**{texts.NOT_FOR}**\n\n{operator_line(app.settings, texts)}",
            footer=texts(
                "ABOUT_FOOTER",
                version=program_version(),
                model=f"{model.name} {model.version}",
                labels=texts.together(texts.tone(label) for label in model.labels),
            ),
        )
        await say(interaction, embed=embed_of(card))

    return about

"""`/analyze file` and *Apps → Analyze emotion*, in servers and wherever somebody added the bot to their account."""

from __future__ import annotations

from typing import Any, Final

import discord
from discord import app_commands

from bot.commands.common import Interaction, defer
from bot.commands.language import described
from bot.commands.voice_messages import VoiceMessages
from ser_engine.limits import DEFAULT_LIMITS

LIMITS: Final = {"megabytes": DEFAULT_LIMITS.max_bytes // 2**20, "minutes": round(DEFAULT_LIMITS.max_duration_s / 60)}


def analyze_command(messages: VoiceMessages) -> app_commands.Command[Any, ..., None]:
    """The slash command: the person's own file, the answer for their eyes."""

    @app_commands.command(name="analyze", description=described("CMD_ANALYZE"))
    @app_commands.describe(file=described("ARG_ANALYZE_FILE", **LIMITS))
    @app_commands.allowed_installs(guilds=True, users=True)
    @app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
    async def analyze(interaction: Interaction, file: discord.Attachment) -> None:
        await defer(interaction)
        await messages.asked_with_file(interaction, file)

    return analyze


def analyze_menu(messages: VoiceMessages) -> app_commands.ContextMenu:
    """The message's menu: reaction and reply below it, when whoever has to agree does."""

    @app_commands.allowed_installs(guilds=True, users=True)
    @app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
    async def analyze_emotion(interaction: Interaction, message: discord.Message) -> None:
        await defer(interaction)
        await messages.asked_in_menu(interaction, message)

    return app_commands.ContextMenu(name=described("MENU_ANALYZE"), callback=analyze_emotion)

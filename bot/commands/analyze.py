"""`/analyze file` and *Apps → Analyze emotion*."""

from __future__ import annotations

from typing import Any, Final

import discord
from discord import app_commands

from bot.app import App
from bot.cards import embed_of
from bot.commands.analysis import analysis_card, audio_of
from bot.commands.common import Interaction, defer, say
from bot.commands.language import described, texts_of
from bot.commands.voice_consent import Consent, VoiceMessages
from bot.errors import NotPossible
from ser_engine.limits import DEFAULT_LIMITS

LIMITS: Final = {"megabytes": DEFAULT_LIMITS.max_bytes // 2**20, "minutes": round(DEFAULT_LIMITS.max_duration_s / 60)}
USES, PER_S = 6, 60.0
"""A person's analyses in that time."""


class AnalyzeCommands:
    def __init__(self, app: App, messages: VoiceMessages) -> None:
        self._app = app
        self._messages = messages

    def command(self) -> app_commands.Command[Any, ..., None]:
        """The slash command: the person's own file, the answer for their eyes."""

        @app_commands.command(name="analyze", description=described("CMD_ANALYZE"))
        @app_commands.describe(file=described("ARG_ANALYZE_FILE", **LIMITS))
        @app_commands.checks.cooldown(USES, PER_S)
        async def analyze(interaction: Interaction, file: discord.Attachment) -> None:
            await defer(interaction)
            analysis = await self._messages.analyst.analyse(file)
            card = analysis_card(analysis, texts_of(interaction), model=self._app.backend.model.name)
            await say(interaction, embed=embed_of(card))

        return analyze

    def menu(self) -> app_commands.ContextMenu:
        """The message's menu: reaction and reply below it, when its author agrees."""

        @app_commands.checks.cooldown(USES, PER_S)
        async def analyze_emotion(interaction: Interaction, message: discord.Message) -> None:
            await defer(interaction)
            texts = texts_of(interaction)
            if audio_of(message) is None:
                raise NotPossible("NO_AUDIO_IN_MESSAGE")
            if message.author.bot or message.webhook_id is not None:
                raise NotPossible("NOT_A_PERSON")
            consent = await self._messages.consent(message, asker_id=interaction.user.id)
            if consent is Consent.REFUSED:
                raise NotPossible("AUTHOR_OPTED_OUT")
            if consent is Consent.UNKNOWN:
                await self._messages.ask(message, asker_id=interaction.user.id)
                await say(interaction, texts.ASKED_AUTHOR)
                return
            await self._messages.analyse(message)
            await say(interaction, texts.DONE_BELOW)

        return app_commands.ContextMenu(name=described("MENU_ANALYZE"), callback=analyze_emotion)

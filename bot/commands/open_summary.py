"""The button that opens a summary for those who may read the report, where the server wants it read by nobody else."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import discord

from bot.app import App
from bot.cards import SUMMARY_ID, embed_of
from bot.commands.common import Interaction, defer, reads_all, report_error, say
from bot.commands.language import texts_of
from bot.errors import NotPossible
from bot.listening.summary import summary_card
from bot.texts import Texts, english


class SummaryButton(discord.ui.DynamicItem[discord.ui.Button[Any]], template=rf"{SUMMARY_ID}(?P<session>[\w-]+)"):
    app: ClassVar[App]

    def __init__(self, texts: Texts, session_id: str) -> None:
        super().__init__(discord.ui.Button(label=texts.BTN_SUMMARY, custom_id=f"{SUMMARY_ID}{session_id}"))
        self._session_id = session_id

    @classmethod
    async def from_custom_id(
        cls, interaction: Interaction, item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> SummaryButton:
        return cls(english, match["session"])

    async def callback(self, interaction: Interaction) -> None:
        try:
            await defer(interaction)
            report = await self.app.storage.report(self._session_id)
            if report is None or not await self._may_read(interaction, report.session.guild_id):
                raise NotPossible("NO_REPORT")
            url = self.app.report_url(self._session_id)
            await say(interaction, embed=embed_of(summary_card(report, texts_of(interaction), report_url=url)))
        except Exception as error:  # noqa: BLE001  # a template's view has no error handler of ours
            await report_error(interaction, error)

    async def _may_read(self, interaction: Interaction, guild_id: int) -> bool:
        if guild_id == interaction.guild_id and reads_all(interaction, await self.app.storage.server(guild_id)):
            return True
        return await self.app.storage.may_open(self._session_id, interaction.user.id)

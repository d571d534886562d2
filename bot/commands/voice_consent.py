"""Voice messages: analysed for their author, or for somebody else when the author agrees.

What waits for an author's answer is held in memory only, because attachment addresses are never stored; after a restart
the button asks to be asked again.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from enum import StrEnum
from typing import Any, ClassVar, Final

import discord
import structlog

from bot.app import App
from bot.cards import embed_of
from bot.commands.analysis import Analyst, analysis_card, audio_of, reaction_of
from bot.commands.common import NO_MENTIONS, Interaction, report_error, say
from bot.commands.language import texts_of, texts_of_server
from bot.errors import NotAllowed, NotPossible, code_of, expected, in_words
from bot.texts import Texts, english
from storage.records import Decision

MAX_ASKED: Final = 200
"""Messages waiting for their author's answer; the oldest is forgotten."""

_log = structlog.get_logger(__name__)


class Consent(StrEnum):
    GIVEN = "given"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class VoiceMessages:
    """Answers to messages with audio."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.analyst = Analyst(app.backend, app.settings)
        self._asked: OrderedDict[int, discord.Message] = OrderedDict()

    def public(self, message: discord.Message) -> Texts:
        """The words for an answer that everybody reads who reads the message."""
        return texts_of_server(message.guild)

    async def consent(self, message: discord.Message, *, asker_id: int) -> Consent:
        """Whether the message may be analysed for that person: one's own always, else by the author's standing word."""
        if message.author.id == asker_id:
            return Consent.GIVEN
        if message.guild is None:
            return Consent.UNKNOWN
        standing = await self._app.storage.standing_consent(message.guild.id, message.author.id)
        if standing is Decision.OPT_OUT:
            return Consent.REFUSED
        return Consent.GIVEN if standing is Decision.OPT_IN else Consent.UNKNOWN

    async def ask(self, message: discord.Message, *, asker_id: int) -> None:
        """Ask the author, below the message, with buttons."""
        view = discord.ui.View(timeout=None)
        for choice in ("allow", "deny"):
            view.add_item(ConsentButton(choice, message.id, message.author.id, self.public(message)))
        await message.reply(
            self.public(message)("ASK_AUTHOR", author_id=message.author.id, asker_id=asker_id),
            view=view,
            allowed_mentions=discord.AllowedMentions(users=[message.author], replied_user=False, everyone=False),
        )
        self._asked[message.id] = message
        while len(self._asked) > MAX_ASKED:
            self._asked.popitem(last=False)

    def answered(self, message_id: int) -> discord.Message:
        """The message that an author was asked about. Raises NotPossible when it is not held any more."""
        message = self._asked.pop(message_id, None)
        if message is None:
            raise NotPossible("ASK_AGAIN")
        return message

    async def analyse(self, message: discord.Message) -> None:
        """React with the emotion's emoji and reply with the breakdown."""
        attachment = audio_of(message)
        if attachment is None:
            raise NotPossible("NO_AUDIO_IN_MESSAGE")
        analysis = await self.analyst.analyse(attachment)
        embed = embed_of(analysis_card(analysis, self.public(message), model=self._app.backend.model.name))
        try:
            await message.add_reaction(reaction_of(analysis))
        except discord.Forbidden:  # the reply says it too
            _log.info("reaction_not_allowed", channel=message.channel.id)
        await message.reply(embed=embed, allowed_mentions=NO_MENTIONS)
        _log.info("message_analysed", channel=message.channel.id, windows=len(analysis.windows))

    async def on_message(self, message: discord.Message, *, mentioned: bool) -> None:
        """A message that the bot may read: direct, or mentioning it, or in a channel where that was switched on."""
        if message.author.bot or message.webhook_id is not None:
            return
        if audio_of(message) is None:
            if message.guild is None and not message.attachments:
                await message.reply(self.public(message).DIRECT_HINT, allowed_mentions=NO_MENTIONS)
            return
        if message.guild is not None and not mentioned and not await self._switched_on(message):
            return
        try:
            await self.analyse(message)
        except Exception as error:  # noqa: BLE001  # the one error handler of messages
            if not expected(error):
                _log.error("message_failed", code=code_of(error), channel=message.channel.id, exc_info=error)
            await message.reply(in_words(error, self.public(message)), allowed_mentions=NO_MENTIONS)

    async def _switched_on(self, message: discord.Message) -> bool:
        """Automatic channels are for those who opted in."""
        assert message.guild is not None  # noqa: S101  # asked for messages of servers only
        server = await self._app.storage.server(message.guild.id)
        if message.channel.id not in server.auto_channel_ids:
            return False
        standing = await self._app.storage.standing_consent(message.guild.id, message.author.id)
        return standing is Decision.OPT_IN


class ConsentButton(
    discord.ui.DynamicItem[discord.ui.Button[Any]],
    template=r"undertone:voice:(?P<choice>allow|deny):(?P<message>\d+):(?P<author>\d+)",
):
    """The author's answer. Its id says whose choice it is."""

    messages: ClassVar[VoiceMessages]

    def __init__(self, choice: str, message_id: int, author_id: int, texts: Texts = english) -> None:
        allow = choice == "allow"
        super().__init__(
            discord.ui.Button(
                label=texts.BTN_ALLOW if allow else texts.BTN_DENY,
                style=discord.ButtonStyle.primary if allow else discord.ButtonStyle.secondary,
                custom_id=f"undertone:voice:{choice}:{message_id}:{author_id}",
            )
        )
        self._allow = allow
        self._message_id = message_id
        self._author_id = author_id

    @classmethod
    async def from_custom_id(
        cls, interaction: Interaction, item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> ConsentButton:
        return cls(match["choice"], int(match["message"]), int(match["author"]))

    async def callback(self, interaction: Interaction) -> None:
        try:
            await self._answer(interaction)
        except Exception as error:  # noqa: BLE001  # a template's view has no error handler of ours
            await report_error(interaction, error)

    async def _answer(self, interaction: Interaction) -> None:
        if interaction.user.id != self._author_id:
            raise NotAllowed("NOT_YOUR_CHOICE")
        if not self._allow:
            await interaction.response.edit_message(content=texts_of(interaction).DECLINED, view=None)
            return
        message = self.messages.answered(self._message_id)
        await interaction.response.edit_message(content=texts_of(interaction).AGREED, view=None)
        await self.messages.analyse(message)
        await say(interaction, texts_of(interaction).DONE_BELOW)

"""The buttons below the two questions about a recording. Their ids say whose choice it is."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Protocol

import discord

from bot.commands.common import Interaction, report_error
from bot.errors import NotAllowed
from bot.texts import Texts, english

_AUTHOR = r"undertone:voice:(?P<answer>allow|deny):(?P<message>\d+):(?P<person>\d+)"
_STATEMENT = r"undertone:word:(?P<answer>yes|no):(?P<ticket>[0-9a-f]+):(?P<person>\d+)"


class AnswerTaker(Protocol):
    """Who acts on the answers: `VoiceMessages`."""

    async def author_answered(self, interaction: Interaction, message_id: int, *, yes: bool) -> None: ...

    async def stated(self, interaction: Interaction, ticket: str, *, yes: bool) -> None: ...


class _Answer(discord.ui.DynamicItem[discord.ui.Button[Any]], template=r"undertone:none"):
    messages: ClassVar[AnswerTaker]
    refusal: ClassVar[str]

    def __init__(self, label: str, custom_id: str, *, yes: bool, about: str, person_id: int) -> None:
        style = discord.ButtonStyle.primary if yes else discord.ButtonStyle.secondary
        super().__init__(discord.ui.Button(label=label, style=style, custom_id=custom_id))
        self.yes = yes
        self.about = about
        self.person_id = person_id

    async def callback(self, interaction: Interaction) -> None:
        try:
            if interaction.user.id != self.person_id:
                raise NotAllowed(self.refusal)
            await self.answered(interaction)
        except Exception as error:  # noqa: BLE001  # a template's view has no error handler of ours
            await report_error(interaction, error)

    async def answered(self, interaction: Interaction) -> None:
        raise NotImplementedError


class AuthorButton(_Answer, template=_AUTHOR):
    """The answer of a voice message's author."""

    refusal = "NOT_YOUR_CHOICE"

    @classmethod
    async def from_custom_id(
        cls, interaction: Interaction, item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> AuthorButton:
        return author_button(english, int(match["message"]), int(match["person"]), yes=match["answer"] == "allow")

    async def answered(self, interaction: Interaction) -> None:
        await self.messages.author_answered(interaction, int(self.about), yes=self.yes)


class StatementButton(_Answer, template=_STATEMENT):
    """Whoever asks states whose voice it is."""

    refusal = "NOT_YOUR_QUESTION"

    @classmethod
    async def from_custom_id(
        cls, interaction: Interaction, item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> StatementButton:
        return statement_button(english, match["ticket"], int(match["person"]), yes=match["answer"] == "yes")

    async def answered(self, interaction: Interaction) -> None:
        await self.messages.stated(interaction, self.about, yes=self.yes)


def author_button(texts: Texts, message_id: int, person_id: int, *, yes: bool) -> AuthorButton:
    custom_id = f"undertone:voice:{'allow' if yes else 'deny'}:{message_id}:{person_id}"
    label = texts.BTN_ALLOW if yes else texts.BTN_DENY
    return AuthorButton(label, custom_id, yes=yes, about=str(message_id), person_id=person_id)


def statement_button(texts: Texts, ticket: str, person_id: int, *, yes: bool) -> StatementButton:
    custom_id = f"undertone:word:{'yes' if yes else 'no'}:{ticket}:{person_id}"
    label = texts.BTN_STATE if yes else texts.BTN_DENY
    return StatementButton(label, custom_id, yes=yes, about=ticket, person_id=person_id)


def author_buttons(texts: Texts, message_id: int, person_id: int) -> discord.ui.View:
    view = discord.ui.View(timeout=None)
    for yes in (True, False):
        view.add_item(author_button(texts, message_id, person_id, yes=yes))
    return view


def statement_buttons(texts: Texts, ticket: str, person_id: int) -> discord.ui.View:
    view = discord.ui.View(timeout=None)
    for yes in (True, False):
        view.add_item(statement_button(texts, ticket, person_id, yes=yes))
    return view

"""A message of the bot as plain data, and what Discord is sent for it.

A `Card` can be compared, so whoever shows one knows whether anything changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import discord

COLOUR: Final = 0x5865F2
COLOUR_TROUBLE: Final = 0xD9822B
COLOUR_ENDED: Final = 0x6B7280
_PERCENT: Final = re.compile(r"(?<=\d) %")
SUMMARY_ID: Final = "undertone:summary:"
"""What the id of the button begins with that opens a summary; the session's id follows."""


class Buttons(StrEnum):
    """What hangs below a message."""

    NONE = ""
    PANEL = "panel"
    LEAVE = "leave"
    """*Leave me out* alone."""
    SUMMARY = "summary"
    """Opens the summary of `Card.session_id` for those who took part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A message of the bot, before it becomes an embed."""

    title: str
    text: str
    fields: tuple[tuple[str, str], ...] = ()
    footer: str = ""
    colour: int = COLOUR
    buttons: Buttons = Buttons.NONE
    url: str | None = None
    session_id: str = ""


def embed_of(card: Card) -> discord.Embed:
    """A card as Discord shows it."""
    embed = discord.Embed(title=card.title, description=_unbroken(card.text), colour=card.colour, url=card.url)
    for name, value in card.fields:
        embed.add_field(name=name, value=_unbroken(value), inline=False)
    if card.footer:
        embed.set_footer(text=card.footer)
    return embed


def _unbroken(text: str) -> str:
    """With each figure and its % in one line, on a phone too; as the pages have it."""
    return _PERCENT.sub("\u00a0%", text)

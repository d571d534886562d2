"""Which language is spoken: the asking person's in private, the server's in public, each in Discord's own menus."""

from __future__ import annotations

from typing import Any

import discord
from discord import app_commands

from bot import texts
from bot.texts import Texts, english
from storage.records import ServerSettings

_NAMES = frozenset(
    {
        app_commands.TranslationContextLocation.command_name,
        app_commands.TranslationContextLocation.group_name,
        app_commands.TranslationContextLocation.parameter_name,
    }
)


def texts_of(interaction: discord.Interaction[Any]) -> Texts:
    """The words for the person who asked."""
    return texts.of(interaction.locale)


def public_texts(server: ServerSettings | None, guild: discord.Guild | None) -> Texts:
    """The words for what everybody in a server reads: the language that it chose here, or else in Discord."""
    if server is not None and server.language is not None:
        return texts.of(server.language)
    return english if guild is None else texts.of(guild.preferred_locale)


def described(key: str, **values: object) -> app_commands.locale_str:
    """A sentence of the catalogue for Discord's menus, which show it in the language of each person."""
    return app_commands.locale_str(english(key, **values), key=key, values=values)


class MenuTranslator(app_commands.Translator):
    """Gives Discord the names and descriptions of commands in every language there is."""

    async def translate(
        self, string: app_commands.locale_str, locale: discord.Locale, context: app_commands.TranslationContextTypes
    ) -> str | None:
        words = texts.of(locale)
        if words is english:
            return None  # what the command is made with
        if (key := string.extras.get("key")) is not None:
            return words(key, **string.extras["values"])
        return words.NAMES.get(string.message) if context.location in _NAMES else None

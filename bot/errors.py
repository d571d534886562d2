"""What the bot can refuse, and the one place that turns any error into words for a person.

    BotError
    ├── StartError            the service cannot start; the command line prints the text
    │   ├── SettingsError     a setting is missing or wrong
    │   ├── KeyFileError      the key file cannot be used
    │   ├── PortInUse         something else listens on the port
    │   └── DiscordRefused    Discord does not accept the token or the intents
    └── PersonError           said to the person who asked
        ├── NotAllowed        they may not do that
        ├── NotPossible       it makes no sense now (not in voice, nothing runs, already running)
        ├── MessageGone       the message it is about was deleted
        ├── BotLacksPermission  the bot may not do its part
        └── VoiceFailed       the voice connection did not come about

Every error has a stable `code` for logs, says whether trying again helps, and its text is a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

import discord
from discord import app_commands

from bot.texts import Texts, english
from ser_engine.errors import AudioError, BackendError, EngineError
from storage.errors import StorageError

GONE: Final = frozenset({10003, 10008})
"""Discord's codes for a channel and a message that are not there any more."""
OLD_COMMAND: Final = (app_commands.CommandNotFound, app_commands.CommandSignatureMismatch)
"""Some clients show commands as they were before they changed."""
INVALID_FORM: Final = 50035
"""Discord's code for a field that is wrong, such as a reply to a message that is not there any more."""


class BotError(Exception):
    """Base of all errors of the bot."""

    code: ClassVar[str] = "bot_error"
    retryable: ClassVar[bool] = False


class StartError(BotError):
    code = "start_error"


class SettingsError(StartError):
    code = "settings_error"


class KeyFileError(StartError):
    code = "key_file_error"


class PortInUse(StartError):
    code = "port_in_use"


class DiscordRefused(StartError):
    code = "discord_refused"


class PersonError(BotError):
    """Carries the name of its sentence in the catalogue, and what to fill in."""

    code = "person_error"

    def __init__(self, key: str, /, **values: object) -> None:
        super().__init__(key, values)
        self._key = key
        self._values = values

    def said(self, texts: Texts) -> str:
        """The sentence, in the language of who reads it."""
        return texts(self._key, **self._values)

    def __str__(self) -> str:
        return self.said(english)


class NotAllowed(PersonError):
    code = "not_allowed"


class NotPossible(PersonError):
    code = "not_possible"


class BotLacksPermission(PersonError):
    """The bot itself lacks `names` in a channel; all of them are named."""

    code = "bot_lacks_permission"

    def __init__(self, names: Sequence[str], channel_id: int) -> None:
        super().__init__("BOT_LACKS", channel_id=channel_id)
        self._names = names

    def said(self, texts: Texts) -> str:
        return texts("BOT_LACKS", channel_id=self._values["channel_id"], permissions=texts.permissions(self._names))


class MessageGone(PersonError):
    """The message was deleted meanwhile: there is nothing to answer any more."""

    code = "message_gone"

    def __init__(self) -> None:
        super().__init__("MESSAGE_GONE")


class VoiceFailed(PersonError):
    code = "voice_failed"
    retryable = True


def gone(error: BaseException) -> bool:
    """Whether Discord refuses because the message, or the one that is replied to, was deleted."""
    if not isinstance(error, discord.HTTPException):
        return False
    return error.code in GONE or (error.code == INVALID_FORM and "message_reference" in error.text)


def unwrap(error: BaseException) -> BaseException:
    """The error a command raised, out of discord.py's wrapping and out of a group of one."""
    while True:
        if isinstance(error, app_commands.CommandInvokeError):
            error = error.original
        elif isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        else:
            return error


def expected(error: BaseException) -> bool:
    """Whether the error is an answer, not a fault: those are said but not logged with a traceback."""
    error = unwrap(error)
    if isinstance(error, BackendError) and error.key == "stopped":  # the service is ending, and ended this too
        return True
    return isinstance(error, PersonError | AudioError | app_commands.CheckFailure) or code_of(error) in _EXPECTED


_EXPECTED = frozenset(
    {
        "backend_overloaded",
        "deadline_exceeded",
        "storage_unavailable",
        "discord_forbidden",
        "old_command",
        "option_gone",
    }
)


def code_of(error: BaseException) -> str:
    """A stable code for logs."""
    error = unwrap(error)
    if isinstance(error, BotError | EngineError | StorageError):
        return error.code
    if isinstance(error, discord.Forbidden):
        return "discord_forbidden"
    if isinstance(error, discord.HTTPException):
        return f"discord_http_{error.status}"
    if isinstance(error, app_commands.CommandOnCooldown):
        return "cooldown"
    if isinstance(error, OLD_COMMAND):
        return "old_command"
    if isinstance(error, app_commands.TransformerError):
        return "option_gone"
    return "unexpected"


def in_words(error: BaseException, texts: Texts, *, reference: str | None = None) -> str:
    """The sentence for the person, in their language.

    Order: our own, the engine's, storage's, discord.py's, then *something broke*.
    """
    error = unwrap(error)
    if isinstance(error, PersonError):
        return error.said(texts)
    if isinstance(error, AudioError | BackendError):
        return texts.refused(error)
    if isinstance(error, StorageError):
        return texts.STORAGE_AWAY if error.retryable else texts.STORAGE_REFUSED
    if isinstance(error, app_commands.CommandOnCooldown):
        return texts("COOLDOWN", seconds=max(1, round(error.retry_after)))
    if isinstance(error, app_commands.NoPrivateMessage):
        return texts.SERVER_ONLY
    if isinstance(error, app_commands.MissingPermissions):
        return texts("NEEDS_PERMISSIONS", permissions=texts.permissions(error.missing_permissions))
    if isinstance(error, app_commands.CheckFailure):
        return texts.NOT_ALLOWED
    if isinstance(error, OLD_COMMAND):
        return texts.OLD_COMMAND
    if isinstance(error, app_commands.TransformerError):
        return texts.OPTION_GONE
    if isinstance(error, discord.Forbidden):
        return texts.DISCORD_FORBIDS
    if gone(error):
        return texts.MESSAGE_GONE
    if isinstance(error, discord.HTTPException | TimeoutError | OSError):
        return texts.DISCORD_AWAY
    return texts("UNEXPECTED_REFERENCE", reference=reference) if reference else texts.UNEXPECTED

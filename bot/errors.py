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
        ├── BotLacksPermission  the bot may not do its part
        └── VoiceFailed       the voice connection did not come about

Every error has a stable `code` for logs, says whether trying again helps, and its text is a sentence.
"""

from __future__ import annotations

from typing import ClassVar

import discord
from discord import app_commands

from bot import texts
from ser_engine.errors import AudioError, BackendError, EngineError
from storage.errors import StorageError


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
    code = "person_error"


class NotAllowed(PersonError):
    code = "not_allowed"


class NotPossible(PersonError):
    code = "not_possible"


class BotLacksPermission(PersonError):
    code = "bot_lacks_permission"


class VoiceFailed(PersonError):
    code = "voice_failed"
    retryable = True


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
    return isinstance(error, PersonError | AudioError | app_commands.CheckFailure) or code_of(error) in _EXPECTED


_EXPECTED = frozenset({"backend_overloaded", "deadline_exceeded", "storage_unavailable", "discord_forbidden"})


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
    return "unexpected"


def in_words(error: BaseException, *, reference: str | None = None) -> str:
    """The sentence for the person. Order: our own, the engine's, storage's, discord.py's, then *something broke*."""
    error = unwrap(error)
    if isinstance(error, PersonError):
        return str(error)
    if isinstance(error, AudioError | BackendError):
        return texts.refused(error)
    if isinstance(error, StorageError):
        return texts.STORAGE_AWAY if error.retryable else texts.STORAGE_REFUSED
    if isinstance(error, app_commands.CommandOnCooldown):
        return texts.cooldown(error.retry_after)
    if isinstance(error, app_commands.NoPrivateMessage):
        return texts.SERVER_ONLY
    if isinstance(error, app_commands.MissingPermissions):
        return texts.missing_permissions(error.missing_permissions)
    if isinstance(error, app_commands.CheckFailure):
        return texts.NOT_ALLOWED
    if isinstance(error, discord.Forbidden):
        return texts.DISCORD_FORBIDS
    if isinstance(error, discord.HTTPException | TimeoutError | OSError):
        return texts.DISCORD_AWAY
    return texts.unexpected(reference)

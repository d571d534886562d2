"""Every error becomes a sentence; nothing technical and nothing private reaches a person."""

from __future__ import annotations

from typing import Any

import discord
import pytest
from discord import app_commands

import bot.errors as bot_errors
import ser_engine.errors as engine_errors
import storage.errors as storage_errors
from bot.errors import NotAllowed, code_of, expected, in_words, unwrap
from bot.texts import english as texts
from bot.texts import of
from ser_engine.refusals import refusal

pytestmark = pytest.mark.unit


def all_classes(base: type[Exception]) -> list[type[Exception]]:
    return [base, *(found for child in base.__subclasses__() for found in all_classes(child))]


class Answer:
    """The part of aiohttp's response that discord.py's errors read."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.reason = "because"


def http_error(kind: type[discord.HTTPException], status: int) -> discord.HTTPException:
    answer: Any = Answer(status)
    return kind(answer, {"code": 50013, "message": "Missing Permissions at 0x7f"})


def test_what_the_engine_refuses_is_said_in_the_sentence_of_its_catalogue() -> None:
    error = refusal("too_long", minutes=10)
    assert in_words(error, texts) == str(error) == "The recording is too long; at most 10 minutes can be analysed."


@pytest.mark.parametrize(
    "error",
    [
        *(kind("secret detail /path/x") for kind in all_classes(engine_errors.EngineError)),
        *(kind("secret detail /path/x") for kind in all_classes(storage_errors.StorageError)),
        http_error(discord.Forbidden, 403),
        http_error(discord.HTTPException, 500),
        http_error(discord.NotFound, 404),
        TimeoutError("secret detail"),
        ValueError("secret detail"),
        KeyError("secret detail"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_details_stay_in_the_log(error: Exception) -> None:
    words = in_words(error, texts)
    assert "secret" not in words
    assert "0x7f" not in words
    assert words[0].isupper()
    assert words.rstrip("`).").strip()


def test_our_own_errors_are_said_as_they_are() -> None:
    assert in_words(NotAllowed("MAY_NOT_STOP"), texts) == texts.MAY_NOT_STOP
    assert in_words(NotAllowed("NEEDS_ROLE", roles="<@&7>"), of("de")) == of("de")("NEEDS_ROLE", roles="<@&7>")


def test_wrapping_is_taken_off() -> None:
    @app_commands.command(name="x", description="x")
    async def command(interaction: discord.Interaction) -> None: ...

    wrapped = app_commands.CommandInvokeError(command, ExceptionGroup("g", [NotAllowed("NOT_ALLOWED")]))
    assert isinstance(unwrap(wrapped), NotAllowed)
    assert in_words(wrapped, texts) == texts.NOT_ALLOWED
    assert code_of(wrapped) == "not_allowed"
    assert expected(wrapped)


def test_a_fault_carries_a_reference_to_the_log() -> None:
    assert "`ab12cd`" in in_words(ZeroDivisionError(), texts, reference="ab12cd")
    assert not expected(ZeroDivisionError())


def test_a_command_of_before_is_no_fault() -> None:
    old = app_commands.CommandNotFound("settings show", [])
    assert in_words(old, texts) == texts.OLD_COMMAND
    assert expected(old)


def test_a_cooldown_says_how_long() -> None:
    cooldown = app_commands.Cooldown(1, 60)
    assert "12 s" in in_words(app_commands.CommandOnCooldown(cooldown, 12.3), texts)


def test_codes_are_unique_and_stable_words() -> None:
    kinds = all_classes(bot_errors.BotError)
    codes = [kind.code for kind in kinds]  # type: ignore[attr-defined]
    assert len(set(codes)) == len(codes)
    assert all(code.islower() and code.replace("_", "").isalpha() for code in codes)

"""What every command does alike: acknowledge at once, answer, and turn an error into words.

Discord forgets an interaction that nobody acknowledged within 3 s, so `defer` comes first and everything slow after it.
"""

from __future__ import annotations

import asyncio
import io
import json
import secrets
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import discord
import structlog

from bot.commands.language import texts_of
from bot.commands.permissions import Asker
from bot.errors import NotAllowed, NotPossible, code_of, expected, in_words, unwrap
from bot.settings import Settings
from bot.texts import Texts
from storage.records import ServerSettings

Interaction = discord.Interaction[Any]
T = TypeVar("T")

NO_MENTIONS = discord.AllowedMentions.none()
OVER: Final = frozenset({10015, 50027})
"""Discord's codes for an interaction whose 15 minutes are over: unknown webhook, invalid webhook token."""

_log = structlog.get_logger(__name__)


async def defer(interaction: Interaction) -> None:
    """Acknowledge; the answer follows, for the eyes of the asking person alone."""
    if not interaction.response.is_done():
        await interaction.response.defer(ephemeral=True, thinking=True)


async def defer_change(interaction: Interaction) -> None:
    """The same for a press that changes the message with the button or menu: `change` follows."""
    if not interaction.response.is_done():
        await interaction.response.defer()


async def change(interaction: Interaction, **content: Any) -> None:
    """Show the message with the pressed button or menu as `content` says."""
    if interaction.response.is_done():
        await interaction.edit_original_response(**content)
    else:
        await interaction.response.edit_message(**content)


async def acknowledged(interaction: Interaction, *works: Awaitable[T]) -> list[T]:
    """Acknowledge and do `works` at the same time; returns what these give.

    Whoever leaves is out with the next packet, however long Discord takes. Every work comes to its end, even when
    Discord refuses the acknowledgement. Then the first error is raised, one of the works before Discord's.
    """
    *done, deferred = await asyncio.gather(*works, defer(interaction), return_exceptions=True)
    for outcome in (*done, deferred):
        if isinstance(outcome, BaseException):
            raise outcome
    return done  # type: ignore[return-value]  # nothing in it is an error


async def say_as_json(interaction: Interaction, make: Callable[[], dict[str, Any]], name: str, *, parts: str) -> None:
    """Answer with what `make` returns, as a file; in a zip where Discord would not take it otherwise, as of half a day
    of talk; in several where that is too large, too, each with a part of the list that is named `parts`.

    Two hours of talk take a third of a second: in a thread, and not on the loop.
    """
    texts, limit = texts_of(interaction), interaction.filesize_limit
    files: list[tuple[str, bytes]] = []
    await asyncio.to_thread(lambda: _pack(make(), name, limit, parts, files))
    for number, (filename, body) in enumerate(files, 1):
        text = texts("EXPORTED_IN_PARTS", number=number, all=len(files)) if len(files) > 1 else texts.EXPORTED
        await say(interaction, text, file=discord.File(io.BytesIO(body), filename))


def _pack(
    whole: dict[str, Any], name: str, limit: int, parts: str, files: list[tuple[str, bytes]], *, in_parts: bool = False
) -> None:
    """Add to `files` names and contents of less than `limit` bytes. Parts are numbered inside their zips, too: whoever
    unpacks all of them in one folder has all of them."""
    stem, _, ending = name.rpartition(".")
    called = f"{stem}-{len(files) + 1}.{ending}" if in_parts else name
    # Indented also because the unindented kind would not let the loop run meanwhile.
    body = json.dumps(whole, indent=2, ensure_ascii=False, default=str).encode()
    if len(body) < limit:
        files.append((called, body))
        return
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(called, body)
    half = len(whole[parts]) // 2
    if half and packed.tell() >= limit:
        for part in (whole[parts][:half], whole[parts][half:]):
            _pack({**whole, parts: part}, name, limit, parts, files, in_parts=True)
    else:
        files.append((f"{called}.zip", packed.getvalue()))


async def say(interaction: Interaction, text: str | None = None, **rest: Any) -> discord.Message | None:
    """Answer: the first answer when none was given, a follow-up otherwise. In private.

    An interaction lasts 15 minutes; what took longer comes as a message to the person who asked, for it was for them
    alone.
    """
    rest.setdefault("allowed_mentions", NO_MENTIONS)
    if text is not None:
        rest["content"] = text
    if not interaction.response.is_done():
        await interaction.response.send_message(ephemeral=True, **rest)
        return None
    try:
        return await interaction.followup.send(ephemeral=True, wait=True, **rest)
    except discord.HTTPException as error:
        if error.code not in OVER:
            raise
    if isinstance(file := rest.get("file"), discord.File):
        file.reset()  # it was read
    return await interaction.user.send(**rest)


async def say_marked(interaction: Interaction, at_s: float) -> None:
    texts = texts_of(interaction)
    await say(interaction, texts("MARKED", time=texts.clock_time(at_s)))


async def report_error(interaction: Interaction, error: BaseException) -> None:
    """The one error handler of all commands and buttons: log what is a fault, say all of it in words."""
    error = unwrap(error)
    code = code_of(error)
    reference = None
    ids = {
        "guild": interaction.guild_id,
        "channel": interaction.channel_id,
        "user": interaction.user.id,
        "command": interaction.command.qualified_name if interaction.command else None,
    }
    if expected(error):
        _log.info("command_refused", code=code, **ids)
    else:
        reference = secrets.token_hex(3)
        _log.error("command_failed", code=code, reference=reference, exc_info=error, **ids)
    try:
        await say(interaction, in_words(error, texts_of(interaction), reference=reference))
    except discord.HTTPException as unsaid:
        _log.warning("error_not_said", code=code, status=unsaid.status, **ids)
    except RuntimeError:  # aiohttp's, when the connection to Discord was closed meanwhile
        if not interaction.client.is_closed():
            raise


@asynccontextmanager
async def told(interaction: Interaction) -> AsyncIterator[None]:
    """What goes wrong is said to the person who asked, and ends nothing but this."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # the one handler sorts them
        await report_error(interaction, error)


def operator_line(settings: Settings, texts: Texts) -> str:
    """Who runs this bot and how to reach them."""
    named = {"operator": settings.operator, "contact": settings.contact}
    if not (settings.operator and settings.contact):
        return texts.OPERATOR_UNNAMED
    return (
        texts("OPERATOR_POLICY", policy=settings.policy_url, **named)
        if settings.policy_url
        else texts("OPERATOR", **named)
    )


def guild_of(interaction: Interaction) -> discord.Guild:
    """The server of the interaction, as the client knows it."""
    if interaction.guild is None:
        raise NotPossible("SERVER_ONLY")
    return interaction.guild


def member_of(interaction: Interaction) -> discord.Member:
    """The asking member. Their permissions come with the interaction, computed by Discord."""
    if not isinstance(interaction.user, discord.Member):
        raise NotPossible("SERVER_ONLY")
    return interaction.user


def asker_of(interaction: Interaction) -> Asker:
    """The asking person, as the rules see them."""
    member = member_of(interaction)
    return Asker(
        user_id=member.id,
        manages_server=manages_server(interaction),
        role_ids=frozenset(role.id for role in member.roles),
    )


def manages_server(interaction: Interaction) -> bool:
    """Whether the asking person has *Manage Server* here, as Discord computed it for this interaction."""
    return interaction.guild_id is not None and interaction.permissions.manage_guild


def reads_all(interaction: Interaction, server: ServerSettings) -> bool:
    """Whether the server lets the asking person read all its reports: their roles come with the interaction."""
    member = interaction.user
    return isinstance(member, discord.Member) and any(role.id == server.viewer_role_id for role in member.roles)


def require_manage_server(interaction: Interaction, refusal: str = "NEEDS_SETTINGS_RIGHT") -> None:
    if not manages_server(interaction):
        raise NotAllowed(refusal)

"""From a request to what it may see: one session, under names or pseudonyms, or nothing, in words.

A report has two addresses: its own, for those whom `Access` lets in, and any number of share links. Everything about a
report lies below its address, so that a share link opens exactly one report and needs no cookie.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from bot.web import words
from bot.web.access import Access, Mode, Visitor, was_forwarded
from bot.web.errors import Forbidden, NotFound, SignInNeeded
from bot.web.keys import ACCESS, NAMES, STORAGE
from storage.records import ParticipantRecord, SessionRecord

SESSION_COOKIE: Final = "undertone_session"
_NAMES_TIMEOUT_S: Final = 2.5
_MAX_NAME_CHARS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One report that the visitor may see."""

    session_id: str
    shared: bool
    """Opened by a share link: no names."""
    page: str
    """Address of the page; `data` of what hangs on it."""
    data: str
    report_json: str


def visitor_of(request: web.Request) -> Visitor:
    access = request.app[ACCESS]
    return access.visitor(
        request.cookies.get(SESSION_COOKIE),
        host_header=request.headers.get("Host"),
        forwarded=was_forwarded(request.headers),
    )


def admit(access: Access, visitor: Visitor) -> None:
    """Raise unless the visitor is somebody: the owner, or signed in."""
    if visitor.owner or visitor.user_id is not None:
        return
    if access.mode is Mode.SIGN_IN:
        raise SignInNeeded(words.SIGN_IN)
    raise Forbidden(words.CLOSED if access.mode is Mode.CLOSED else words.NOT_LOCAL)


async def grant_of(request: web.Request) -> Grant:
    """The report the address names. Raises NotFound, Forbidden, SignInNeeded."""
    if (token := request.match_info.get("token")) is not None:
        session_id = await request.app[STORAGE].session_of_share(token)
        if session_id is None:
            raise NotFound(words.NO_SHARE)
        base = f"/s/{token}"
        return Grant(session_id=session_id, shared=True, page=base, data=base, report_json=f"{base}/report.json")
    session_id = request.match_info["session_id"]
    visitor = visitor_of(request)
    admit(request.app[ACCESS], visitor)
    if await request.app[STORAGE].session(session_id) is None:
        raise NotFound(words.NO_SESSION)
    if visitor.user_id is not None and session_id not in await request.app[STORAGE].sessions_of(visitor.user_id):
        raise Forbidden(words.NOT_YOURS)
    data = f"/api/v1/sessions/{session_id}"
    return Grant(session_id=session_id, shared=False, page=f"/sessions/{session_id}", data=data, report_json=data)


async def title_of(request: web.Request, session: SessionRecord, *, shared: bool = False) -> str:
    """What a session is called: its channel, or just a conversation."""
    if shared:
        return "A conversation"
    channel = await _bounded(request.app[NAMES].channel(session.guild_id, session.channel_id))
    return channel or "Voice channel"


async def server_of(request: web.Request, session: SessionRecord, *, shared: bool = False) -> str | None:
    return None if shared else await _bounded(request.app[NAMES].guild(session.guild_id))


async def names_of(
    request: web.Request, guild_id: int, participants: Sequence[ParticipantRecord], *, shared: bool = False
) -> dict[int, str]:
    """How each participant (by id) is called now; pseudonyms for who is not known and for holders of a share link."""
    if shared:
        return {p.id: p.pseudonym for p in participants}
    directory = request.app[NAMES]
    found = await asyncio.gather(*(_bounded(directory.name(guild_id, p.user_id)) for p in participants))
    return {p.id: name or p.pseudonym for p, name in zip(participants, found, strict=True)}


async def _bounded(look_up: Awaitable[str | None]) -> str | None:
    try:
        async with asyncio.timeout(_NAMES_TIMEOUT_S):
            name = await look_up
    except TimeoutError:
        return None
    return name[:_MAX_NAME_CHARS].strip() or None if name else None

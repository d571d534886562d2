"""From a request to what it may see: one session, under names or pseudonyms, or nothing, in words.

A report has two addresses: its own, for those whom `Access` lets in, and any number of share links. Everything about a
report lies below its address, so that a share link opens exactly one report and needs no cookie.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What a session and its people are called now."""

    title: str
    server: str | None
    people: Sequence[ParticipantRecord]
    names: Mapping[int, str]
    """By participant id: the name, or the pseudonym of who is not known or not to be named."""


async def heading_of(
    request: web.Request,
    session: SessionRecord,
    people: Sequence[ParticipantRecord] | None = None,
    *,
    shared: bool = False,
) -> Heading:
    """Look the names up, all at once and for a bounded time. Holders of a share link are told none."""
    if people is None:
        people = await request.app[STORAGE].participants(session.id)
    if shared:
        pseudonyms = {person.id: person.pseudonym for person in people}
        return Heading(title="A conversation", server=None, people=people, names=pseudonyms)
    directory = request.app[NAMES]
    channel, server, *found = await asyncio.gather(
        _bounded(directory.channel(session.guild_id, session.channel_id)),
        _bounded(directory.guild(session.guild_id)),
        *(_bounded(directory.name(session.guild_id, person.user_id)) for person in people),
    )
    names = {person.id: name or person.pseudonym for person, name in zip(people, found, strict=True)}
    return Heading(title=channel or "Voice channel", server=server, people=people, names=names)


async def headings_of(request: web.Request, sessions: Sequence[SessionRecord]) -> list[Heading]:
    return await asyncio.gather(*(heading_of(request, session) for session in sessions))


async def _bounded(look_up: Awaitable[str | None]) -> str | None:
    try:
        async with asyncio.timeout(_NAMES_TIMEOUT_S):
            name = await look_up
    except TimeoutError:
        return None
    return name[:_MAX_NAME_CHARS].strip() or None if name else None

"""From a request to what it may see: one session, under names or pseudonyms, or nothing, in words.

A report has two addresses: its own, for those whom `Access` lets in, and any number of share links. Everything about a
report lies below its address, so that a share link opens exactly one report and needs no cookie.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from bot.web import words
from bot.web.access import KEY_COOKIE, SESSION_COOKIE, Access, Mode, Visitor
from bot.web.errors import Forbidden, Gone, NotFound, SignInNeeded
from bot.web.keys import ACCESS, NAMES, READERS, STORAGE
from bot.web.names import readable
from storage.records import ParticipantRecord, SessionRecord

_NAMES_TIMEOUT_S: Final = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One report that the visitor may see."""

    session_id: str
    shared: bool
    """Opened by a share link: no names."""
    page: str
    """Address of the page."""
    data: str
    """Address below which its CSV, JSON and live events lie."""
    report_json: str
    only: int | None = None
    """The participant whose row alone a share link opens."""


def visitor_of(request: web.Request) -> Visitor:
    access = request.app[ACCESS]
    return access.visitor(
        session_cookie=request.cookies.get(access.cookie(SESSION_COOKIE)),
        key_cookie=request.cookies.get(access.cookie(KEY_COOKIE)),
        authorization=request.headers.get("Authorization"),
    )


def local_path(request: web.Request) -> str:
    """The path as the routes know it, whether or not a proxy took the public address's path off."""
    base = request.app[ACCESS].base
    return (
        request.path.removeprefix(base) or "/" if base and f"{request.path}/".startswith(f"{base}/") else request.path
    )


def admit(access: Access, visitor: Visitor) -> None:
    """Raise unless the visitor is somebody: has the key, or is signed in."""
    if visitor.known:
        return
    if access.mode is Mode.SIGN_IN:
        raise SignInNeeded(words.SIGN_IN)
    raise Forbidden(words.KEY_NEEDED)


async def grant_of(request: web.Request) -> Grant:
    """The report the address names. Raises NotFound, Gone, Forbidden, SignInNeeded."""
    store, base = request.app[STORAGE], request.app[ACCESS].base
    if (token := request.match_info.get("token")) is not None:
        share = await store.share(token)
        if share is None:
            raise NotFound(words.NO_SHARE)
        if not share.alive(datetime.now(UTC)):
            raise Gone(words.DEAD_SHARE)
        page = f"{base}/s/{token}"
        return Grant(
            session_id=share.session_id,
            shared=True,
            page=page,
            data=page,
            report_json=f"{page}/report.json",
            only=share.participant_id,
        )
    session_id = request.match_info["session_id"]
    visitor = visitor_of(request)
    admit(request.app[ACCESS], visitor)
    if visitor.user_id is not None and not await store.may_open(session_id, visitor.user_id):
        session = await store.session(session_id)
        if session is None:
            raise NotFound(words.NO_SESSION)
        if not await request.app[READERS].reads(session.guild_id, visitor.user_id):
            raise Forbidden(words.NOT_YOURS)
    data = f"{base}/api/v1/sessions/{session_id}"
    page = f"{base}/sessions/{session_id}"
    return Grant(session_id=session_id, shared=False, page=page, data=data, report_json=data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What a session and its people are called now."""

    title: str
    server: str | None
    people: Sequence[ParticipantRecord]
    names: Mapping[int, str]
    """By participant id: the name, or the pseudonym of a person whose name is not known or must not be shown."""


async def heading_of(
    app: web.Application,
    session: SessionRecord,
    people: Sequence[ParticipantRecord],
    *,
    shared: bool = False,
    alone: bool = False,
) -> Heading:
    """Look the names up, all at once and for a bounded time. Holders of a share link are told none.

    `alone`: the report holds one person's results.
    """
    if shared:
        pseudonyms = {person.id: person.pseudonym for person in people}
        title = "One voice of a conversation" if alone else "A conversation"
        return Heading(title=title, server=None, people=people, names=pseudonyms)
    directory = app[NAMES]
    channel, server, *found = await asyncio.gather(
        bounded(directory.channel(session.guild_id, session.channel_id)),
        bounded(directory.guild(session.guild_id)),
        *(bounded(directory.name(session.guild_id, person.user_id)) for person in people),
    )
    names = {person.id: name or person.pseudonym for person, name in zip(people, found, strict=True)}
    return Heading(title=channel or "Voice channel", server=server, people=people, names=names)


async def bounded(look_up: Awaitable[str | None]) -> str | None:
    """A readable name that is looked up for a bounded time."""
    try:
        async with asyncio.timeout(_NAMES_TIMEOUT_S):
            return readable(await look_up)
    except TimeoutError:
        return None

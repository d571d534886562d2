"""The list of sessions: what a visitor asked for, what they may see of it, and what it is called now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from bot.web.errors import BadParameter
from bot.web.grants import Heading, admit, bounded, visitor_of
from bot.web.keys import ACCESS, NAMES, READERS, STORAGE
from storage.listing import Listed, Wanted
from storage.records import SessionState

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
_MAX_ID: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the query parameters ask for."""

    server: int | None = None
    channel: int | None = None
    state: SessionState | None = None
    day: datetime | None = None
    """The start of a day in UTC."""
    before: datetime | None = None

    @property
    def chosen(self) -> bool:
        """Whether they leave anything out but by age."""
        return any(value is not None for value in (self.server, self.channel, self.state, self.day))

    @property
    def wanted(self) -> Wanted:
        ends = [self.day + timedelta(days=1)] if self.day is not None else []
        ends += [self.before] if self.before is not None else []
        return Wanted(
            guild_id=self.server,
            channel_id=self.channel,
            state=self.state,
            since=self.day,
            before=min(ends, default=None),
        )

    def query(self, **more: str) -> str:
        """As query parameters, to ask for the same again."""
        pairs = {
            "server": self.server,
            "channel": self.channel,
            "state": self.state.value if self.state else None,
            "day": self.day.date().isoformat() if self.day else None,
            "before": self.before.isoformat() if self.before else None,
        } | more
        return urlencode({name: value for name, value in pairs.items() if value is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    filters: Filters
    listed: Sequence[Listed]
    headings: Sequence[Heading]
    older: Filters | None
    """What asks for the next page; None on the last one."""

    @property
    def whole(self) -> bool:
        """Whether every session that the visitor may open is on it."""
        return self.older is None and self.filters.before is None and not self.filters.chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    id: int
    name: str


async def read_page(request: web.Request, *, limit: int) -> Page:
    """The page that the request asks for, of the sessions that the visitor may open.

    Raises BadParameter, SignInNeeded, Forbidden.
    """
    filters, visitor = read_filters(request), visitor_of(request)
    admit(request.app[ACCESS], visitor)
    readable: Collection[int] = ()
    if visitor.user_id is not None:
        readable = await request.app[READERS].servers(visitor.user_id, only=filters.server)
    found = await request.app[STORAGE].listed(
        filters.wanted, limit=limit + 1, user_id=visitor.user_id, readable=readable
    )
    listed = found[:limit]
    older = replace(filters, before=listed[-1].session.started_at) if len(found) > limit else None
    return Page(filters=filters, listed=listed, headings=await _headings(request, listed), older=older)


async def places(request: web.Request, page: Page) -> tuple[list[Place], list[Place]]:
    """Servers and channels to choose from: those of all sessions that the visitor may open."""
    visitor = visitor_of(request)
    if visitor.user_id is not None and page.whole:  # nobody's sessions are looked through twice
        pairs = sorted({(item.session.guild_id, item.session.channel_id) for item in page.listed})
    else:
        readable: Collection[int] = ()
        if visitor.user_id is not None:
            readable = await request.app[READERS].servers(visitor.user_id, only=None)
        pairs = await request.app[STORAGE].places(user_id=visitor.user_id, readable=readable)
    directory = request.app[NAMES]
    servers, channels = sorted({guild_id for guild_id, _ in pairs}), sorted(set(pairs))
    names = await asyncio.gather(
        *(bounded(directory.guild(guild_id)) for guild_id in servers),
        *(bounded(directory.channel(*pair)) for pair in channels),
    )
    return (
        _places(servers, names[: len(servers)]),
        _places((channel_id for _, channel_id in channels), names[len(servers) :]),
    )


def read_filters(request: web.Request) -> Filters:
    """Raises BadParameter."""
    query = request.query
    state = query.get("state") or None
    if state is not None and state not in set(SessionState):
        raise BadParameter(f"'state' must be one of {', '.join(SessionState)}.")
    return Filters(
        server=_id(query.get("server"), "server"),
        channel=_id(query.get("channel"), "channel"),
        state=SessionState(state) if state else None,
        day=_day(query.get("day")),
        before=_time(query.get("before")),
    )


def read_limit(request: web.Request) -> int:
    """Raises BadParameter."""
    raw = request.query.get("limit", str(DEFAULT_LIMIT))
    if not raw.isascii() or not raw.isdigit() or not 1 <= int(raw[:6]) <= MAX_LIMIT:
        raise BadParameter(f"'limit' must be a whole number from 1 to {MAX_LIMIT}.")
    return int(raw[:6])


async def _headings(request: web.Request, listed: Sequence[Listed]) -> list[Heading]:
    """What the sessions and their people are called. Each name is looked up once, all at the same time."""
    directory = request.app[NAMES]
    channels = {(item.session.guild_id, item.session.channel_id) for item in listed}
    guilds = {item.session.guild_id for item in listed}
    people = {(item.session.guild_id, person.user_id) for item in listed for person in item.people}
    asked: dict[tuple[object, ...], Awaitable[str | None]] = {
        **{("channel", *key): directory.channel(*key) for key in channels},
        **{("guild", key): directory.guild(key) for key in guilds},
        **{("person", *key): directory.name(*key) for key in people},
    }
    found = dict(zip(asked, await asyncio.gather(*map(bounded, asked.values())), strict=True))
    return [
        Heading(
            title=found["channel", item.session.guild_id, item.session.channel_id] or "Voice channel",
            server=found["guild", item.session.guild_id],
            people=item.people,
            names={
                person.id: found["person", item.session.guild_id, person.user_id] or person.pseudonym
                for person in item.people
            },
        )
        for item in listed
    ]


def _places(ids: Iterable[int], names: Iterable[str | None]) -> list[Place]:
    found = [Place(id=place_id, name=name or f"{place_id}") for place_id, name in zip(ids, names, strict=True)]
    return sorted(found, key=lambda place: place.name.casefold())


def _id(raw: str | None, name: str) -> int | None:
    if not raw:
        return None
    if not raw.isascii() or not raw.isdigit() or len(raw) > 19 or int(raw) > _MAX_ID:
        raise BadParameter(f"'{name}' must be a Discord id.")
    return int(raw)


def _day(raw: str | None) -> datetime | None:
    if not raw:
        return None
    try:
        day = datetime.strptime(raw, "%Y-%m-%d").replace(tzinfo=UTC)
        _ = day + timedelta(days=1)
    except (ValueError, OverflowError):
        raise BadParameter("'day' must be a date, such as 2026-03-02.") from None
    return day


def _time(raw: str | None) -> datetime | None:
    if not raw:
        return None
    try:
        found = datetime.fromisoformat(raw.replace(" ", "+"))  # a plus sign that was not escaped arrives as a space
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):  # not a time; a time that its zone moves out of the calendar
        pass
    raise BadParameter("'before' must be a time with its zone, such as 2026-03-02T20:00:00+00:00.")

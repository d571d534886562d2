"""Live events of a session as server-sent events.

Each has its id, so the browser names the last one it saw when it comes back (``Last-Event-ID``) and misses nothing.
A session that is over and no longer held answers 204, which tells the browser not to come back.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from aiohttp import web

from bot.listening.follower import Follower, LiveEvent
from bot.listening.live import TooManyFollowers
from bot.report import MARKED
from bot.web import words
from bot.web.errors import BadParameter, NotFound, Problem, Unavailable
from bot.web.grants import grant_of
from bot.web.keys import BUS, STORAGE, STREAMS
from bot.web.pulse import PULSES, Pulse
from storage.records import SessionState

HEARTBEAT_S: Final = 15.0
RETRY_MS: Final = 2_000
_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would otherwise hold events back
}


async def events(request: web.Request) -> web.StreamResponse:
    """``GET …/events``. Events of the kinds of `bot.listening.live`, and ``summary`` of `bot.web.pulse`."""
    grant = await grant_of(request)
    session = await request.app[STORAGE].session(grant.session_id)
    if session is None:
        raise NotFound(words.NO_SESSION)
    if grant.only is not None:  # the events are everybody's
        return web.Response(status=204)
    bus = request.app[BUS]
    if session.state is not SessionState.LIVE and not bus.knows(grant.session_id):
        return web.Response(status=204)
    last_id = _last_id(request)
    if bus.full:
        raise Unavailable("Too many pages follow live at the moment.", retry_after_s=30)
    if request.method == "HEAD":
        return web.Response(headers=_HEADERS)
    response = web.StreamResponse(headers=_HEADERS)
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # a handler always runs in one
    request.app[STREAMS].tasks.add(task)
    try:
        await response.prepare(request)
        await response.write(f"retry: {RETRY_MS}\n\n".encode())
        async with request.app[PULSES].of(request.app, grant.session_id) as pulse:
            with bus.follow(grant.session_id, last_id) as follower:
                async with aclosing(_pieces(request, follower, pulse, shared=grant.shared)) as pieces:
                    async for piece in pieces:
                        await response.write(piece)
        await response.write_eof()
    except (TooManyFollowers, ConnectionError):
        pass  # the last place was just taken, or the browser left; it comes back by itself
    finally:
        request.app[STREAMS].tasks.discard(task)
    return response


async def end_streams(app: web.Application) -> None:
    """At shutdown: browsers come back by themselves, the server must not wait for them."""
    for task in list(app[STREAMS].tasks):
        task.cancel()


async def _pieces(
    request: web.Request, follower: Follower, pulse: Pulse, *, shared: bool
) -> AsyncGenerator[bytes, None]:
    """What is to be written, as it comes, until the session or the visitor's right to see it ends."""
    loop = asyncio.get_running_loop()
    seen, check_at = pulse.version, loop.time() + HEARTBEAT_S
    while (events := await follower.next(max(0.0, check_at - loop.time()))) is not None:
        if loop.time() >= check_at:
            if not await _still_granted(request):
                return
            check_at = loop.time() + HEARTBEAT_S
            if not events:
                yield b": still here\n\n"
        if events:
            yield b"".join([await _line(event, pulse, shared=shared) for event in events])
        if pulse.version != seen:
            seen = pulse.version
            yield b"event: summary\ndata: " + pulse.summary(shared=shared) + b"\n\n"


async def _still_granted(request: web.Request) -> bool:
    """A link may be revoked, a session deleted, while a page follows it."""
    try:
        await grant_of(request)
    except Problem:
        return False
    return True


async def _line(event: LiveEvent, pulse: Pulse, *, shared: bool) -> bytes:
    """The event as it goes over the wire: made once for all who may see the same of it."""
    kind = "shared" if shared else "named"
    if (made := event.wire.get(kind)) is None:
        data = event.data
        if event.kind == "participant" and "participant_id" in data:
            name = None if shared else await pulse.name(data["participant_id"])
            data = data | {"name": name or data.get("pseudonym")}
        if shared and event.kind == "moment" and data.get("kind") == "mark":
            data = data | {"text": MARKED}  # what somebody wrote may name people
        text = json.dumps(data, separators=(",", ":"), default=str)
        made = event.wire[kind] = f"id: {event.id}\nevent: {event.kind}\ndata: {text}\n\n".encode()
    return made


def _last_id(request: web.Request) -> int | None:
    raw = request.headers.get("Last-Event-ID") or request.query.get("last_event_id")
    if raw is None or raw == "":
        return None
    if not raw.isascii() or not raw.isdigit() or len(raw) > 12:
        raise BadParameter("The last event's id must be a whole number.")
    return int(raw)

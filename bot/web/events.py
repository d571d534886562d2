"""Live events of a session as server-sent events.

Each has its id, so the browser names the last one it saw when it comes back (``Last-Event-ID``) and misses nothing.
A session that is over and no longer held answers 204, which tells the browser not to come back.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final, cast

from aiohttp import web

from bot.listening.live import LiveEvent, TooManySubscribers
from bot.web import words
from bot.web.errors import BadParameter, NotFound, Problem, Unavailable
from bot.web.grants import grant_of
from bot.web.keys import BUS, STORAGE, STREAMS
from storage.records import SessionState

HEARTBEAT_S: Final = 15.0
RETRY_MS: Final = 2_000


async def events(request: web.Request) -> web.StreamResponse:
    """``GET …/events``. Events of kinds participant, window, moment, state and reset; see `bot.listening.live`."""
    grant = await grant_of(request)
    session = await request.app[STORAGE].session(grant.session_id)
    if session is None:
        raise NotFound(words.NO_SESSION)
    bus = request.app[BUS]
    if session.state is not SessionState.LIVE and not bus.knows(grant.session_id):
        return web.Response(status=204)
    last_id = _last_id(request)
    if bus.full:
        raise Unavailable("Too many pages follow live at the moment.", retry_after_s=30)
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",  # nginx would otherwise hold events back
        }
    )
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # a handler always runs in one
    request.app[STREAMS].tasks.add(task)
    try:
        await response.prepare(request)
        await response.write(f"retry: {RETRY_MS}\n\n".encode())
        async with aclosing(_with_heartbeats(bus.subscribe(grant.session_id, last_id))) as stream:
            async for event in stream:
                if event is None and not await _still_granted(request):
                    break
                await response.write(_line(event) if event else b": still here\n\n")
        await response.write_eof()
    except (TooManySubscribers, ConnectionError):
        pass  # the last place was just taken, or the browser left; it comes back by itself
    finally:
        request.app[STREAMS].tasks.discard(task)
    return response


async def end_streams(app: web.Application) -> None:
    """At shutdown: browsers come back by themselves, the server must not wait for them."""
    for task in list(app[STREAMS].tasks):
        task.cancel()


async def _with_heartbeats(stream: AsyncIterator[LiveEvent]) -> AsyncGenerator[LiveEvent | None, None]:
    """The stream's events, with a None whenever nothing came for a while. Owns the stream and closes it."""
    pending: asyncio.Task[LiveEvent | None] | None = None
    try:
        while True:
            if pending is None:
                pending = asyncio.create_task(_next(stream), name="next live event")
            done, _ = await asyncio.wait({pending}, timeout=HEARTBEAT_S)
            if not done:
                yield None
                continue
            event, pending = pending.result(), None
            if event is None:
                return
            yield event
    finally:
        if pending is not None:
            pending.cancel()
            await asyncio.wait({pending})
        await cast(AsyncGenerator[LiveEvent, None], stream).aclose()


async def _next(stream: AsyncIterator[LiveEvent]) -> LiveEvent | None:
    return await anext(stream, None)


async def _still_granted(request: web.Request) -> bool:
    """A link may be revoked, a session deleted, while a page follows it."""
    try:
        await grant_of(request)
    except Problem:
        return False
    return True


def _line(event: LiveEvent) -> bytes:
    data = json.dumps(event.data, separators=(",", ":"), default=str)
    return f"id: {event.id}\nevent: {event.kind}\ndata: {data}\n\n".encode()


def _last_id(request: web.Request) -> int | None:
    raw = request.headers.get("Last-Event-ID") or request.query.get("last_event_id")
    if raw is None or raw == "":
        return None
    if not raw.isascii() or not raw.isdigit() or len(raw) > 12:
        raise BadParameter("The last event's id must be a whole number.")
    return int(raw)

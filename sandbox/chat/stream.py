"""What changes, as server-sent events for every open page.

A page that connects gets everything first and then the changes, so a page that was cut off needs no memory of ours. One
that reads too slowly is cut off, and connects again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Final

from aiohttp import web

from sandbox.chat.view import View
from sandbox.interactions import Interaction
from sandbox.models import Json
from sandbox.state import Change, State

_QUEUE_LIMIT: Final = 500
_VIEWERS_LIMIT: Final = 50
_KEEPALIVE_S: Final = 15.0

_Queue = asyncio.Queue[str | None]


class Stream:
    def __init__(self, state: State, view: View, snapshot: Callable[[], Json]) -> None:
        self._view = view
        self._snapshot = snapshot
        self._viewers: dict[_Queue, web.Request] = {}
        self._stop = state.listen(self._on_change)
        self.dropped = 0
        """Pages that were cut off because they read too slowly."""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if len(self._viewers) >= _VIEWERS_LIMIT:
            return web.Response(status=503, text="Too many pages are open.")
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return web.Response(headers=headers)
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        queue: _Queue = asyncio.Queue(_QUEUE_LIMIT)
        self._viewers[queue] = request
        try:
            await response.write(_event("all", self._snapshot()).encode())
            while (text := await self._next(queue)) is not None:
                await response.write(text.encode())
        except ConnectionError:
            pass
        finally:
            self._viewers.pop(queue, None)
        return response

    def publish(self, kind: str, data: Json) -> None:
        text = _event(kind, data)
        for queue in tuple(self._viewers):
            try:
                queue.put_nowait(text)
            except asyncio.QueueFull:
                self.dropped += 1
                self._cut_off(queue)

    def close(self) -> None:
        self._stop()
        for queue in tuple(self._viewers):
            self._end(queue)

    def _cut_off(self, queue: _Queue) -> None:
        """Whoever reads nothing would not read the end either, and would be written to for ever."""
        request = self._viewers[queue]
        self._end(queue)
        if request.transport is not None:
            request.transport.abort()

    def _end(self, queue: _Queue) -> None:
        self._viewers.pop(queue, None)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)

    async def _next(self, queue: _Queue) -> str | None:
        try:
            async with asyncio.timeout(_KEEPALIVE_S):
                return await queue.get()
        except TimeoutError:
            return ": still here\n\n"

    def _on_change(self, change: Change) -> None:
        if not self._viewers:
            return
        kind, subject = change.kind, change.subject
        if kind == "MESSAGE_DELETE":
            self.publish("gone", {"id": str(subject.id)})
        elif kind.startswith("MESSAGE"):
            self.publish("message", self._view.message(subject))
        elif kind == "SPEAKING":
            self.publish("speaking", {"id": str(subject.user_id), "speaking": subject.speaking})
        elif kind == "INTERACTION_ANSWERED":
            self._answered(subject)
        elif kind.startswith(("VOICE", "CHANNEL", "GUILD")):
            self.publish("places", self._view.places())

    def _answered(self, interaction: Interaction) -> None:
        if interaction.expired:
            self.publish("failed", {"to": str(interaction.user.id), "channel_id": str(interaction.channel.id)})


def _event(kind: str, data: Json) -> str:
    return f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"

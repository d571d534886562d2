"""The connections that browsers hold open, bounded in number and in patience.

aiohttp waits for ever for a request that was begun and not ended, and takes as many connections as the system gives; at
its limit the system refuses everything, new files and the bot's own connections included. So this stands between the
socket and aiohttp and looks at each connection:

- *half*: it is new, or a request has begun to arrive. It must be whole after ten seconds.
- *idle*: answered, and kept by the browser for its next request.
- *busy*: a request is being answered. How long a body may take is the reader's matter (`bot.web.upload`).

When there are as many as may be, the oldest half one gives way to the new one, then the oldest idle one: whoever holds
connections open without asking for anything loses them, and everybody else notices nothing. When all are busy, the new
one is told so (503). Whoever does not read an answer for a minute loses their connection too.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aiohttp import web

from bot.web.limits import client_at

HEADERS_WITHIN_S: Final = 10.0
IDLE_S: Final = 30.0
UNREAD_S: Final = 60.0
MOST: Final = 1_000
FEWEST: Final = 16
_SMALL_LIMIT: Final = 512
"""Below this many open files, fewer are kept for everything else."""
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 5\r\n"
    b"Connection: close\r\nContent-Length: 38\r\n\r\nToo many connections. Try again later."
)


def affordable() -> Connections:
    """As many as the process's limit of open files allows beside all else: database, Discord, voice, workers."""
    if sys.platform == "win32":
        return Connections()
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return Connections()
    small = limit < _SMALL_LIMIT
    backlog, kept_free = (16, limit // 4) if small else (64, 128)
    open_now = len(list(fds.iterdir())) if (fds := Path("/dev/fd")).exists() else 64
    # The loop takes a backlog at a time, and up to three of them before it sees that there are too many.
    return Connections(most=max(FEWEST, min(MOST, limit - open_now - kept_free - 3 * backlog)), backlog=backlog)


class Connections:
    """All connections of one server. Everything belongs to one event loop."""

    def __init__(
        self,
        *,
        most: int = MOST,
        most_per_client: int | None = None,
        backlog: int = 64,
        headers_within_s: float = HEADERS_WITHIN_S,
        idle_s: float = IDLE_S,
        unread_s: float = UNREAD_S,
    ) -> None:
        self.most: Final = most
        self.most_per_client: Final = most_per_client if most_per_client is not None else max(FEWEST, most // 2)
        self.backlog: Final = backlog
        """How many are taken in one go."""
        self.unread_s: Final = unread_s
        self._patience: Final = {"half": headers_within_s, "idle": idle_s}
        self._sweep_every_s: Final = min(1.0, headers_within_s / 4, idle_s / 4, unread_s / 4)
        self._waiting: dict[str, OrderedDict[_Connection, float]] = {"half": OrderedDict(), "idle": OrderedDict()}
        self._open: dict[web.RequestHandler, _Connection] = {}
        self._unread: dict[_Connection, tuple[int, float]] = {}
        self._per_client: Counter[str] = Counter()
        self._sweeping: asyncio.TimerHandle | None = None
        self._counts = {"gave_way": 0, "refused": 0, "too_slow": 0, "unread": 0}

    def factory(self, handler: Callable[[], web.RequestHandler]) -> Callable[[], asyncio.Protocol]:
        """What `loop.create_server` calls for each new connection."""
        return lambda: _Connection(self, handler())

    def begun(self, handler: web.RequestHandler | None) -> None:
        """A whole request is there, and is being answered."""
        if handler is not None and (connection := self._open.get(handler)) is not None:
            self._leave(connection)

    def ended(self, handler: web.RequestHandler | None) -> None:
        """The answer is made; the connection waits for the next request."""
        if handler is not None and (connection := self._open.get(handler)) is not None:
            self._wait(connection, "idle")

    def counters(self) -> dict[str, int]:
        """Totals since the start, and how many are open now."""
        return self._counts | {"open": len(self._open), **{kind: len(held) for kind, held in self._waiting.items()}}

    # --- what a connection tells

    def admit(self, connection: _Connection, handler: web.RequestHandler) -> bool:
        """Take a new connection in; another one may have to give way for it. False: there is no room."""
        client = connection.client
        is_near = client in ("127.0.0.1", "::1")  # this machine, or a proxy on it that speaks for everybody
        crowded = not is_near and self._per_client[client] >= self.most_per_client
        if (crowded and not self._make_room(client)) or (len(self._open) >= self.most and not self._make_room(None)):
            self._counts["refused"] += 1
            return False
        self._open[handler] = connection
        self._per_client[client] += 1
        self._wait(connection, "half")
        return True

    def heard(self, connection: _Connection) -> None:
        """Bytes arrived: an idle connection has begun its next request."""
        if connection in self._waiting["idle"]:
            self._wait(connection, "half")

    def lost(self, connection: _Connection, handler: web.RequestHandler) -> None:
        if self._open.pop(handler, None) is None:
            return
        self._leave(connection)
        self._unread.pop(connection, None)
        self._per_client[connection.client] -= 1
        if not self._per_client[connection.client]:
            del self._per_client[connection.client]

    def clogged(self, connection: _Connection, *, unread: int | None) -> None:
        """The other side does not read as fast as it is written to; None: it has caught up."""
        if unread is None:
            self._unread.pop(connection, None)
        else:
            self._unread[connection] = (unread, asyncio.get_running_loop().time())
            self._sweep_soon()

    # --- waiting, giving way, running out of patience

    def _wait(self, connection: _Connection, kind: str) -> None:
        self._leave(connection)
        self._waiting[kind][connection] = asyncio.get_running_loop().time()
        self._sweep_soon()

    def _leave(self, connection: _Connection) -> None:
        for held in self._waiting.values():
            held.pop(connection, None)

    def _make_room(self, client: str | None) -> bool:
        """Close the connection that has waited longest, of that client or of all."""
        for held in self._waiting.values():
            for connection in held:
                if client is None or connection.client == client:
                    self._counts["gave_way"] += 1
                    connection.cut()
                    return True
        return False

    def _sweep_soon(self) -> None:
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(self._sweep_every_s, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        now = asyncio.get_running_loop().time()
        for kind, held in self._waiting.items():
            late = [connection for connection, since in held.items() if now - since >= self._patience[kind]]
            for connection in late:
                if connection in self._unread:
                    continue  # its answer is still on its way
                self._counts["too_slow"] += kind == "half"
                connection.cut()
        for connection, (unread, since) in list(self._unread.items()):
            left = connection.unread()
            if left < unread:
                self._unread[connection] = (left, now)
            elif now - since >= self.unread_s:
                self._counts["unread"] += 1
                connection.cut()
        if self._unread or any(self._waiting.values()):
            self._sweep_soon()


class _Connection(asyncio.Protocol):
    """One connection: passes everything on to aiohttp's handler and tells `Connections` what it sees."""

    def __init__(self, connections: Connections, handler: web.RequestHandler) -> None:
        self.client = "unknown"
        self._connections = connections
        self._handler = handler
        self._transport: asyncio.Transport | None = None
        self._admitted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # what a TCP server makes
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.client = client_at(str(peer[0])) if peer else "unknown"
        self._admitted = self._connections.admit(self, self._handler)
        if self._admitted:
            self._handler.connection_made(transport)
        else:
            transport.write(_FULL)
            transport.close()

    def data_received(self, data: bytes) -> None:
        if self._admitted:
            self._connections.heard(self)
            self._handler.data_received(data)

    def eof_received(self) -> None:
        if self._admitted:
            self._handler.eof_received()

    def pause_writing(self) -> None:
        if self._admitted:
            self._connections.clogged(self, unread=self.unread())
            self._handler.pause_writing()

    def resume_writing(self) -> None:
        if self._admitted:
            self._connections.clogged(self, unread=None)
            self._handler.resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._admitted:
            self._admitted = False
            self._connections.lost(self, self._handler)
            self._handler.connection_lost(exc)

    def unread(self) -> int:
        """Bytes that are written and not sent yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def cut(self) -> None:
        """End it at once; its place is free from now on."""
        if self._transport is not None:
            self._transport.abort()
        self._connections.lost(self, self._handler)

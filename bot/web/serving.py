"""Listening: the application behind bounded connections, from the first socket to the last answer."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from bot.web.keys import CONNECTIONS
from bot.web.unreadable import Handler

LINGER_S: Final = 2.0
"""How long the rest of a refused upload is read and thrown away, so that its sender gets to see the answer."""
SHUTDOWN_S: Final = 2.0
_READY: Final = 256
"""Connections that the system holds until they are taken; beyond them a newcomer has to try again after a second."""


def _is_ours(record: logging.LogRecord) -> bool:
    """What is no HTTP, or a body that cannot be unpacked, is the other side's fault: the log gets no traceback."""
    return not (record.exc_info and isinstance(record.exc_info[1], (HttpProcessingError, web.RequestPayloadError)))


_log = logging.getLogger("bot.web.http")
_log.addFilter(_is_ours)


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve `app` while the context is open; gives the port. Raises OSError when it cannot be listened on."""
    connections = app[CONNECTIONS]
    runner = web.AppRunner(app, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        assert runner.server is not None  # noqa: S101  # made by setup
        loop = asyncio.get_running_loop()
        handler = partial(
            Handler,
            runner.server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # none is written; aiohttp's own runner says so in the same way
            logger=_log,
            lingering_time=LINGER_S,
        )
        listener = await loop.create_server(connections.factory(handler), host, port, backlog=connections.backlog)
        _hold_more_ready(listener)
        try:
            yield int(listener.sockets[0].getsockname()[1])
        finally:
            listener.close()
    finally:
        await runner.cleanup()


def _hold_more_ready(listener: asyncio.Server) -> None:
    """asyncio has one figure for what is held ready and for what is taken in one go, which must stay small."""
    for sock in listener.sockets:
        with socket.fromfd(sock.fileno(), sock.family, sock.type) as same:
            same.listen(_READY)

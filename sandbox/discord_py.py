"""Runs a discord.py client against the loopback Discord. Nothing else in this package knows a client library."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Final, Protocol

import aiohttp
import discord
import yarl

if TYPE_CHECKING:
    import ssl

READY_TIMEOUT_S: Final = 20.0
_POLL_S: Final = 0.01


class Reachable(Protocol):
    """A loopback Discord, in this process or in another one."""

    @property
    def api_base(self) -> str: ...
    @property
    def gateway_url(self) -> str: ...
    @property
    def token(self) -> str: ...
    def ssl_context(self) -> ssl.SSLContext: ...


@contextlib.contextmanager
def addresses(sandbox: Reachable) -> Iterator[None]:
    """Point discord.py at `sandbox`: REST, and the gateway it falls back to after an invalid session."""
    route, gateway = discord.http.Route, discord.gateway.DiscordWebSocket
    before = route.BASE, gateway.DEFAULT_GATEWAY
    route.BASE, gateway.DEFAULT_GATEWAY = sandbox.api_base, yarl.URL(sandbox.gateway_url)
    try:
        yield
    finally:
        route.BASE, gateway.DEFAULT_GATEWAY = before


@contextlib.asynccontextmanager
async def logged_in(client: discord.Client, sandbox: Reachable) -> AsyncIterator[None]:
    """Log `client` in, wait until it is ready, and log it out at the end.

    Raises what the log-in raised, or TimeoutError when the client is not ready after 20 s. A client with a connector of
    its own needs `sandbox.ssl_context()` in it.
    """
    if client.http.connector is discord.utils.MISSING:
        client.http.connector = aiohttp.TCPConnector(ssl=sandbox.ssl_context())
    with addresses(sandbox):
        task = asyncio.create_task(client.start(sandbox.token), name="discord.py client")
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while not client.is_ready():
                    if task.done():
                        task.result()
                    await asyncio.sleep(_POLL_S)
            yield
        finally:
            await client.close()
            await asyncio.gather(task, return_exceptions=True)

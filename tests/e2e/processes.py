"""`undertone run` as real processes that share a PostgreSQL and a loopback Discord, each with shards of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from sandbox import Sandbox
from tests.e2e.program import reaching, undertone

KEY = "5e" * 32
START_S = 180.0


@dataclass
class Running:
    """One process, and a browser at its pages."""

    process: asyncio.subprocess.Process
    url: str
    http: aiohttp.ClientSession
    log: list[str] = field(default_factory=list)

    async def json(self, path: str) -> Any:
        async with self.http.get(path) as response:
            assert response.status == 200, (await response.text(), self.log)
            return await response.json()

    async def report(self, session_id: str) -> Any:
        return await self.json(f"/api/v1/sessions/{session_id}")

    async def events(self, session_id: str) -> AsyncGenerator[tuple[str, Any], None]:
        """Live events from the first one on, until the session ends."""
        kind = ""
        async with self.http.get(f"/api/v1/sessions/{session_id}/events?last_event_id=0") as response:
            assert response.status == 200
            async for line in response.content:
                name, _, value = line.decode().strip().partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    yield kind, json.loads(value)

    async def kill(self) -> None:
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()


@asynccontextmanager
async def running(
    sandbox: Sandbox, database: str, folder: Path, shards: str, **settings: str
) -> AsyncIterator[Running]:
    """A process of its own group, with the seed engine inside; killed at the end. `settings` come on top."""
    settings = {
        **reaching(sandbox, folder),
        "DATABASE_URL": database,
        "UNDERTONE_SHARDS": shards,
        "UNDERTONE_SECRET_KEY": KEY,
        "UNDERTONE_WORKERS": "0",
        "PYTHONUNBUFFERED": "1",
        **settings,
    }
    async with undertone("run", folder=folder, before=(), **settings) as program:
        url = (await program.says(r"service_started .*url=(\S+)", START_S))[1]
        entry = (await program.says(r"Web pages: (\S+)"))[1]
        jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address without a name
        async with aiohttp.ClientSession(url, cookie_jar=jar) as http:
            if "?key=" in entry:  # else people sign in
                async with http.get(entry) as response:
                    assert response.status == 200
            yield Running(process=program.process, url=url, http=http, log=program.lines)

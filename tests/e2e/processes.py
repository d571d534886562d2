"""`undertone run` as real processes that share a PostgreSQL and a loopback Discord, each with shards of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]
KEY = "5e" * 32
START_S = 90.0


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
async def running(sandbox: Sandbox, database: str, folder: Path, shards: str) -> AsyncIterator[Running]:
    """A process of its own group, with the seed engine inside; killed at the end."""
    authority = folder / "authority.pem"
    authority.write_bytes(sandbox.voice.certificate.authority_pem)
    settings = {
        "DISCORD_TOKEN": sandbox.token,
        "DISCORD_API_BASE": sandbox.api_base,
        "DATABASE_URL": database,
        "SSL_CERT_FILE": str(authority),
        "PORT": "0",
        "UNDERTONE_SHARDS": shards,
        "UNDERTONE_SECRET_KEY": KEY,
        "UNDERTONE_DATA_DIR": str(folder / "data"),
        "UNDERTONE_MODEL": "seed",
        "UNDERTONE_WORKERS": "0",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UNDERTONE_", "DATABASE_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        "run",
        cwd=folder,
        env={**kept, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    log: list[str] = []
    reading: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(START_S):
            while (found := re.search(r"Web pages: (\S+)", log[-1] if log else "")) is None:
                line = await process.stdout.readline()
                assert line, "".join(log)
                log.append(line.decode())
        reading = asyncio.create_task(_read(process.stdout, log), name=f"log of {shards}")
        base, _, _ = found[1].partition("/?key=")
        jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address without a name
        async with aiohttp.ClientSession(base, cookie_jar=jar) as http:
            async with http.get(found[1]) as response:
                assert response.status == 200
            yield Running(process=process, url=base, http=http, log=log)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if reading is not None:
            await reading
        print(f"--- shards {shards}\n" + "".join(log))  # noqa: T201  # shown when the test fails


async def _read(stream: asyncio.StreamReader, log: list[str]) -> None:
    while line := await stream.readline():
        log.append(line.decode())

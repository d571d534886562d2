"""What the pages cost the server: a long report, a long list, two hundred pages that follow a session.

    python -m tests.load.web                        # about three minutes
    python -m tests.load.web --viewers 50 --sessions 1000

Not part of the gate. The web side runs in a process of its own over a database that was never talked into being, with a
backend without a model; processor time is that process's, so what this script itself costs does not count. The goals
are those of two quiet cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
from sqlalchemy import insert

from bot.listening.live import LiveBus
from bot.secret import load_key
from bot.web.access import SESSION_COOKIE, SESSION_LIFETIME_S, Access
from bot.web.app import create_app
from bot.web.connections import affordable
from bot.web.serving import serving
from lab import seed
from ser_engine.loading import loaded
from storage import Storage
from storage.database import Database
from storage.identity import Identity
from storage.schema import Participant, Session
from tests.fakes.backend import FakeBackend
from tests.fakes.names import FakeNames

WINDOW_EVERY_S: Final = 2.0


def access(folder: Path, *, signed_in: bool) -> Access:
    key = load_key(folder)
    if not signed_in:
        return Access.configure(host="127.0.0.1", key=key, open_to_all=True)
    return Access.configure(
        host="127.0.0.1",
        key=key,
        public_url="http://127.0.0.1",
        oauth_client_id="1",
        oauth_client_secret="2",
    )


async def serve(folder: Path, *, signed_in: bool, live: str) -> None:
    """The process that is measured: prints its port, and tells a window of the live session every two seconds."""
    bus, backend = LiveBus(), FakeBackend()
    await backend.start()
    storage = await Storage.open(f"sqlite:///{folder / seed.DATABASE}", key=load_key(folder))
    names = FakeNames(people={100 + n: f"Person {n}" for n in range(50)}, channels={20: "Story night"})
    app = create_app(
        storage=storage,
        backend=backend,
        bus=bus,
        names=names,
        access=access(folder, signed_in=signed_in),
        connections=affordable(),
    )
    loaded()  # as `undertone run` does
    async with serving(app, "127.0.0.1", 0) as port:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        report = await storage.report(live) if live else None
        number = 0
        while True:
            await asyncio.sleep(WINDOW_EVERY_S)
            if report is None:
                continue
            last = report.participants[0].windows[-1]
            number += 1
            told = replace(last, start_s=last.end_s + 3 * number, end_s=last.end_s + 3 * number + 3)
            await storage.add_windows(live, [told])
            bus.publish(live, "window", asdict(told) | {"told_at": time.time()})


class Server:
    """That process, and the processor time it has taken."""

    def __init__(self, folder: Path, *, signed_in: bool = False, live: str = "") -> None:
        self._command = ["--serve", str(folder), *(["--signed-in"] if signed_in else []), "--live", live]

    async def __aenter__(self) -> Server:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.load.web", *self._command, stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.port = int(await self._process.stdout.readline())
        self.http = aiohttp.ClientSession(
            f"http://127.0.0.1:{self.port}", connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    def processor_s(self) -> float:
        """User and system time of the process so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def settled(self) -> None:
        """Wait until nothing is left of what the start does beside serving: pages are compiled then."""
        await self.get("/about")
        before_s = -1.0
        while (now_s := self.processor_s()) != before_s:
            before_s = now_s
            await asyncio.sleep(0.3)

    async def get(self, path: str, **headers: str) -> int:
        """The size of an answer as it travels."""
        async with self.http.get(path, headers={"Accept-Encoding": "gzip, deflate", **headers}) as response:
            body = await response.read()
            assert response.status == 200, (path, response.status)
            return len(body)

    async def cost(self, *paths: str, times: int, **headers: str) -> tuple[float, int]:
        """Mean processor time in ms, and bytes, of asking for `paths`."""
        began_s, size = self.processor_s(), 0
        for _ in range(times):
            size = sum([await self.get(path, **headers) for path in paths])
        return 1000 * (self.processor_s() - began_s) / times, size


async def long_report(folder: Path, session_id: str) -> None:
    """First: each time in a process that has not read it before. Then: again and again."""
    page, chart = f"/sessions/{session_id}", f"/api/v1/sessions/{session_id}/chart.json"
    first = []
    for _ in range(3):
        async with Server(folder) as server:
            await server.settled()
            first.append(await server.cost(page, chart, times=1))
            again, _ = await server.cost(page, chart, times=10)
    say("report, read for the first time: ms", statistics.median(ms for ms, _ in first), 150)
    say("report, read again: ms", again, 150)
    say("report: kB on the wire", first[0][1] / 1000, 150)


async def long_list(folder: Path) -> None:
    async with Server(folder) as server:
        await server.settled()
        ms, _ = await server.cost("/", times=10)
        say("list, open: ms", ms, 60)
    for who, user in (("took part in all", seed.STARTER_ID), ("took part in none", 1)):
        rules = access(folder, signed_in=True)
        cookie = rules.sign({"user": str(user)}, purpose="session", lifetime_s=SESSION_LIFETIME_S)
        async with Server(folder, signed_in=True) as server:
            await server.settled()
            ms, _ = await server.cost("/", times=10, Cookie=f"{rules.cookie(SESSION_COOKIE)}={cookie}")
            say(f"list, signed in, {who}: ms", ms, 100)


async def live_viewers(folder: Path, session_id: str, *, viewers: int, seconds: float) -> None:
    async with Server(folder, live=session_id) as server:
        late_s: list[float] = []
        failed = 0

        async def follow() -> None:
            nonlocal failed, late_s
            last_id = 0
            try:
                async with server.http.get(f"/api/v1/sessions/{session_id}/events") as response:
                    response.raise_for_status()
                    async for line in response.content:
                        if line.startswith(b"id:"):
                            number = int(line[3:])
                            failed += max(0, number - last_id - 1) if last_id else 0
                            last_id = number
                        elif line.startswith(b"data:") and b"told_at" in line:
                            late_s += [time.time() - json.loads(line[5:])["told_at"]]
            except (aiohttp.ClientError, OSError):
                failed += 1

        following = [asyncio.create_task(follow(), name=f"viewer {number}") for number in range(viewers)]
        await asyncio.sleep(2 * WINDOW_EVERY_S + viewers / 100)
        late_s.clear()
        began_s, at = server.processor_s(), time.monotonic()
        await asyncio.sleep(seconds)
        cores = (server.processor_s() - began_s) / (time.monotonic() - at)
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
    say(f"{viewers} viewers: cores", cores, 0.1)
    say(f"{viewers} viewers: s until 95 % have an event", statistics.quantiles(late_s, n=20)[-1], 0.5)
    say(f"{viewers} viewers: events and connections lost", failed, 0)


async def many_sessions(folder: Path, number: int) -> None:
    """Short conversations of two people beside the others, straight into the tables: ten thousand take seconds."""
    storage_key = load_key(folder)
    identity = Identity(storage_key)
    sealed = [identity.seal(seed.STARTER_ID + person) for person in range(2)]
    now = datetime.now(UTC)
    plain = {"state": "ended", "end_reason": "stopped", "model": "default", "model_version": "0", "counters": {}}
    sessions, participants = [], []
    for index in range(number):
        session_id, began_at = f"{index:016x}", now - timedelta(minutes=index)
        hashes = [identity.in_session(session_id, seed.STARTER_ID + person) for person in range(2)]
        sessions.append(
            plain
            | {"id": session_id, "guild_id": seed.GUILD_ID, "channel_id": seed.CHANNEL_IDS[0]}
            | {"starter_hash": hashes[0], "starter_sealed": sealed[0], "labels": list(seed.LABELS)}
            | {"started_at": began_at, "ended_at": began_at + timedelta(seconds=30)}
        )
        participants += [
            {"session_id": session_id, "number": person + 1, "included_at": began_at}
            | {"user_hash": hashes[person], "user_sealed": sealed[person]}
            for person in range(2)
        ]
    database = await Database.open(f"sqlite:///{folder / seed.DATABASE}")
    async with database.writing() as db:
        await db.execute(insert(Session), sessions)
        await db.execute(insert(Participant), participants)
    await database.close()


def fill(folder: Path, windows: int) -> None:
    """So many windows for each of the short conversations, made inside the database: five million take a minute."""
    with closing(sqlite3.connect(folder / seed.DATABASE)) as database, database:
        database.execute(
            "INSERT INTO windows (participant_id, start_ms, end_ms, speech_ratio, gap_ratio, emotion, confidence, "
            "unclear, reason, probabilities) "
            "WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < :each) "
            "SELECT p.id, n * 3000, n * 3000 + 2900, 9000, 0, 'Happy', 8000, 0, NULL, zeroblob(:bytes) "
            "FROM participants AS p CROSS JOIN number WHERE length(p.session_id) = 16 AND p.session_id GLOB '0000*'",
            {"each": windows // 2, "bytes": 2 * len(seed.LABELS)},
        )


def say(what: str, measured: float, goal: float) -> None:
    verdict = "" if measured <= goal else "   over the goal"
    sys.stdout.write(f"{what:<45} {measured:8.2f}   goal {goal:g}{verdict}\n")
    sys.stdout.flush()


async def main(options: argparse.Namespace) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / seed.DATABASE}"
        storage = await Storage.open(url, key=load_key(folder))
        long = await seed.add(storage, url, seed.CROWD)
        live = await seed.add(storage, url, replace(seed.CROWD, live=True, days_ago=0))
        await storage.close()
        if options.viewers:
            await long_report(folder, long)
            await live_viewers(folder, live, viewers=options.viewers, seconds=options.seconds)
        await many_sessions(folder, options.sessions)
        if options.windows:
            await asyncio.to_thread(fill, folder, options.windows)
            await long_report(folder, long)
        await long_list(folder)


def options() -> Any:
    parser = argparse.ArgumentParser(description="What the pages cost the server.")
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0, help="for which the viewers follow")
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--windows", type=int, default=0, help="in each of the sessions beside the others")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--live", default="", help=argparse.SUPPRESS)
    parser.add_argument("--signed-in", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    chosen = options()
    asyncio.run(serve(chosen.serve, signed_in=chosen.signed_in, live=chosen.live) if chosen.serve else main(chosen))

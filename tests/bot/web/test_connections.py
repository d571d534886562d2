"""Connections that are held open and ask for nothing: they lose their place, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.listening.live import LiveBus
from bot.web import words
from bot.web.access import Access
from bot.web.app import create_app
from bot.web.connections import Connections, affordable
from bot.web.serving import serving
from storage import Storage
from tests.bot.web.conftest import KEY
from tests.fakes.backend import FakeBackend

pytestmark = pytest.mark.integration

HALF = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"
WHOLE = HALF + b"\r\n"


class Place:
    """A server with chosen limits, and raw connections to it."""

    def __init__(self, storage: Storage, backend: FakeBackend, stack: AsyncExitStack) -> None:
        self._storage, self._backend, self._stack = storage, backend, stack
        self.port = 0
        self.connections: Connections
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self, *, extra: Callable[[web.Application], object] | None = None, **limits: Any) -> None:
        self.connections = Connections(**limits)
        app = create_app(
            storage=self._storage,
            backend=self._backend,
            bus=LiveBus(),
            access=Access.configure(host="127.0.0.1", key=KEY, open_to_all=True),
            connections=self.connections,
        )
        if extra is not None:
            extra(app)
        self.port = await self._stack.enter_async_context(serving(app, "127.0.0.1", 0))
        self._stack.push_async_callback(self.hang_up)

    async def connect(self, data: bytes = b"", *, source: str = "127.0.0.1") -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))
        self._writers.append(writer)
        writer.write(data)
        return reader

    def send(self, data: bytes) -> None:
        """Over the newest connection."""
        self._writers[-1].write(data)

    async def hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        for writer in self._writers:
            with suppress(ConnectionError):
                await writer.wait_closed()
        self._writers.clear()

    async def health(self) -> int:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{self.port}/health", timeout=aiohttp.ClientTimeout(total=60)) as response,
        ):
            await response.read()
            return response.status

    async def until(self, held: Callable[[dict[str, int]], bool]) -> None:
        async with asyncio.timeout(60):
            while not held(self.connections.counters()):
                await asyncio.sleep(0.01)


@pytest.fixture
async def place(storage: Storage, backend: FakeBackend) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        yield Place(storage, backend, stack)


async def closed(reader: asyncio.StreamReader) -> bytes:
    """What came until the server closed the connection."""
    async with asyncio.timeout(60):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def test_half_requests_and_silent_connections_are_closed(place: Place) -> None:
    await place.open(headers_within_s=0.2)
    readers = [await place.connect(HALF) for _ in range(4)] + [await place.connect()]
    for reader in readers:
        assert await closed(reader) == b""
    assert place.connections.counters()["too_slow"] == 5
    assert place.connections.counters()["open"] == 0


@pytest.mark.parametrize(
    "sent",
    [
        b"hello there\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + 64 * b"<script>",
        b"GET /" + 9_000 * b"x" + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: " + 9_000 * b"x" + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: x\r\n\r\n",
    ],
    ids=["words", "TLS", "long address", "long cookie", "no host", "no length"],
)
async def test_what_is_no_request_is_answered_as_a_problem(place: Place, sent: bytes) -> None:
    await place.open()
    answer = await closed(await place.connect(sent))
    head, _, body = answer.partition(b"\r\n\r\n")
    said = json.loads(body)
    assert (said["status"], said["code"], said["detail"]) == (400, "bad_parameter", words.NO_REQUEST)
    assert head.startswith(b"HTTP/1.")
    assert b" 400 " in head
    for line in (b"Content-Type: application/problem+json", b"Server: Undertone", b"X-Content-Type-Options: nosniff"):
        assert line in head
    assert b"aiohttp" not in answer
    assert await place.health() == 200


async def test_a_trickle_buys_no_time(place: Place) -> None:
    await place.open(headers_within_s=0.3)
    reader = await place.connect(HALF + b"X-Slow: ")
    ended = asyncio.create_task(closed(reader))
    while not ended.done():
        place.send(b"a")
        await asyncio.sleep(0.02)
    assert await ended == b""


async def test_many_half_requests_change_nothing_for_others(place: Place) -> None:
    await place.open(most=20, headers_within_s=600)
    for _ in range(60):
        await place.connect(HALF)
    assert await place.health() == 200
    await place.until(lambda counts: counts["gave_way"] >= 40)
    assert place.connections.counters()["open"] <= 20
    assert place.connections.counters()["refused"] == 0


async def test_a_client_at_its_limit_loses_its_own_oldest_and_not_anothers(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.open(most=100, most_per_client=3, headers_within_s=600)
    other = await place.connect(HALF, source="127.0.0.7")
    oldest = await place.connect(HALF, source="127.0.0.9")
    for _ in range(3):
        await place.connect(HALF, source="127.0.0.9")
    assert await closed(oldest) == b""
    assert not other.at_eof()
    await place.until(lambda counts: counts["open"] == 4)


async def test_when_all_are_busy_the_next_is_told_so_and_there_is_room_again(place: Place) -> None:
    release = asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        await release.wait()
        return web.Response(text="done")

    await place.open(most=2, extra=lambda app: app.router.add_get("/slow", slow))
    readers = [await place.connect(WHOLE.replace(b"/health", b"/slow")) for _ in range(2)]
    await place.until(lambda counts: counts["open"] == 2 and counts["half"] == 0)
    assert (await closed(await place.connect())).startswith(b"HTTP/1.1 503 ")
    assert place.connections.counters()["refused"] == 1
    release.set()
    for reader in readers:
        assert b"200 OK" in await reader.readuntil(b"\r\n")
    assert await place.health() == 200


async def test_an_answered_connection_may_ask_again_and_is_closed_when_it_does_not(place: Place) -> None:
    await place.open(idle_s=600, headers_within_s=600)
    reader = await place.connect()
    for _ in range(2):
        place.send(WHOLE)
        async with asyncio.timeout(60):
            assert b"200 OK" in await reader.readuntil(b"\r\n")
            await reader.readuntil(b'timestamp"')
    place.connections._patience["idle"] = 0.3
    await closed(reader)
    await place.until(lambda counts: counts["open"] == 0)
    assert place.connections.counters()["too_slow"] == 0


async def test_the_next_request_must_be_whole_in_time_too(place: Place) -> None:
    await place.open(idle_s=600, headers_within_s=600)
    reader = await place.connect(WHOLE)
    async with asyncio.timeout(60):
        assert b"200 OK" in await reader.readuntil(b'timestamp"')
    place.connections._patience["half"] = 0.3
    place.send(HALF)
    await closed(reader)
    assert place.connections.counters()["too_slow"] == 1


async def test_who_does_not_read_an_answer_loses_the_connection(place: Place) -> None:
    async def big(request: web.Request) -> web.Response:
        return web.Response(body=bytes(30_000_000))

    await place.open(unread_s=0.3, idle_s=0.1, extra=lambda app: app.router.add_get("/big", big))
    with socket.create_connection(("127.0.0.1", place.port)) as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(sock, WHOLE.replace(b"/health", b"/big"))
        await place.until(lambda counts: counts["unread"] == 1)
    await place.until(lambda counts: counts["open"] == 0)


async def test_a_browser_that_hangs_up_is_no_error_in_the_log(
    place: Place, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = asyncio.Event()

    async def reads(request: web.Request) -> web.Response:
        begun.set()
        await request.read()
        return web.Response()

    async def writes(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        begun.set()
        while True:
            await response.write(bytes(100_000))

    def routes(app: web.Application) -> None:
        app.router.add_post("/reads", reads)
        app.router.add_get("/writes", writes)

    await place.open(extra=routes)
    for data in (
        b"POST /reads HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nfew",
        b"GET /writes HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        HALF,
        b"",
    ):
        begun.clear()
        await place.connect(data)
        if b"/health" not in data and data:
            await begun.wait()
        else:
            await place.until(lambda counts: counts["open"] == 1)
        await place.hang_up()
        await place.until(lambda counts: counts["open"] == 0)
    assert await place.health() == 200
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []
    assert "Traceback" not in capsys.readouterr().out


async def test_what_is_no_http_is_refused_without_a_traceback(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    await place.open()
    for garbage in (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GET / HTTP/9.9.9\r\n\r\n", WHOLE[:-2] + b"no colon\r\n\r\n"):
        assert b" 400 " in (await closed(await place.connect(garbage))).partition(b"\r\n")[0]
    assert await place.health() == 200
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


def test_what_a_process_can_afford(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")

    def room(limit: int) -> int:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
        found = affordable()
        assert found.most + 3 * found.backlog < limit - 16
        return found.most

    assert 50 <= room(256) <= 150
    assert 500 <= room(1024) <= 800
    assert room(100_000) == 1_000
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert affordable().most == 1_000


async def test_a_rest_that_cannot_be_unpacked_is_no_error_in_the_log(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """What was refused before it was read is read to its end, so that its sender sees the answer."""
    await place.open()
    head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Encoding: gzip\r\nContent-Length: 300000\r\n\r\n"
    reader = await place.connect(head)
    assert b"400 Bad Request" in await reader.readuntil(b"\r\n\r\n")
    place.send(b"not packed")
    async with asyncio.timeout(60):
        await reader.read()
    assert not [record for record in caplog.records if record.name == "bot.web.http"]

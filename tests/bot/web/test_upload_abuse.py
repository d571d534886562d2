"""Uploads that lie, stall or never end: each is answered or dropped, and the next client is served."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from bot.web import upload
from bot.web.limits import UploadGate
from tests.bot.web.conftest import MakeClient
from tests.bot.web.test_predict import CLIP, _form, _post
from tests.fakes.backend import FakeBackend
from tests.fakes.waiting import Stopwatch, until

pytestmark = pytest.mark.integration

Client = TestClient[Any, Any]
HEAD = "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=b\r\n"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
MEGABYTE = bytes(1024 * 1024)


@asynccontextmanager
async def _raw(client: Client) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    assert client.port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, Any]]:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).decode()
    length = next(int(line.split(":")[1]) for line in head.lower().splitlines() if line.startswith("content-length"))
    return int(head.split()[1]), json.loads(await asyncio.wait_for(reader.readexactly(length), 60))


async def _still_serves(client: Client) -> None:
    assert (await _post(client, _form(CLIP.read_bytes())))[0] == 200


async def test_a_stated_length_over_the_limit_is_refused_before_the_body(client: Client) -> None:
    async with _raw(client) as (reader, writer):
        writer.write(f"{HEAD}Content-Length: 99999999999\r\n\r\n".encode())
        status, body = await _answer(reader)
        assert status == 413
        assert "25 MB" in body["error"]
    await _still_serves(client)


async def test_who_asks_first_is_told_before_sending(client: Client) -> None:
    async with _raw(client) as (reader, writer):
        writer.write(f"{HEAD}Expect: 100-continue\r\nContent-Length: 31457280\r\n\r\n".encode())
        async with Stopwatch() as watch:
            assert (await _answer(reader))[0] == 413
        assert watch.took_s < 3
    await _still_serves(client)


async def test_who_asks_first_and_may_is_told_to_go_on(client: Client) -> None:
    body = PART + b"no audio\r\n--b--\r\n"
    async with _raw(client) as (reader, writer):
        writer.write(f"{HEAD}Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).startswith(b"HTTP/1.1 100")
        writer.write(body)
        assert (await _answer(reader))[0] in (400, 422)


async def test_a_body_without_a_length_is_cut_at_the_limit(client: Client) -> None:
    async with _raw(client) as (reader, writer):
        writer.write(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
        writer.write(b"%x\r\n%s\r\n" % (len(PART), PART))
        for _ in range(30):
            writer.write(b"%x\r\n%s\r\n" % (len(MEGABYTE), MEGABYTE))
            try:
                await writer.drain()
            except ConnectionError:
                break
        assert (await _answer(reader))[0] == 413
    await _still_serves(client)


async def test_lines_without_end_before_the_first_part_are_cut(client: Client) -> None:
    async with _raw(client) as (reader, writer):
        writer.write(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
        lines = b"nothing of interest\r\n" * 50_000
        for _ in range(30):
            writer.write(b"%x\r\n%s\r\n" % (len(lines), lines))
            try:
                await writer.drain()
            except ConnectionError:
                break
        assert (await _answer(reader))[0] == 400
    await _still_serves(client)


async def test_a_length_that_is_too_small_does_not_reach_the_next_request(client: Client) -> None:
    body = PART + b"GET / HTTP/1.1\r\n\r\n--b--\r\n"
    async with _raw(client) as (reader, writer):
        writer.write(f"{HEAD}Content-Length: {len(PART) + 4}\r\n\r\n".encode() + body)
        assert (await asyncio.wait_for(reader.readline(), 60)).split()[1] == b"400"
    await _still_serves(client)


async def test_a_client_that_leaves_in_the_middle_frees_its_place(client: Client, make_client: MakeClient) -> None:
    gate = UploadGate(max_active=1, max_waiting=1)
    client = await make_client(uploads=gate)
    async with _raw(client) as (_, writer):
        writer.write(f"{HEAD}Content-Length: 5000000\r\n\r\n".encode() + PART + MEGABYTE)
        await writer.drain()
        await until(lambda: gate.active == 1)
        writer.transport.abort()
    await _still_serves(client)
    assert gate.active == 0


async def test_a_client_that_stalls_is_cut_off(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "READ_TIMEOUT_S", 0.1)
    async with _raw(client) as (reader, writer):
        writer.write(f"{HEAD}Content-Length: 5000\r\n\r\n".encode() + PART)
        assert (await _answer(reader))[0] == 408


async def test_more_uploads_than_there_is_room_for(make_client: MakeClient, backend: FakeBackend) -> None:
    gate = UploadGate(max_active=1, max_waiting=2)
    client = await make_client(uploads=gate)
    backend.may_answer.clear()
    posts = [asyncio.create_task(_post(client, _form(CLIP.read_bytes())), name=f"post-{n}") for n in range(6)]
    await until(lambda: gate.refused == 3)
    backend.may_answer.set()
    assert sorted(status for status, _ in await asyncio.gather(*posts)) == [200] * 3 + [503] * 3
    assert (gate.active, gate.waiting) == (0, 0)


@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionHeader")  # aiohttp says so, and goes on
@pytest.mark.parametrize(
    "body",
    [
        b"--b\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n",
        b"--b\r\n\r\n--b\r\n\r\n" * 40,
        b"\x00\xff" * 1000,
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav\r\n',
        PART + b"RIFF",
    ],
    ids=["many headers", "nested", "many parts", "garbage", "broken header", "never ends"],
)
async def test_malformed_forms(client: Client, body: bytes) -> None:
    status, answer = await _post(client, body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert 400 <= status < 500
    assert list(answer) == ["error"]
    await _still_serves(client)


async def test_nothing_is_written_to_a_disk(client: Client, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    opened: list[str] = []
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda *a, **k: opened.append("file"))
    await _still_serves(client)
    assert list(folder.iterdir()) == []
    assert opened == []


async def test_a_body_of_which_nothing_arrives_is_given_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async with _raw(client) as (reader, writer):
        with monkeypatch.context() as impatient:
            impatient.setattr(upload, "IDLE_TIMEOUT_S", 0.1)
            writer.write(f"{HEAD}Content-Length: 1000\r\n\r\n".encode() + PART)
            status, body = await _answer(reader)
    assert status == 408
    assert "too long" in body["error"]
    await _still_serves(client)

"""What real clients send that ours never would: other methods, other encodings, addresses that are nearly right."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from bot.web import words
from storage import SessionRecord, Storage
from tests.bot.web.conftest import MakeClient
from tests.fakes.log import written

pytestmark = pytest.mark.integration

Client = TestClient[Any, Any]


async def test_a_head_request_for_live_events_has_no_body_and_holds_no_place(
    client: Client, live_session: SessionRecord
) -> None:
    """Over a kept connection, what is written after it would be read as the next answer."""
    path = f"/api/v1/sessions/{live_session.id}/events"
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    ask = "{} {} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    writer.write((ask.format("HEAD", path) + ask.format("GET", "/health")).encode())
    async with asyncio.timeout(60):
        first = await reader.readuntil(b"\r\n\r\n")
        second = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert b"200 OK" in first
    assert b"Content-Type: text/event-stream" in first
    assert second.startswith(b"HTTP/1.1 200 OK")
    assert b"application/json" in second


@pytest.mark.parametrize("path", ["/static/nothing.css", "/static/style.css/", "/static/STYLE.CSS"])
async def test_a_file_that_is_not_there_is_said_in_words(client: Client, path: str) -> None:
    async with client.get(path) as response:
        assert (response.status, response.content_type) == (404, "text/html")
        assert words.NO_PAGE in unescape(await response.text())


@pytest.mark.parametrize(
    ("headers", "status", "sentence"),
    [
        ({"Range": "bytes=999999-"}, 416, words.NO_RANGE),
        ({"Range": "bytes=5-2"}, 416, words.NO_RANGE),
        ({"Range": f"bytes=0-{5_000 * '9'}"}, 416, words.NO_RANGE),
        ({"Range": "lines=1-2"}, 416, words.NO_RANGE),
        ({"If-Match": '"another"'}, 412, words.CHANGED),
        ({"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 412, words.CHANGED),
    ],
)
async def test_a_part_that_is_not_there_and_a_condition_that_fails_are_said_in_words(
    client: Client, headers: dict[str, str], status: int, sentence: str
) -> None:
    async with client.get("/static/style.css", headers=headers) as response:
        assert (response.status, response.content_type) == (status, "text/html")
        assert sentence in unescape(await response.text())
        assert ("Content-Range" in response.headers) is (status == 416)


async def test_a_part_that_is_there_and_a_condition_that_holds_are_kept_to(client: Client) -> None:
    plain = {"Accept-Encoding": "identity"}
    async with client.get("/static/style.css", headers=plain) as response:
        whole, tag = await response.read(), response.headers["ETag"]
    cases: list[tuple[dict[str, str], int, bytes]] = [
        ({"Range": "bytes=2-5"}, 206, whole[2:6]),
        ({"Range": "bytes=-3"}, 206, whole[-3:]),
        ({"If-Match": f'"x", {tag}'}, 200, whole),
        ({"If-Match": "*"}, 200, whole),
        ({"If-Unmodified-Since": "Thu, 01 Jan 2099 00:00:00 GMT"}, 200, whole),
        ({"If-None-Match": tag, "Range": "bytes=999999-"}, 304, b""),
    ]
    for headers, status, body in cases:
        async with client.get("/static/style.css", headers=plain | headers) as response:
            assert (response.status, await response.read()) == (status, body), headers


@pytest.mark.parametrize(
    ("method", "path", "taken"),
    [
        ("PUT", "/about", "GET and HEAD"),
        ("DELETE", "/api/v1/sessions", "GET and HEAD"),
        ("GET", "/predict", "POST"),
        ("GET", "/sign-out", "POST"),
        ("OPTIONS", "/static/style.css", "GET and HEAD"),
    ],
)
async def test_a_wrong_method_is_told_which_are_right(client: Client, method: str, path: str, taken: str) -> None:
    async with client.request(method, path) as response:
        assert response.status == 405
        assert f"This address takes {taken} requests only." in unescape(await response.text())
        assert response.headers["Allow"].replace(",", " and ") == taken


@pytest.mark.parametrize("refused", ["gzip;q=0", "gzip; q=0.000, deflate;q=0", "br, gzip;q=0.0"])
@pytest.mark.parametrize(
    "path", ["/about", "/static/style.css", "/api/v1/sessions/{id}", "/api/v1/sessions/{id}/chart.json"]
)
async def test_who_takes_nothing_packed_is_given_nothing_packed(
    client: Client, session: SessionRecord, path: str, refused: str
) -> None:
    address = path.format(id=session.id)
    async with client.get(address, headers={"Accept-Encoding": refused}, auto_decompress=False) as response:
        assert response.status == 200
        assert "Content-Encoding" not in response.headers
    async with client.get(address, headers={"Accept-Encoding": "gzip"}) as response:
        assert response.headers["Content-Encoding"] == "gzip"


async def test_one_link_too_many_is_refused_as_that(client: Client, storage: Storage, session: SessionRecord) -> None:
    for _ in range(50):
        await storage.create_share(session.id, lifetime=timedelta(days=1))
    async with client.get(f"/sessions/{session.id}") as response:
        token = (await response.text()).partition('name="csrf" value="')[2].partition('"')[0]
    fields = {"csrf": token, "days": "1"}
    async with client.post(f"/sessions/{session.id}/share", data=fields) as response:
        assert response.status == 409
        assert "50 share links already" in unescape(await response.text())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Upgrade": "h2c", "Connection": "Upgrade"},
        {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "99"},
        {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "!"},
    ],
)
async def test_what_is_no_websocket_is_told_what_it_has_come_to(client: Client, headers: dict[str, str]) -> None:
    async with client.get("/microphone/stream", headers=headers) as response:
        assert response.status == 400
        assert words.NO_WEBSOCKET in unescape(await response.text())


async def test_a_websocket_that_asks_for_a_protocol_is_not_in_the_log(make_client: MakeClient) -> None:
    """Aiohttp warns of it with the address of whoever asks."""
    client = await make_client()
    with written("warning") as log:
        async with client.ws_connect("/microphone/stream", protocols=("chat",)) as socket:
            await socket.send_str("stop")
            async for _ in socket:
                pass
    assert log.getvalue() == ""

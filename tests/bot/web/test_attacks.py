"""What somebody tries who should not get in, and what a browser is talked into by a page that is not ours."""

from __future__ import annotations

import asyncio
import gzip
from html import unescape
from http.cookies import SimpleCookie
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from bot.web import words
from storage import SessionRecord, Storage
from storage.errors import StorageUnavailable
from tests.bot.web.conftest import KEY_COOKIE, SESSION_COOKIE, MakeClient
from tests.bot.web.test_predict import _form
from tests.fakes.log import written

pytestmark = pytest.mark.integration

Client = TestClient[Any, Any]
KEYED = {"open_to_all": False, "entry_key": "the-key"}


async def raw(client: Client, request: bytes) -> bytes:
    """The answer to bytes as they are."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    try:
        writer.write(request)
        async with asyncio.timeout(60):
            return await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()


@pytest.mark.parametrize(
    "path",
    ["//evil.example/", "//evil.example%2f..", "/%0d%0aSet-Cookie:%20a=b", "/\\evil.example", "/%2f%2fevil.example"],
)
async def test_the_way_in_leads_nowhere_else(make_client: MakeClient, path: str) -> None:
    client = await make_client(access=KEYED)
    answer = await raw(client, f"GET {path}?key=the-key HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    head, *lines = answer.decode().split("\r\n")
    headers = [line.partition(": ") for line in lines if line]
    assert head.split()[1] in ("303", "400")
    for name, _, value in headers:
        if name == "Location":
            assert value.startswith("/")
            assert value[1:2] not in ("/", "\\")
        if name == "Set-Cookie":
            assert list(SimpleCookie(value)) == [KEY_COOKIE]


async def test_two_cookies_and_two_keys_open_nothing(make_client: MakeClient, session: SessionRecord) -> None:
    client = await make_client(access=KEYED)
    path = f"/api/v1/sessions/{session.id}"
    for headers in (
        {"Cookie": f"{KEY_COOKIE}=a; {KEY_COOKIE}=b"},
        {"Cookie": f"{SESSION_COOKIE}=eyJ1c2VyIjoiMSJ9.AAAA"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer the-key,the-key"},
        {"X-Forwarded-Host": "127.0.0.1", "X-Original-URL": "/", "X-Forwarded-User": "1"},
        {"Forwarded": "for=127.0.0.1;host=localhost"},
    ):
        async with client.get(path, headers=headers) as response:
            assert response.status == 403, headers
    async with client.get(f"{path}?key=the-key&key=other", allow_redirects=False) as response:
        assert "key=" not in response.headers.get("Location", "")


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked",
        b"Content-Length: 4\r\nContent-Length: 9",
        b"Content-Length: +4",
        b"Transfer-Encoding: xchunked",
        b"X : y",
    ],
)
async def test_a_request_that_two_readers_would_read_differently_is_refused(client: Client, headers: bytes) -> None:
    request = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n\r\n0\r\n\r\n" % headers
    assert (await raw(client, request)).split()[1] in (b"400", b"501")


async def test_what_is_packed_small_counts_unpacked(client: Client) -> None:
    """300 MB of zeros are 300 kB on the wire."""
    body = gzip.compress(
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + bytes(300 * 2**20)
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Encoding": "gzip"}
    async with client.post("/predict", data=body, headers=headers) as response:
        assert response.status in (400, 413)
    async with client.get("/health") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("request_line", "headers", "statuses"),
    [
        (b"GET /", b"Cookie: %s=\xff" % KEY_COOKIE.encode(), (b"403",)),
        (b"GET /", b"Authorization: Bearer \xed\xa0\x80", (b"403",)),
        (b"GET /sign-out", b"Cookie: %s=\xff" % SESSION_COOKIE.encode(), (b"404", b"405")),
        (b"POST /predict", b"Origin: http://[\r\nContent-Length: 0", (b"403",)),
        (b"POST /sign-out", b"Origin: http://]\r\nContent-Length: 0", (b"403",)),
        (b"GET /static/" + 300 * b"a", b"X: y", (b"404",)),
        (b"GET /static/" + 90 * b"%F0%9F%98%80", b"X: y", (b"404",)),
        (
            b"POST /sign-out",
            b"Content-Type: application/x-www-form-urlencoded; charset=x\r\nContent-Length: 3\r\n\r\na=b",
            (b"400",),
        ),
        (
            b"POST /sign-out",
            b"Content-Type: application/x-www-form-urlencoded; charset=unicode_escape\r\nContent-Length: 11\r\n"
            b"\r\ncsrf=\\ud800",
            (b"400", b"403"),
        ),
    ],
)
async def test_what_is_no_text_no_address_and_no_name_breaks_nothing(
    make_client: MakeClient, request_line: bytes, headers: bytes, statuses: tuple[bytes, ...]
) -> None:
    client = await make_client(access=KEYED)
    with written() as log:
        answer = await raw(client, b"%s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n\r\n" % (request_line, headers))
    assert answer.split()[1] in statuses
    assert "Traceback" not in log.getvalue()


async def test_a_form_that_cannot_be_unpacked_is_answered_in_words(client: Client) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}
    async with client.post("/sign-out", data=b"not packed", headers=headers) as response:
        assert (response.status, words.NO_FORM in unescape(await response.text())) == (400, True)


async def test_what_postgresql_takes_for_no_text_is_not_asked_of_it(
    client: Client, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(session_id: str) -> None:
        raise StorageUnavailable(f"invalid byte sequence: {session_id!r}")

    monkeypatch.setattr(storage, "report", refused)
    monkeypatch.setattr(storage, "edition", refused)
    for path in ("/sessions/a%00b", "/api/v1/sessions/a%00b", "/sessions/a%00b/strip.svg"):
        assert (await raw(client, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())).split()[1] == b"404"


@pytest.mark.parametrize(
    "path", ["/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static/....//app.py", "/static//etc/passwd", "/static/"]
)
async def test_only_the_static_files_are_served(client: Client, path: str) -> None:
    answer = await raw(client, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    assert answer.split()[1] in (b"403", b"404")


@pytest.mark.parametrize(
    "path", ["/", "/api/v1/sessions", "/api/v1/predict", "/microphone/stream", "/static/style.css"]
)
async def test_a_name_that_points_here_from_elsewhere_opens_no_door(make_client: MakeClient, path: str) -> None:
    """DNS rebinding: the browser takes the page for the same site, and still says which."""
    client = await make_client()
    for host in ("rebound.example", "rebound.example:80", "127.0.0.1.nip.io", "localhost.", "192.0.2.1", ""):
        answer = await raw(client, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert answer.split()[1] in (b"403", b"400"), host


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"},
        {"Origin": "http://127.0.0.1.evil.example"},
    ],
)
async def test_a_foreign_page_changes_and_costs_nothing(
    client: Client, session: SessionRecord, headers: dict[str, str]
) -> None:
    for path in ("/predict", "/api/v1/predict"):
        async with client.post(path, data=_form(b"RIFF"), headers=headers) as response:
            assert response.status == 403
    for deed in ("share", "revoke", "delete"):
        fields = {"csrf": "guessed", "sure": "yes", "days": "7"}
        async with client.post(f"/sessions/{session.id}/{deed}", data=fields, headers=headers) as response:
            assert response.status == 403
    async with client.get(f"/sessions/{session.id}") as response:
        assert response.status == 200

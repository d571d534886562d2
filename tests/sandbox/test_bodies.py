"""Bodies that are broken: refused in words, whichever door they come to, and without an error in the log."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from sandbox import Sandbox, bodies
from sandbox.permissions import Permission

pytestmark = pytest.mark.integration

FORM = "multipart/form-data; boundary=b"
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
BROKEN = [
    ("multipart/form-data", b"x", ""),
    ("multipart/form-data; boundary=" + 100 * "a", b"x", ""),
    (FORM, b"no form", ""),
    (FORM, b"--b\r\nContent-Dispo", ""),
    (FORM, b"--b\r\nno header\r\n\r\n{}\r\n--b--\r\n", ""),
    (FORM, b"--b\r\n" + 5_000 * b"X: y\r\n" + b"\r\n{}\r\n--b--\r\n", ""),
    (FORM, b"--b\r\nX: " + 100_000 * b"y" + b"\r\n\r\n{}\r\n--b--\r\n", ""),
    (FORM, FILE + b"\r\nabc", ""),
    (FORM, b"not packed", "gzip"),
    ("application/json", b"not packed", "gzip"),
    ("application/json", 100_000 * b"[", ""),
    ("application/json", b"\xff{", ""),
]


async def answer(sandbox: Sandbox, line: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, str]:
    """Status and text of the answer to bytes as they are."""
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
    told = {"Host": f"127.0.0.1:{sandbox.port}", "Connection": "close", "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items() if value)
    writer.write(f"{line} HTTP/1.1\r\n{head}\r\n".encode() + body)
    async with asyncio.timeout(60):
        heard = await reader.read()
    writer.close()
    return int(heard.split()[1]), heard.partition(b"\r\n\r\n")[2].decode()


@pytest.mark.parametrize(("kind", "body", "packed"), BROKEN)
@pytest.mark.parametrize("path", ["/page/say", "/api/v10/channels/{channel}/messages"])
async def test_a_broken_body_is_refused_in_words(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, path: str, kind: str, body: bytes, packed: str
) -> None:
    headers = {"Content-Type": kind, "Content-Encoding": packed, "X-Sandbox-Page": "1"}
    headers["Authorization"] = f"Bot {sandbox.token}"
    status, text = await answer(sandbox, f"POST {path.format(channel=sandbox.text.id)}", headers, body)
    assert status == 400, text
    assert text.startswith("{")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("path", ["/page/say", "/api/v10/channels/{channel}/messages", "/api/v10/oauth2/token"])
async def test_a_body_that_stops_is_given_up(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(bodies, "WITHIN_S", 0.1)
    headers = {
        "X-Sandbox-Page": "1",
        "Authorization": f"Bot {sandbox.token}",
        "Content-Length": "500",
        "Connection": "close",
    }
    headers["Content-Type"] = "application/x-www-form-urlencoded" if path.endswith("token") else "application/json"
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"POST {path.format(channel=sandbox.text.id)} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n{{".encode())
    async with asyncio.timeout(60):
        heard = await reader.readuntil(b"}")
        writer.write(499 * b" ")  # the rest is read and thrown away
        await reader.read()
    writer.close()
    assert (heard.split()[1], b"did not arrive in time" in heard) == (b"408", True)


@pytest.mark.parametrize("charset", ["no-such", "hex", "rot13", "undefined"])
async def test_a_form_in_no_charset_of_texts_is_refused(sandbox: Sandbox, charset: str) -> None:
    headers = {"Content-Type": f"application/x-www-form-urlencoded; charset={charset}"}
    status, text = await answer(sandbox, "POST /api/v10/oauth2/token", headers, b"a=b")
    assert (status, '"error": "invalid_request"' in text) == (400, True)


async def test_a_code_is_exchanged_by_a_form_without_files_only(sandbox: Sandbox) -> None:
    body = FILE + b"\r\n" + 2_000_000 * b"a" + b"\r\n--b--\r\n"
    status, text = await answer(sandbox, "POST /api/v10/oauth2/token", {"Content-Type": FORM}, body)
    assert (status, '"error": "invalid_client"' in text) == (401, True)
    packed = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}
    assert (await answer(sandbox, "POST /api/v10/oauth2/token", packed, b"not packed"))[0] == 400


@pytest.mark.parametrize("body", [b"[]", b"null", b"7", b'"x"'])
async def test_a_body_that_is_no_object_is_an_invalid_form(sandbox: Sandbox, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "Authorization": f"Bot {sandbox.token}"}
    sandbox.bot_role.permissions |= int(Permission.MANAGE_MESSAGES)
    for line in (
        f"PATCH /api/v10/guilds/{sandbox.guild.id}/members/@me",
        f"POST /api/v10/channels/{sandbox.text.id}/messages",
        f"POST /api/v10/channels/{sandbox.text.id}/messages/bulk-delete",
        "POST /api/v10/users/@me/channels",
    ):
        status, text = await answer(sandbox, line, headers, body)
        assert (status, '"code": 50035' in text) == (400, True), line


async def test_ids_of_messages_that_are_none_delete_nothing(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    sandbox.bot_role.permissions |= int(Permission.MANAGE_MESSAGES)
    mara = sandbox.add_person("Mara")
    kept = sandbox.send_message(mara, sandbox.text, "hello")
    headers = {"Content-Type": "application/json", "Authorization": f"Bot {sandbox.token}"}
    body = json.dumps({"messages": [5_000 * "1", "\u00b2", None, [str(kept.id)], -1]}).encode()
    line = f"POST /api/v10/channels/{sandbox.text.id}/messages/bulk-delete"
    assert (await answer(sandbox, line, headers, body))[0] == 204
    assert [message.id for message in sandbox.messages(sandbox.text)] == [kept.id]
    assert not caplog.records


async def test_a_rest_of_a_body_that_cannot_be_unpacked_is_no_error_of_ours(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """It was refused before it was read, and is read to its end so that its sender sees the answer."""
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json", "Connection": "keep-alive"}
    headers |= {"Content-Length": "300000"}
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"POST /page/say HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode())
    async with asyncio.timeout(60):
        assert (await reader.readuntil(b"\r\n\r\n")).split()[1] == b"403"
        writer.write(b"not packed")
        await reader.read()
    writer.close()
    assert not caplog.records


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/attachments/1/" + 5_000 * "1" + "/a", 404),
        ("/attachments/1/1/a?ex=ffffffffff&hm=%C3%A9", 404),
        ("/oauth2/authorize?as=%C2%B2&{app}", 200),
        ("/oauth2/authorize?as=" + 5_000 * "1" + "&{app}", 200),
        ("/page/commands?as=x", 400),
        ("/page/commands?as=1&as=2", 409),
    ],
)
async def test_numbers_that_are_none_break_nothing(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, path: str, status: int
) -> None:
    back = "http%3A%2F%2F127.0.0.1%3A9%2Foauth%2Fcallback"
    app = f"client_id={sandbox.application_id}&response_type=code&scope=identify&redirect_uri={back}"
    assert (await answer(sandbox, f"GET {path.format(app=app)}", {}))[0] == status
    assert not caplog.records

"""A public address with a path: every link stays below it, whether the proxy takes the path off or passes it on."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from storage import SessionRecord, Storage
from tests.bot.web.conftest import KEY_COOKIE, MakeClient

pytestmark = pytest.mark.integration

BASE = "/undertone"
PUBLIC = f"https://example.org{BASE}"
Client = TestClient[Any, Any]


def proxy(upstream: Client, http: aiohttp.ClientSession, *, strips: bool) -> web.Application:
    """What nginx does with ``location /undertone/ { proxy_pass http://127.0.0.1:PORT/; }``, or without the last slash.

    As nginx by default, it names itself as the host and adds no header that tells of the visitor.
    """

    async def forward(request: web.Request) -> web.Response:
        if not request.path.startswith(f"{BASE}/"):
            return web.Response(status=404, text="outside")
        path = request.raw_path.removeprefix(BASE) if strips else request.raw_path
        headers = {k: v for k, v in request.headers.items() if k.lower() in ("cookie", "origin", "content-type")}
        url = str(upstream.make_url("/")).rstrip("/") + path
        body = await request.read()
        async with http.request(
            request.method, url, data=body or None, headers=headers, allow_redirects=False
        ) as answer:
            passed = {
                k: v for k, v in answer.headers.items() if k.lower() in ("location", "content-type", "set-cookie")
            }
            return web.Response(status=answer.status, body=await answer.read(), headers=passed)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", forward)
    return app


@pytest.fixture(params=[True, False], ids=["the proxy strips the path", "the proxy passes the path on"])
async def site(request: pytest.FixtureRequest, make_client: MakeClient) -> AsyncIterator[Client]:
    upstream = await make_client(access={"public_url": PUBLIC, "open_to_all": False, "entry_key": "k"})
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        server = TestServer(proxy(upstream, http, strips=request.param))
        yield await stack.enter_async_context(TestClient(server, cookie_jar=aiohttp.DummyCookieJar()))


async def _enter(site: Client) -> None:
    async with site.get(f"{BASE}/?key=k", allow_redirects=False) as response:
        assert response.status == 303
        assert response.headers["Location"] == f"{BASE}/"
        found = re.match(rf"{KEY_COOKIE}=([^;]+);.*Path=([^;]+)", response.headers["Set-Cookie"])
    assert found is not None
    assert found[2] == BASE
    site.session.headers["Cookie"] = f"{KEY_COOKIE}={found[1]}"


async def test_every_link_style_and_script_stays_below_the_path(
    site: Client, session: SessionRecord, storage: Storage
) -> None:
    await _enter(site)
    _, token = await storage.create_share(session.id, lifetime=timedelta(hours=1))
    seen: set[str] = set()
    wanted = [f"{BASE}/", f"{BASE}/s/{token}"]
    while wanted:
        path = wanted.pop()
        seen.add(path)
        async with site.get(path, allow_redirects=False) as response:
            assert response.status == 200, path
            text = await response.text() if response.content_type.startswith("text/") else ""
            kind = response.content_type
        found = re.findall(r'(?:href|src|action|data-\w+)="(/[^"]*)"', text) if kind == "text/html" else []
        if kind == "text/javascript":
            found = [urljoin(path, name) for name in re.findall(r'from "(\./[^"]+)"', text)]
        for link in found:
            assert link.startswith(f"{BASE}/"), f"{path} leads to {link}"
            plain = urlsplit(link.replace("&amp;", "&"))
            address = plain.path + (f"?{plain.query}" if plain.query else "")
            skip = address.endswith(("/sign-out", "/delete", "/share", "/revoke", "/events"))
            if not skip and address not in seen:
                wanted.append(address)
        if len(seen) > 60:
            break
    assert f"{BASE}/microphone" in seen
    assert any("/static/" in path for path in seen)


async def test_the_addresses_in_json_too(site: Client, session: SessionRecord) -> None:
    await _enter(site)
    async with site.get(f"{BASE}/api/v1/sessions") as response:
        body = await response.json()
    assert body["sessions"][0]["url"] == f"{BASE}/sessions/{session.id}"
    async with site.get(body["sessions"][0]["url"]) as response:
        assert response.status == 200


async def test_it_is_shut_without_the_key_through_a_proxy_that_names_itself(
    site: Client, session: SessionRecord
) -> None:
    for path in ("/", f"/sessions/{session.id}", "/api/v1/sessions"):
        async with site.get(BASE + path) as response:
            assert response.status == 403
    async with site.get(f"{BASE}/health") as response:
        assert response.status == 200


async def test_an_error_says_so_in_the_form_that_was_asked_for(site: Client) -> None:
    async with site.get(f"{BASE}/api/v1/nothing") as response:
        assert response.content_type == "application/problem+json"
    async with site.get(f"{BASE}/nothing") as response:
        assert response.content_type == "text/html"
        assert f'href="{BASE}/static/style.css' in await response.text()

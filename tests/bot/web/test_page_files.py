"""What pages load: only what is ours, under a policy, from files that are kept and compressed."""

from __future__ import annotations

import gzip

import pytest

from storage import SessionRecord
from tests.bot.web.conftest import MakeClient
from tests.bot.web.test_pages import ROOT, Client, _Page, _page

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("path", ["/", "/about", "/microphone", "/sessions/{id}", "/nothing"])
async def test_pages_run_and_load_only_what_is_ours(client: Client, live_session: SessionRecord, path: str) -> None:
    async with client.get(path.format(id=live_session.id)) as response:
        page = _Page(await response.text())
    for tag, attrs in page.tags:
        assert "style" not in attrs
        assert not any(name.startswith("on") for name in attrs)
        if tag == "script":
            assert (attrs["src"] or "").startswith("/static/")
        if tag == "link":
            assert (attrs["href"] or "").startswith("/")
        if tag == "img":
            assert (attrs["src"] or "").startswith("/sessions/")
        assert tag not in ("style", "iframe")
    for tag, attrs in page.tags:
        address = attrs.get("src") if tag == "script" else attrs.get("href") if tag == "link" else None
        if address:
            async with client.get(address) as response:
                assert response.status == 200, address


async def test_every_answer_carries_the_policy(client: Client, session: SessionRecord) -> None:
    paths = (
        "/",
        "/about",
        "/nothing",
        f"/sessions/{session.id}",
        "/api/v1/sessions",
        "/api/v1/sessions/nothing",
        f"/api/v1/sessions/{session.id}/events",
        "/health",
        "/predict",
        "/static/style.css",
        "/static/nothing.css",
        "/static/../app.py",
        "/palette.css",
        "/metrics",
        "/sign-in",
    )
    for path in paths:
        async with client.get(path) as response:
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Referrer-Policy"] == "no-referrer"
            assert response.headers["X-Frame-Options"] == "DENY"
            assert "Cache-Control" in response.headers
            assert response.headers["Server"] == "Undertone"


async def test_the_demo_may_frame_it(make_client: MakeClient) -> None:
    client = await make_client(frame_ancestors=("http://127.0.0.1:9000",))
    async with client.get("/about") as response:
        assert "frame-ancestors http://127.0.0.1:9000" in response.headers["Content-Security-Policy"]
        assert "X-Frame-Options" not in response.headers


async def test_static_files_are_cached_by_version(client: Client) -> None:
    page = await _page(client, "/about")
    sheet = next(
        attrs["href"] for tag, attrs in page.tags if tag == "link" and "style.css" in (attrs.get("href") or "")
    )
    async with client.get(sheet or "") as response:
        assert "immutable" in response.headers["Cache-Control"]
    async with client.get("/static/style.css") as response:
        assert response.headers["Cache-Control"] == "no-cache"


async def test_static_files_go_out_compressed(client: Client) -> None:
    async with client.get("/static/strip.js", headers={"Accept-Encoding": "gzip"}, auto_decompress=False) as response:
        packed = await response.read()
    assert response.headers["Content-Encoding"] == "gzip"
    plain = (ROOT / "bot" / "web" / "static" / "strip.js").read_bytes()
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain) / 2
    again = {"Accept-Encoding": "gzip", "If-None-Match": response.headers["ETag"]}
    async with client.get("/static/strip.js", headers=again) as response:
        assert response.status == 304


@pytest.mark.parametrize("path", ["/static/strip.js", "/palette.css"])
async def test_a_proxy_that_keeps_a_file_is_told_for_whom(client: Client, path: str) -> None:
    for encoding in ("gzip", "identity"):
        async with client.get(path, headers={"Accept-Encoding": encoding}, auto_decompress=False) as response:
            assert response.headers["Vary"] == "Accept-Encoding"

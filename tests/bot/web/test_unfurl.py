"""A shared link in a chat: what its preview says and shows."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from html import unescape

import pytest
from PIL import Image

from storage import SessionRecord, Storage
from tests.bot.web.conftest import MakeClient

pytestmark = pytest.mark.integration


async def test_a_shared_link_unfurls_without_names_and_ends_with_the_link(
    make_client: MakeClient, storage: Storage, session: SessionRecord
) -> None:
    client = await make_client(access={"public_url": "https://example.org/undertone"})
    _, token = await storage.create_share(session.id, lifetime=timedelta(hours=1))
    async with client.get(f"/s/{token}") as response:
        page = await response.text()
    found = {name: unescape(text) for name, text in re.findall(r'<meta property="og:(\S+)" content="([^"]*)">', page)}
    assert found["title"].startswith("How a conversation sounded")
    assert "of the speech was unclear." in found["description"]
    assert found["url"] == f"https://example.org/undertone/s/{token}"
    assert found["image"] == f"{found['url']}/strip.png"
    assert not any(secret in "".join(found.values()) for secret in ("Alice", "Bob", "Story night"))
    async with client.get(f"/s/{token}/strip.png") as response:
        assert response.content_type == "image/png"
        assert response.headers["X-Robots-Tag"] == "noindex"
        picture = Image.open(io.BytesIO(await response.read()))
    assert picture.width >= 600
    await storage.revoke_shares(session.id)
    async with client.get(f"/s/{token}/strip.png") as response:
        assert response.status == 410


async def test_without_a_public_address_it_unfurls_without_a_picture(
    make_client: MakeClient, storage: Storage, session: SessionRecord
) -> None:
    client = await make_client()
    _, token = await storage.create_share(session.id, lifetime=timedelta(hours=1))
    async with client.get(f"/s/{token}") as response:
        page = await response.text()
    assert "og:title" in page
    assert "og:image" not in page


async def test_only_a_shared_link_unfurls(make_client: MakeClient, session: SessionRecord) -> None:
    client = await make_client(access={"public_url": "https://example.org"})
    async with client.get(f"/sessions/{session.id}", headers={"Host": "127.0.0.1"}) as response:
        assert "og:" not in await response.text()

"""Sharing, revoking and deleting on the page: who may, with which form, and what follows."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from bot.listening.live import LiveBus
from bot.web import manage
from bot.web.manage import Standing
from storage import SessionRecord, Storage
from tests.bot.web.conftest import ALICE, STARTER, STRANGER, MakeClient

pytestmark = pytest.mark.integration

Client = TestClient[Any, Any]


async def _token(client: Client, path: str) -> str:
    async with client.get(path) as response:
        found = re.search(r'name="csrf" value="([^"]+)"', await response.text())
    assert found
    return found[1]


async def _post(client: Client, path: str, form: dict[str, str]) -> tuple[int, str, str]:
    async with client.post(path, data=form, allow_redirects=False) as response:
        return response.status, response.headers.get("Location", ""), await response.text()


async def test_a_link_is_made_shown_once_and_taken_back(client: Client, session: SessionRecord) -> None:
    page = f"/sessions/{session.id}"
    csrf = await _token(client, page)
    status, _, text = await _post(client, f"{page}/share", {"csrf": csrf, "days": "7"})
    assert status == 200
    found = re.search(r'value="http://127\.0\.0\.1:\d+(/s/[^"]+)"', text)
    assert found
    async with client.get(found[1]) as response:
        assert response.status == 200
        shared = await response.text()
    assert "Speaker 1" in shared
    assert "Alice" not in shared
    assert 'name="csrf"' not in shared  # who came by a link changes nothing
    status, location, _ = await _post(client, f"{page}/revoke", {"csrf": csrf})
    assert (status, location) == (303, f"{page}?done=revoked#manage")
    async with client.get(location) as response:
        assert "All links to this report have stopped working." in await response.text()
    async with client.get(found[1]) as response:
        assert response.status == 410


async def test_deleting_wants_to_be_sure_and_is_at_once(
    client: Client, session: SessionRecord, storage: Storage, bus: LiveBus
) -> None:
    page = f"/sessions/{session.id}"
    csrf = await _token(client, page)
    bus.publish(session.id, "state", {"state": "ended"})
    assert (await _post(client, f"{page}/delete", {"csrf": csrf}))[0] == 400
    assert await storage.session(session.id) is not None
    status, location, _ = await _post(client, f"{page}/delete", {"csrf": csrf, "sure": "yes"})
    assert (status, location) == (303, "/?done=deleted")
    assert await storage.session(session.id) is None
    assert not bus.knows(session.id)
    async with client.get(location) as response:
        assert "everything about it is deleted" in await response.text()


async def test_what_is_still_in_discord_is_said(make_client: MakeClient, session: SessionRecord) -> None:
    asked = []

    async def delete(session_id: str) -> bool:
        asked.append(session_id)
        return False

    client = await make_client(delete=delete)
    page = f"/sessions/{session.id}"
    form = {"csrf": await _token(client, page), "sure": "yes"}
    _, location, _ = await _post(client, f"{page}/delete", form)
    assert asked == [session.id]
    async with client.get(location) as response:
        assert "still in Discord" in await response.text()


async def test_a_running_session_is_not_deleted(client: Client, live_session: SessionRecord, storage: Storage) -> None:
    page = f"/sessions/{live_session.id}"
    form = {"csrf": await _token(client, page), "sure": "yes"}
    status, _, text = await _post(client, f"{page}/delete", form)
    assert status == 409
    assert "still runs" in text
    assert await storage.session(live_session.id) is not None


@pytest.mark.parametrize("deed", ["share", "revoke", "delete"])
async def test_without_the_readers_token_nothing_happens(
    client: Client, session: SessionRecord, storage: Storage, deed: str
) -> None:
    _, token = await storage.create_share(session.id, lifetime=timedelta(hours=1))
    form = {"days": "7", "sure": "yes"}
    for csrf in ({}, {"csrf": ""}, {"csrf": "x" * 44}):
        assert (await _post(client, f"/sessions/{session.id}/{deed}", form | csrf))[0] == 403
    assert await storage.session(session.id) is not None
    async with client.get(f"/s/{token}") as response:
        assert response.status == 200
    assert (await _post(client, f"/s/{token}/{deed}", form))[0] in (404, 405)


@pytest.mark.parametrize("days", ["", "0", "30", "7.5", "x"])
async def test_a_link_lives_as_long_as_the_form_offers(client: Client, session: SessionRecord, days: str) -> None:
    page = f"/sessions/{session.id}"
    form = {"csrf": await _token(client, page), "days": days}
    assert (await _post(client, f"{page}/share", form))[0] == 400


def test_who_may_do_what() -> None:
    everything = {manage.SHARE_ALL, manage.REVOKE, manage.DELETE}
    assert Standing(user_id=STARTER, starter=True).may == everything
    assert Standing(user_id=STARTER, starter=True, row_id=1).may == everything | {manage.SHARE_OWN}
    assert Standing(manages=True).may == everything
    assert Standing(user_id=ALICE, row_id=1).may == {manage.SHARE_OWN, manage.REVOKE}
    assert Standing(user_id=STRANGER).may == set()  # who reads by the role that the server chose

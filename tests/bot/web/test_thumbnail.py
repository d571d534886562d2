"""The strip the size of a stamp."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from aiohttp.test_utils import TestClient

from bot.pictures.palette import DARK, LIGHT, tone
from bot.web.limits import Thumbnails
from storage import SessionRecord, Storage
from tests.bot.web.conftest import ALICE

pytestmark = pytest.mark.integration

Client = TestClient[Any, Any]


async def _fills(client: Client, path: str) -> list[str | None]:
    async with client.get(path) as response:
        assert response.status == 200
        assert response.content_type == "image/svg+xml"
        picture = ElementTree.fromstring(await response.text())  # noqa: S314  # ours
    return [path.get("fill") for path in picture]


async def test_it_shows_what_was_heard_in_the_colours_of_its_theme(client: Client, session: SessionRecord) -> None:
    path = f"/sessions/{session.id}/strip.svg"
    heard = ("Angry", "Happy", "Sad", "Unclear")
    assert set(await _fills(client, path)) == {LIGHT.track, *(tone(label).light.fill for label in heard)}
    assert set(await _fills(client, f"{path}?theme=dark")) == {DARK.track, *(tone(label).dark.fill for label in heard)}


async def test_what_was_deleted_is_gone_though_it_was_held(
    client: Client, session: SessionRecord, storage: Storage
) -> None:
    path = f"/sessions/{session.id}/strip.svg"
    await _fills(client, path)
    await storage.delete_session(session.id)
    async with client.get(path) as response:
        assert response.status == 404


async def test_it_changes_when_somebodys_rows_are_deleted(
    client: Client, session: SessionRecord, storage: Storage
) -> None:
    path = f"/sessions/{session.id}/strip.svg"
    before = await _fills(client, path)
    await storage.delete_person(ALICE, None)
    after = await _fills(client, path)
    assert tone("Angry").light.fill in before
    assert tone("Angry").light.fill not in after


def test_so_many_are_held_and_no_more() -> None:
    held = Thumbnails(most=2)
    for name in ("one", "two"):
        held.put(name, name)
    assert held.get("one") == "one"
    held.put("three", "three")
    assert held.get("two") is None  # the least used
    assert held.get("one") == "one"

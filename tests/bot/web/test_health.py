"""Alive, ready and figures are three different answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from bot.web import words
from storage import Storage
from tests.bot.web.conftest import MakeClient
from tests.fakes.backend import FakeBackend

pytestmark = pytest.mark.integration

Client = TestClient[Any, Any]


async def test_health_is_the_old_apps(client: Client, backend: FakeBackend) -> None:
    async with client.get("/health") as response:
        body = await response.json()
    assert list(body) == ["status", "model_loaded", "timestamp"]
    assert body["status"] == "healthy"
    assert body["model_loaded"] is True
    assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None
    await backend.close()
    async with client.get("/health") as response:
        assert (await response.json())["model_loaded"] is False


async def test_ready_says_which_part_is_not(make_client: MakeClient, storage: Storage) -> None:
    gateway = {"gateway": True}
    client = await make_client(ready=lambda: gateway)
    async with client.get("/health/ready") as response:
        assert response.status == 200
        checks = {"model": True, "database": True, "open_files": True, "gateway": True}
        assert await response.json() == {"ready": True, "checks": checks}
    gateway["gateway"] = False
    async with client.get("/health/ready") as response:
        assert response.status == 503
        assert (await response.json())["checks"]["gateway"] is False


async def test_ready_may_have_to_wait_for_its_answer(make_client: MakeClient) -> None:
    async def ready() -> dict[str, bool]:
        return {"voice": True}

    client = await make_client(ready=ready)
    async with client.get("/health/ready") as response:
        assert (await response.json())["checks"]["voice"] is True


async def test_metrics_gather_every_part(make_client: MakeClient) -> None:
    client = await make_client(counters=lambda: {"voice": {"dropped_not_included": 12}})
    async with client.get("/nothing") as response:
        assert response.status == 404
    async with client.get("/metrics") as response:
        text = await response.text()
        assert response.content_type == "text/plain"
    assert 'undertone_voice_dropped_total{reason="not_included"} 12.0' in text
    assert "undertone_engine_windows_total 0.0" in text
    assert "undertone_live_slow_dropped_total 0.0" in text
    assert "undertone_live_subscribers 0.0" in text
    assert "undertone_uploads_refused_rate_total 0.0" in text
    assert "process_resident_memory_bytes" in text
    assert "undertone_model_ready 1.0" in text
    assert 'undertone_http_responses_total{route="unknown",status="404"} 1.0' in text


async def test_metrics_name_no_session_and_no_token(client: Client) -> None:
    for path in ("/sessions/5e5510", "/s/secret-token"):
        async with client.get(path):
            pass
    async with client.get("/metrics") as response:
        text = await response.text()
    assert "5e5510" not in text
    assert "secret-token" not in text
    assert 'route="/s/{token}"' in text


async def test_pages_and_readiness_say_that_results_are_not_being_saved(make_client: MakeClient) -> None:
    state = {"saving": False}
    client = await make_client(ready=lambda: state)
    async with client.get("/health/ready") as response:
        assert response.status == 503
        assert (await response.json())["checks"]["saving"] is False
    async with client.get("/about") as response:
        assert words.UNSAVED in await response.text()
    state["saving"] = True
    async with client.get("/about") as response:
        assert words.UNSAVED not in await response.text()

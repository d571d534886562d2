"""The old page on a port of its own may use the old interface where the operator names it, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from tests.bot.web.conftest import MakeClient
from tests.bot.web.test_predict import CLIP, _form

pytestmark = pytest.mark.integration

OLD_PAGE = "http://localhost:5173"
Client = TestClient[Any, Any]


@pytest.fixture
async def client(make_client: MakeClient) -> Client:
    return await make_client(access={"allowed_origins": (OLD_PAGE,)})


async def test_a_named_page_asks_uploads_and_reads_the_answer(client: Client) -> None:
    asks = {"Origin": OLD_PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-app"}
    async with client.options("/predict", headers=asks) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == OLD_PAGE
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Allow-Headers"] == "x-app"
    comes = {"Origin": OLD_PAGE, "Sec-Fetch-Site": "same-site"}
    async with client.post("/predict", data=_form(CLIP.read_bytes()), headers=comes) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == OLD_PAGE
        assert "Undertone-Prediction" in response.headers["Access-Control-Expose-Headers"]
        assert "Origin" in response.headers["Vary"]
    async with client.post("/predict", data=_form(b"", "a.wav"), headers=comes) as response:
        assert response.status == 400  # a page must be able to read a refusal too
        assert response.headers["Access-Control-Allow-Origin"] == OLD_PAGE
    async with client.get("/health", headers=comes) as response:
        assert response.headers["Access-Control-Allow-Origin"] == OLD_PAGE


@pytest.mark.parametrize("origin", ["http://localhost:5174", "https://localhost:5173", "null"])
async def test_a_page_that_is_not_named_is_refused(client: Client, origin: str) -> None:
    asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    async with client.options("/predict", headers=asks) as response:
        assert response.status == 405
        assert "Access-Control-Allow-Origin" not in response.headers
    async with client.post("/predict", data=_form(CLIP.read_bytes()), headers={"Origin": origin}) as response:
        assert response.status == 403
        assert "Access-Control-Allow-Origin" not in response.headers
    async with client.get("/health", headers={"Origin": origin}) as response:
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_nothing_else_is_shared(client: Client) -> None:
    for path in ("/api/v1/sessions", "/metrics", "/health/ready"):
        async with client.get(path, headers={"Origin": OLD_PAGE}) as response:
            assert "Access-Control-Allow-Origin" not in response.headers, path


async def test_at_first_nobody_is_named(make_client: MakeClient) -> None:
    client = await make_client()
    async with client.get("/health", headers={"Origin": OLD_PAGE}) as response:
        assert "Access-Control-Allow-Origin" not in response.headers

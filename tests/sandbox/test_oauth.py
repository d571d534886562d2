"""Signing in with an account of the simulated Discord, as a web page does it."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import aiohttp
import pytest
from yarl import URL

from sandbox import Sandbox, User

pytestmark = pytest.mark.integration

BACK = "http://127.0.0.1:9/oauth/callback"


async def code_for(http: aiohttp.ClientSession, sandbox: Sandbox, user: User, **more: str) -> str:
    query = more | {
        "client_id": str(sandbox.application_id),
        "response_type": "code",
        "redirect_uri": BACK,
        "scope": "identify",
        "state": "kept",
        "as": str(user.id),
    }
    url = f"{sandbox.url}/oauth2/authorize"
    async with http.get(url, params=query, allow_redirects=False) as response:
        assert response.status == 302
        back = URL(response.headers["Location"])
    assert str(back.with_query(None)) == BACK
    assert back.query["state"] == "kept"
    return back.query["code"]


async def exchange(http: aiohttp.ClientSession, sandbox: Sandbox, code: str, **changes: str) -> tuple[int, Any]:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK} | changes
    auth = aiohttp.encode_basic_auth(str(sandbox.application_id), changes.pop("secret", sandbox.client_secret))
    headers = {"Authorization": auth}
    async with http.post(f"{sandbox.api_base}/oauth2/token", data=form, headers=headers) as response:
        return response.status, await response.json()


async def test_a_person_signs_in_once_with_each_code(sandbox: Sandbox) -> None:
    mara = sandbox.add_person("Mara")
    async with aiohttp.ClientSession() as http:
        code = await code_for(http, sandbox, mara)
        status, token = await exchange(http, sandbox, code)
        assert (status, token["token_type"]) == (200, "Bearer")
        status, refused = await exchange(http, sandbox, code)
        assert (status, refused["error"]) == (400, "invalid_grant")
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token['access_token']}"}) as http:
        async with http.get(f"{sandbox.api_base}/users/@me") as response:
            assert (await response.json())["id"] == str(mara.id)
        async with http.get(f"{sandbox.api_base}/users/@me/guilds") as response:
            assert [g["id"] for g in await response.json()] == [str(sandbox.guild.id)]
        async with http.get(f"{sandbox.api_base}/guilds/{sandbox.guild.id}") as response:
            assert response.status == 401  # a person's token opens what is the person's alone


@pytest.mark.parametrize(("verifier", "status"), [("the verifier", 200), ("another", 400), (None, 400)])
async def test_a_code_with_a_challenge_needs_its_verifier(sandbox: Sandbox, verifier: str | None, status: int) -> None:
    digest = hashlib.sha256(b"the verifier").digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    proof = {} if verifier is None else {"code_verifier": verifier}
    async with aiohttp.ClientSession() as http:
        code = await code_for(http, sandbox, sandbox.you, code_challenge=challenge, code_challenge_method="S256")
        assert (await exchange(http, sandbox, code, **proof))[0] == status


async def test_a_code_is_bound_to_its_application_and_address(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession() as http:
        code = await code_for(http, sandbox, sandbox.you)
        assert (await exchange(http, sandbox, code, secret="wrong"))[0] == 401
        assert (await exchange(http, sandbox, code, redirect_uri="http://127.0.0.1:9/other"))[0] == 400
        assert (await exchange(http, sandbox, code))[0] == 400  # spent by the attempt


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "1"},
        *({"redirect_uri": uri} for uri in ("https://elsewhere.example/x", "http://[::1", "http://127.0.0.1:99999")),
        {"scope": "bot"},
        {"response_type": "token"},
    ],
)
async def test_a_wrong_link_is_refused_before_anybody_is_asked(sandbox: Sandbox, wrong: dict[str, str]) -> None:
    query = {
        "client_id": str(sandbox.application_id),
        "response_type": "code",
        "redirect_uri": BACK,
        "scope": "identify",
        "as": str(sandbox.you.id),
    }
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{sandbox.url}/oauth2/authorize", params=query | wrong, allow_redirects=False) as response:
            assert response.status == 400
        del query["as"]
        async with http.get(f"{sandbox.url}/oauth2/authorize", params=query) as response:
            text = await response.text()
            assert "You</a>" in text
            assert "Undertone</a>" not in text  # a bot cannot sign in

"""Sign-in with Discord: who comes in, what they see, and how it ends."""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.web.limits import SIGN_INS_PER_CLIENT
from storage import NewSession, SessionRecord, Storage
from tests.bot.web.conftest import (
    ALICE,
    SESSION_COOKIE,
    STARTER,
    STATE_COOKIE,
    STRANGER,
    Client,
    MakeClient,
    status_of,
)

pytestmark = pytest.mark.integration

PUBLIC = "https://tone.example"


class FakeDiscord:
    """Discord's OAuth2 side: a code for each user, and who they are."""

    def __init__(self) -> None:
        self.codes = {f"code-{user}": str(user) for user in (ALICE, STARTER, STRANGER)}
        self.challenge = ""
        """PKCE's, of the last sign-in that was begun."""
        self.broken = False
        self.asked = 0
        """How often for a token."""
        app = web.Application()
        app.router.add_post("/api/v10/oauth2/token", self._token)
        app.router.add_get("/api/v10/users/@me", self._me)
        self.server = TestServer(app)

    @property
    def api_base(self) -> str:
        return str(self.server.make_url("/api/v10"))

    async def _token(self, request: web.Request) -> web.Response:
        self.asked += 1
        form = await request.post()
        proof = urlsafe_b64encode(hashlib.sha256(str(form["code_verifier"]).encode()).digest()).decode().rstrip("=")
        good = request.headers["Authorization"].startswith("Basic ") and form["code"] in self.codes
        good = good and proof == self.challenge
        if not good or form["redirect_uri"] != f"{PUBLIC}/oauth/callback":
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response({"access_token": f"token-{form['code']!s}"})

    async def _me(self, request: web.Request) -> web.Response:
        if self.broken:
            return web.Response(status=500)
        code = request.headers["Authorization"].removeprefix("Bearer token-")
        return web.json_response({"id": self.codes[code], "username": "x"})


@pytest.fixture
async def discord() -> AsyncIterator[FakeDiscord]:
    fake = FakeDiscord()
    await fake.server.start_server()
    yield fake
    await fake.server.close()


def _oauth(discord: FakeDiscord) -> dict[str, Any]:
    return {
        "public_url": PUBLIC,
        "oauth_client_id": "42",
        "oauth_client_secret": "s3cret",
        "discord_api_base": discord.api_base,
    }


async def _sign_in(client: Client, discord: FakeDiscord, user: int, to: str = "/") -> tuple[int, str]:
    """Follow the sign-in by hand, as a browser would. The status and place the callback answers."""
    async with client.get("/sign-in", params={"to": to}, allow_redirects=False) as response:
        assert response.status == 303
        query = parse_qs(urlsplit(response.headers["Location"]).query)
        cookie = response.cookies[STATE_COOKIE].value
    assert query["scope"] == ["identify"]
    assert query["code_challenge_method"] == ["S256"]
    discord.challenge = query["code_challenge"][0]
    params = {"code": f"code-{user}", "state": query["state"][0]}
    headers = {"Cookie": f"{STATE_COOKIE}={cookie}"}
    async with client.get("/oauth/callback", params=params, headers=headers, allow_redirects=False) as response:
        session = response.cookies.get(SESSION_COOKIE)
        if session is not None:
            assert session["httponly"]
            assert session["samesite"] == "Lax"
            assert session["secure"]
            client.session.headers["Cookie"] = f"{SESSION_COOKIE}={session.value}"
        return response.status, response.headers.get("Location", "")


async def test_sign_in_shows_ones_own_sessions_and_no_others(
    make_client: MakeClient, storage: Storage, session: SessionRecord, discord: FakeDiscord
) -> None:
    other = await storage.start_session(
        NewSession(guild_id=10, channel_id=20, started_by=5, model="m", model_version="v", labels=("Angry",))
    )
    client = await make_client(access=_oauth(discord))
    assert await status_of(client, f"/sessions/{session.id}") == 303
    assert await status_of(client, f"/api/v1/sessions/{session.id}") == 401
    assert await _sign_in(client, discord, ALICE, f"/sessions/{session.id}") == (303, f"/sessions/{session.id}")
    assert await status_of(client, f"/sessions/{session.id}") == 200
    assert await status_of(client, f"/sessions/{other.id}") == 403
    assert await status_of(client, f"/api/v1/sessions/{other.id}/events") == 403
    async with client.get("/api/v1/sessions") as response:
        assert [row["id"] for row in (await response.json())["sessions"]] == [session.id]


async def test_the_starter_may_see_it_and_a_stranger_may_not(
    make_client: MakeClient, session: SessionRecord, discord: FakeDiscord
) -> None:
    client = await make_client(access=_oauth(discord))
    await _sign_in(client, discord, STARTER)
    assert await status_of(client, f"/sessions/{session.id}") == 200
    await _sign_in(client, discord, STRANGER)
    assert await status_of(client, f"/sessions/{session.id}") == 403
    async with client.get("/") as response:
        assert "No conversation yet" in await response.text()


async def test_all_sessions_are_looked_through_once_for_somebody_whose_fit_on_a_page(
    make_client: MakeClient,
    session: SessionRecord,
    storage: Storage,
    discord: FakeDiscord,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = await storage.start_session(
        NewSession(guild_id=10, channel_id=21, started_by=ALICE, model="m", model_version="v", labels=("Angry",))
    )
    client = await make_client(access=_oauth(discord))
    await _sign_in(client, discord, ALICE)
    asked: list[object] = []
    places = storage.places

    async def counted(**of: Any) -> list[tuple[int, int]]:
        asked.append(of)
        return await places(**of)

    monkeypatch.setattr(storage, "places", counted)
    offered = []
    for page in ("/", "/?channel=20"):  # with a filter, what is on the page is not all there is to choose from
        async with client.get(page) as response:
            text = await response.text()
            assert (session.id in text, other.id in text) == (True, page == "/")
            offered.append(set(re.findall(r'<option value="(\d+)"', text)))
    assert offered[0] == offered[1] >= {"20", "21"}
    assert len(asked) == 1


async def test_a_sign_in_that_began_elsewhere_is_refused(make_client: MakeClient, discord: FakeDiscord) -> None:
    client = await make_client(access=_oauth(discord))
    async with client.get("/sign-in", allow_redirects=False) as response:
        state = parse_qs(urlsplit(response.headers["Location"]).query)["state"][0]
    client.session.cookie_jar.clear()
    for query in ({"code": f"code-{ALICE}", "state": state}, {"code": "x"}, {"state": "a.b", "code": "x"}):
        async with client.get("/oauth/callback", params=query, allow_redirects=False) as response:
            assert response.status == 400
            assert SESSION_COOKIE not in response.cookies
            assert 'class="button" href="/sign-in"' in await response.text()


async def test_discord_refusing_or_failing_is_said(make_client: MakeClient, discord: FakeDiscord) -> None:
    client = await make_client(access=_oauth(discord))
    assert (await _sign_in(client, discord, 31337))[0] == 400
    discord.broken = True
    assert (await _sign_in(client, discord, ALICE))[0] == 503


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil.example", "\n//x", "evil"])
async def test_the_way_back_stays_on_this_site(make_client: MakeClient, discord: FakeDiscord, to: str) -> None:
    client = await make_client(access=_oauth(discord))
    assert (await _sign_in(client, discord, ALICE, to))[1] == "/"


async def test_a_code_is_worth_nothing_without_its_verifier(make_client: MakeClient, discord: FakeDiscord) -> None:
    client = await make_client(access=_oauth(discord))
    async with client.get("/sign-in", allow_redirects=False) as response:
        state = parse_qs(urlsplit(response.headers["Location"]).query)["state"][0]
        cookie = response.cookies[STATE_COOKIE].value
    discord.challenge = "of another sign-in"
    params = {"code": f"code-{ALICE}", "state": state}
    headers = {"Cookie": f"{STATE_COOKIE}={cookie}"}
    async with client.get("/oauth/callback", params=params, headers=headers, allow_redirects=False) as response:
        assert response.status == 400
        assert SESSION_COOKIE not in response.cookies


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": PUBLIC}, 303),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 303),  # Chromium, under no-referrer
        ({"Origin": "null"}, 303),  # a browser without Sec-Fetch headers, or over plain http: the form's token decides
    ],
)
async def test_signing_out(make_client: MakeClient, discord: FakeDiscord, headers: dict[str, str], status: int) -> None:
    client = await make_client(access=_oauth(discord))
    await _sign_in(client, discord, ALICE)
    async with client.get("/") as response:
        found = re.search(r'name="csrf" value="([^"]+)"', await response.text())
        assert found is not None
    for token, answer in (("", 403), ("made up", 403), (found[1], status)):
        form = {"csrf": token}
        async with client.post("/sign-out", data=form, headers=headers, allow_redirects=False) as response:
            assert response.status == answer
            gone = response.cookies.get(SESSION_COOKIE)
            assert (gone is not None and gone["max-age"] == "0") is (answer == 303)


async def test_nobody_can_sign_in_where_it_is_not_set_up(client: Client) -> None:
    assert await status_of(client, "/sign-in") == 404
    assert await status_of(client, "/oauth/callback?code=x&state=y") == 404


async def test_made_up_codes_are_not_all_taken_to_discord(make_client: MakeClient, discord: FakeDiscord) -> None:
    """Discord bans an address for 10,000 refused questions in ten minutes, and the bot lives at the same one."""
    client = await make_client(access=_oauth(discord))
    async with client.get("/sign-in", allow_redirects=False) as response:
        state = parse_qs(urlsplit(response.headers["Location"]).query)["state"][0]
        headers = {"Cookie": f"{STATE_COOKIE}={response.cookies[STATE_COOKIE].value}"}
    answers = []
    for number in range(2 * SIGN_INS_PER_CLIENT):
        params = {"code": f"made up {number}", "state": state}
        async with client.get("/oauth/callback", params=params, headers=headers, allow_redirects=False) as response:
            answers.append((response.status, "Retry-After" in response.headers))
    assert set(answers) == {(400, False), (503, True)}
    assert SIGN_INS_PER_CLIENT <= discord.asked == answers.count((400, False)) < 2 * SIGN_INS_PER_CLIENT

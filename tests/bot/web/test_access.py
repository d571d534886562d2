"""Who may see what: the local view, the closed one, and sign-in with Discord."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bot.web.access import Access, Mode, is_loopback
from bot.web.grants import SESSION_COOKIE
from storage import NewSession, SessionRecord, Storage
from tests.bot.web.conftest import ALICE, KEY, STARTER, STRANGER, MakeClient

pytestmark = pytest.mark.integration

Client = TestClient[Any, Any]
PUBLIC = "https://tone.example"


class FakeDiscord:
    """Discord's OAuth2 side: a code for each user, and who they are."""

    def __init__(self) -> None:
        self.codes = {f"code-{user}": str(user) for user in (ALICE, STARTER, STRANGER)}
        self.broken = False
        app = web.Application()
        app.router.add_post("/api/v10/oauth2/token", self._token)
        app.router.add_get("/api/v10/users/@me", self._me)
        self.server = TestServer(app)

    @property
    def api_base(self) -> str:
        return str(self.server.make_url("/api/v10"))

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        good = request.headers["Authorization"].startswith("Basic ") and form["code"] in self.codes
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


async def _status(client: Client, path: str, **headers: str) -> int:
    async with client.get(path, headers=headers, allow_redirects=False) as response:
        await response.read()
        return response.status


async def _sign_in(client: Client, user: int, to: str = "/") -> tuple[int, str]:
    """Follow the sign-in by hand, as a browser would. The status and place the callback answers."""
    async with client.get("/sign-in", params={"to": to}, allow_redirects=False) as response:
        assert response.status == 303
        query = parse_qs(urlsplit(response.headers["Location"]).query)
        cookie = response.cookies["undertone_state"].value
    assert query["scope"] == ["identify"]
    params = {"code": f"code-{user}", "state": query["state"][0]}
    headers = {"Cookie": f"undertone_state={cookie}"}
    async with client.get("/oauth/callback", params=params, headers=headers, allow_redirects=False) as response:
        session = response.cookies.get(SESSION_COOKIE)
        if session is not None:
            assert session["httponly"]
            assert session["samesite"] == "Lax"
            assert session["secure"]
            client.session.headers["Cookie"] = f"{SESSION_COOKIE}={session.value}"
        return response.status, response.headers.get("Location", "")


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080", "127.1.2.3"])
async def test_the_local_view_is_open_under_its_own_names(client: Client, session: SessionRecord, host: str) -> None:
    assert await _status(client, f"/sessions/{session.id}", Host=host) == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "10.0.0.1"])
async def test_a_foreign_name_for_this_machine_is_refused(client: Client, session: SessionRecord, host: str) -> None:
    for path in (f"/sessions/{session.id}", "/api/v1/sessions", "/", "/health"):
        assert await _status(client, path, Host=host) == 403


async def test_what_a_proxy_passed_on_is_not_local(client: Client, session: SessionRecord) -> None:
    assert await _status(client, f"/sessions/{session.id}", **{"X-Forwarded-For": "203.0.113.9"}) == 403
    assert await _status(client, "/api/v1/sessions", Forwarded="for=203.0.113.9") == 403
    assert await _status(client, "/health", **{"X-Forwarded-For": "203.0.113.9"}) == 200


async def test_listening_to_a_network_without_sign_in_keeps_reports_shut(
    make_client: MakeClient, storage: Storage, session: SessionRecord
) -> None:
    client = await make_client(access={"host": "0.0.0.0"})  # noqa: S104
    for path in (f"/sessions/{session.id}", "/api/v1/sessions", "/", f"/api/v1/sessions/{session.id}/events"):
        assert await _status(client, path) == 403
    async with client.get("/") as response:
        assert "UNDERTONE_OAUTH_CLIENT_ID" in await response.text()
    _, token = await storage.create_share(session.id, lifetime=timedelta(hours=1))
    assert await _status(client, f"/s/{token}") == 200
    assert await _status(client, "/about") == 200


async def test_sign_in_shows_ones_own_sessions_and_no_others(
    make_client: MakeClient, storage: Storage, session: SessionRecord, discord: FakeDiscord
) -> None:
    other = await storage.start_session(
        NewSession(guild_id=10, channel_id=20, started_by=5, model="m", model_version="v", labels=("Angry",))
    )
    client = await make_client(access=_oauth(discord))
    assert await _status(client, f"/sessions/{session.id}") == 303
    assert await _status(client, f"/api/v1/sessions/{session.id}") == 401
    assert await _sign_in(client, ALICE, f"/sessions/{session.id}") == (303, f"/sessions/{session.id}")
    assert await _status(client, f"/sessions/{session.id}") == 200
    assert await _status(client, f"/sessions/{other.id}") == 403
    assert await _status(client, f"/api/v1/sessions/{other.id}/events") == 403
    async with client.get("/api/v1/sessions") as response:
        assert [row["id"] for row in (await response.json())["sessions"]] == [session.id]


async def test_the_starter_may_see_it_and_a_stranger_may_not(
    make_client: MakeClient, session: SessionRecord, discord: FakeDiscord
) -> None:
    client = await make_client(access=_oauth(discord))
    await _sign_in(client, STARTER)
    assert await _status(client, f"/sessions/{session.id}") == 200
    await _sign_in(client, STRANGER)
    assert await _status(client, f"/sessions/{session.id}") == 403
    async with client.get("/") as response:
        assert "No conversation yet" in await response.text()


async def test_a_sign_in_that_began_elsewhere_is_refused(make_client: MakeClient, discord: FakeDiscord) -> None:
    client = await make_client(access=_oauth(discord))
    async with client.get("/sign-in", allow_redirects=False) as response:
        state = parse_qs(urlsplit(response.headers["Location"]).query)["state"][0]
    client.session.cookie_jar.clear()
    for query in ({"code": f"code-{ALICE}", "state": state}, {"code": "x"}, {"state": "a.b", "code": "x"}):
        async with client.get("/oauth/callback", params=query, allow_redirects=False) as response:
            assert response.status == 400
            assert SESSION_COOKIE not in response.cookies


async def test_discord_refusing_or_failing_is_said(make_client: MakeClient, discord: FakeDiscord) -> None:
    client = await make_client(access=_oauth(discord))
    assert (await _sign_in(client, 31337))[0] == 400
    discord.broken = True
    assert (await _sign_in(client, ALICE))[0] == 503


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil.example", "\n//x", "evil"])
async def test_the_way_back_stays_on_this_site(make_client: MakeClient, discord: FakeDiscord, to: str) -> None:
    client = await make_client(access=_oauth(discord))
    assert (await _sign_in(client, ALICE, to))[1] == "/"


async def test_signing_out(make_client: MakeClient, discord: FakeDiscord, session: SessionRecord) -> None:
    client = await make_client(access=_oauth(discord))
    await _sign_in(client, ALICE)
    async with client.post("/sign-out", headers={"Origin": "https://evil.example"}, allow_redirects=False) as response:
        assert response.status == 403
    async with client.post("/sign-out", headers={"Origin": PUBLIC}, allow_redirects=False) as response:
        assert response.status == 303
        assert response.cookies[SESSION_COOKIE]["max-age"] == "0"


async def test_nobody_can_sign_in_where_it_is_not_set_up(client: Client) -> None:
    assert await _status(client, "/sign-in") == 404
    assert await _status(client, "/oauth/callback?code=x&state=y") == 404


def test_a_cookie_is_only_good_as_it_was_made() -> None:
    now = 1_000.0
    access = Access(mode=Mode.SIGN_IN, key=KEY, public_url=PUBLIC, now=lambda: now)
    other = Access(mode=Mode.SIGN_IN, key=bytes(32), public_url=PUBLIC, now=lambda: now)
    cookie = access.sign({"user": "7"}, purpose="session", lifetime_s=60)

    def user(cookie: str, rules: Access = access) -> int | None:
        return rules.visitor(cookie, host_header=None, forwarded=False).user_id

    assert user(cookie) == 7
    assert user(cookie, other) is None
    assert user(cookie[:-2]) is None
    assert user("A" + cookie[1:]) is None
    assert user("") is None
    assert user("é.é") is None
    assert user("x" * 5000) is None
    assert user(access.sign({"user": "7"}, purpose="state", lifetime_s=60)) is None
    now = 1_061.0
    assert user(cookie) is None


def test_sign_in_needs_all_three_settings() -> None:
    def mode(**settings: Any) -> Mode:
        return Access.configure(key=KEY, **settings).mode

    full = {"public_url": PUBLIC, "oauth_client_id": "1", "oauth_client_secret": "2"}
    assert mode(host="127.0.0.1") is Mode.LOCAL
    assert mode(host="::1") is Mode.LOCAL
    assert mode(host="0.0.0.0") is Mode.CLOSED  # noqa: S104
    assert mode(host="0.0.0.0", **full) is Mode.SIGN_IN  # noqa: S104
    assert mode(host="127.0.0.1", **full) is Mode.SIGN_IN
    for missing in full:
        assert mode(host="0.0.0.0", **{**full, missing: None}) is Mode.CLOSED  # noqa: S104


def test_what_is_this_machine() -> None:
    assert all(is_loopback(host) for host in ("localhost", "LOCALHOST", "127.0.0.1", "::1", "[::1]", "127.9.9.9"))
    assert not any(is_loopback(host) for host in ("", "0.0.0.0", "localhost.evil.example", "10.0.0.1", "::"))  # noqa: S104

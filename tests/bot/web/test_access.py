"""Who may see what: the local view, the closed one, and sign-in with Discord."""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bot.web.access import Access, Mode, is_loopback
from storage import NewSession, SessionRecord, Storage
from tests.bot.web.conftest import (
    ALICE,
    KEY,
    KEY_COOKIE,
    SESSION_COOKIE,
    STARTER,
    STATE_COOKIE,
    STRANGER,
    MakeClient,
)

pytestmark = pytest.mark.integration

Client = TestClient[Any, Any]
PUBLIC = "https://tone.example"


class FakeDiscord:
    """Discord's OAuth2 side: a code for each user, and who they are."""

    def __init__(self) -> None:
        self.codes = {f"code-{user}": str(user) for user in (ALICE, STARTER, STRANGER)}
        self.challenge = ""
        """PKCE's, of the last sign-in that was begun."""
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


async def _status(client: Client, path: str, **headers: str) -> int:
    async with client.get(path, headers=headers, allow_redirects=False) as response:
        await response.read()
        return response.status


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


SHUT = ("/", "/sessions", "/sessions/{}", "/api/v1/sessions", "/api/v1/sessions/{}", "/api/v1/sessions/{}/events")


@pytest.fixture
async def keyed(make_client: MakeClient) -> Client:
    """Nobody can sign in; the key is ``the-key``."""
    client = await make_client(access={"open_to_all": False, "entry_key": "the-key"})
    client.session.cookie_jar.clear()
    return client


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "127.0.0.1:8080"},
        {"Host": "localhost"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Cookie": f"{KEY_COOKIE}=the-key"},
        {"Cookie": f"{KEY_COOKIE}="},
        {"Authorization": "Bearer the-kex"},
        {"Authorization": "Basic the-key"},
    ],
)
async def test_being_on_this_machine_opens_nothing(
    keyed: Client, session: SessionRecord, headers: dict[str, str]
) -> None:
    """A proxy is on this machine too: nginx as it comes says neither that it is one nor whom it speaks for."""
    for path in SHUT:
        assert await _status(keyed, path.format(session.id), **headers) == 403
    for path in ("/health", "/about", "/microphone"):
        assert await _status(keyed, path, **headers) == 200


async def test_the_printed_address_opens_it_once_for_all(keyed: Client, session: SessionRecord) -> None:
    async with keyed.get(f"/sessions/{session.id}?speaker=1&key=the-key", allow_redirects=False) as response:
        assert response.status == 303
        assert response.headers["Location"] == f"/sessions/{session.id}?speaker=1"
        cookie = response.cookies[KEY_COOKIE]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert "the-key" not in cookie.value
    keyed.session.headers["Cookie"] = f"{KEY_COOKIE}={cookie.value}"
    for path in SHUT[:-1]:
        assert await _status(keyed, path.format(session.id)) == 200
    assert await _status(keyed, f"/api/v1/sessions/{session.id}/events") == 204


async def test_a_program_sends_the_key_in_a_header(keyed: Client) -> None:
    assert await _status(keyed, "/api/v1/sessions", Authorization="Bearer the-key") == 200


async def test_the_key_of_another_start_opens_nothing(make_client: MakeClient, keyed: Client) -> None:
    for path in ("/?key=the-old-key", "/?key=", "/?key=%C3%A9"):
        async with keyed.get(path, allow_redirects=False) as response:
            assert response.status == 403
            assert KEY_COOKIE not in response.cookies
    async with keyed.get("/?key=the-key", allow_redirects=False) as response:
        cookie = response.cookies[KEY_COOKIE].value
    again = await make_client(access={"open_to_all": False, "entry_key": "another"})
    assert await _status(again, "/", Cookie=f"{KEY_COOKIE}={cookie}") == 403


async def test_coming_to_one_of_two_on_a_host_leaves_the_other_open(make_client: MakeClient) -> None:
    """A browser sends the cookies of a host to each of its ports."""
    jar: dict[str, str] = {}
    both = [
        await make_client(access={"open_to_all": False, "entry_key": "k", "key": bytes([number]) * 32})
        for number in (1, 2)
    ]
    for client in both:
        client.session.cookie_jar.clear()
        async with client.get("/?key=k", allow_redirects=False) as response:
            jar |= {name: cookie.value for name, cookie in response.cookies.items()}
    for client in both:
        client.session.cookie_jar.clear()
        assert await _status(client, "/", Cookie="; ".join(f"{name}={value}" for name, value in jar.items())) == 200


async def test_without_any_key_only_share_links_open(
    make_client: MakeClient, storage: Storage, session: SessionRecord
) -> None:
    client = await make_client(access={"host": "0.0.0.0", "open_to_all": False})  # noqa: S104
    for path in SHUT:
        assert await _status(client, path.format(session.id), Authorization="Bearer ") == 403
        assert await _status(client, path.format(session.id) + "?key=") == 403
    async with client.get("/") as response:
        assert "UNDERTONE_OAUTH_CLIENT_ID" in await response.text()
    _, token = await storage.create_share(session.id, lifetime=timedelta(hours=1))
    assert await _status(client, f"/s/{token}") == 200


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080", "127.1.2.3"])
async def test_the_demo_is_open_under_its_own_names(client: Client, session: SessionRecord, host: str) -> None:
    assert await _status(client, f"/sessions/{session.id}", Host=host) == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "10.0.0.1"])
async def test_a_foreign_name_for_this_machine_is_refused(client: Client, session: SessionRecord, host: str) -> None:
    for path in (f"/sessions/{session.id}", "/api/v1/sessions", "/", "/health"):
        assert await _status(client, path, Host=host) == 403


async def test_a_dead_link_says_so(client: Client, storage: Storage, session: SessionRecord) -> None:
    _, expired = await storage.create_share(session.id, lifetime=timedelta(seconds=-1))
    _, revoked = await storage.create_share(session.id, lifetime=timedelta(hours=1))
    assert await _status(client, f"/s/{revoked}") == 200
    await storage.revoke_shares(session.id)
    for token in (expired, revoked):
        for form in ("", "/report.json", "/chart.json", "/windows.csv", "/events"):
            assert await _status(client, f"/s/{token}{form}") == 410
    assert await _status(client, "/s/made-up") == 404


async def test_no_search_engine_keeps_a_shared_report(client: Client, storage: Storage, session: SessionRecord) -> None:
    _, token = await storage.create_share(session.id, lifetime=timedelta(hours=1))
    for form in ("", "/report.json", "/chart.json", "/windows.csv", "/speakers.csv", "/moments.csv", "/nothing"):
        async with client.get(f"/s/{token}{form}") as response:
            assert response.headers["X-Robots-Tag"] == "noindex", form


async def test_sign_in_shows_ones_own_sessions_and_no_others(
    make_client: MakeClient, storage: Storage, session: SessionRecord, discord: FakeDiscord
) -> None:
    other = await storage.start_session(
        NewSession(guild_id=10, channel_id=20, started_by=5, model="m", model_version="v", labels=("Angry",))
    )
    client = await make_client(access=_oauth(discord))
    assert await _status(client, f"/sessions/{session.id}") == 303
    assert await _status(client, f"/api/v1/sessions/{session.id}") == 401
    assert await _sign_in(client, discord, ALICE, f"/sessions/{session.id}") == (303, f"/sessions/{session.id}")
    assert await _status(client, f"/sessions/{session.id}") == 200
    assert await _status(client, f"/sessions/{other.id}") == 403
    assert await _status(client, f"/api/v1/sessions/{other.id}/events") == 403
    async with client.get("/api/v1/sessions") as response:
        assert [row["id"] for row in (await response.json())["sessions"]] == [session.id]


async def test_the_starter_may_see_it_and_a_stranger_may_not(
    make_client: MakeClient, session: SessionRecord, discord: FakeDiscord
) -> None:
    client = await make_client(access=_oauth(discord))
    await _sign_in(client, discord, STARTER)
    assert await _status(client, f"/sessions/{session.id}") == 200
    await _sign_in(client, discord, STRANGER)
    assert await _status(client, f"/sessions/{session.id}") == 403
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
    assert await _status(client, "/sign-in") == 404
    assert await _status(client, "/oauth/callback?code=x&state=y") == 404


def test_a_cookie_is_only_good_as_it_was_made() -> None:
    now = 1_000.0
    access = Access(mode=Mode.SIGN_IN, key=KEY, public_url=PUBLIC, now=lambda: now)
    other = Access(mode=Mode.SIGN_IN, key=bytes(32), public_url=PUBLIC, now=lambda: now)
    cookie = access.sign({"user": "7"}, purpose="session", lifetime_s=60)

    def user(cookie: str, rules: Access = access) -> int | None:
        return rules.visitor(session_cookie=cookie, key_cookie=None, authorization=None).user_id

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
    assert mode(host="127.0.0.1") is Mode.KEY
    assert mode(host="127.0.0.1", open_to_all=True) is Mode.OPEN
    assert mode(host="127.0.0.1", open_to_all=True, **full) is Mode.SIGN_IN
    assert mode(host="0.0.0.0", **full) is Mode.SIGN_IN  # noqa: S104
    assert mode(host="127.0.0.1", **full) is Mode.SIGN_IN
    for missing in full:
        assert mode(host="0.0.0.0", **{**full, missing: None}) is Mode.KEY  # noqa: S104


def test_what_is_this_machine() -> None:
    assert all(is_loopback(host) for host in ("localhost", "LOCALHOST", "127.0.0.1", "::1", "[::1]", "127.9.9.9"))
    assert not any(is_loopback(host) for host in ("", "0.0.0.0", "localhost.evil.example", "10.0.0.1", "::"))  # noqa: S104


async def test_a_link_to_ones_own_results_opens_nobody_elses(
    client: Client, storage: Storage, session: SessionRecord
) -> None:
    mine, other, *_ = await storage.participants(session.id)
    _, token = await storage.create_share(session.id, lifetime=timedelta(hours=1), participant_id=mine.id)
    for path in ("report.json", "windows.csv"):
        text = await (await client.get(f"/s/{token}/{path}")).text()
        assert mine.pseudonym in text
        assert other.pseudonym not in text
    page = await (await client.get(f"/s/{token}")).text()
    assert other.pseudonym not in page
    assert (await client.get(f"/s/{token}/events")).status == 204

"""Who may see what: the local view, the closed one, links, and what a cookie is worth."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bot.web.access import Access, Mode, is_loopback
from storage import SessionRecord, Storage
from tests.bot.web.conftest import (
    KEY,
    KEY_COOKIE,
    Client,
    MakeClient,
    status_of,
)

pytestmark = pytest.mark.integration

PUBLIC = "https://tone.example"

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
        assert await status_of(keyed, path.format(session.id), **headers) == 403
    for path in ("/health", "/about", "/microphone"):
        assert await status_of(keyed, path, **headers) == 200


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
        assert await status_of(keyed, path.format(session.id)) == 200
    assert await status_of(keyed, f"/api/v1/sessions/{session.id}/events") == 204


async def test_a_program_sends_the_key_in_a_header(keyed: Client) -> None:
    assert await status_of(keyed, "/api/v1/sessions", Authorization="Bearer the-key") == 200


async def test_the_key_of_another_start_opens_nothing(make_client: MakeClient, keyed: Client) -> None:
    for path in ("/?key=the-old-key", "/?key=", "/?key=%C3%A9"):
        async with keyed.get(path, allow_redirects=False) as response:
            assert response.status == 403
            assert KEY_COOKIE not in response.cookies
    async with keyed.get("/?key=the-key", allow_redirects=False) as response:
        cookie = response.cookies[KEY_COOKIE].value
    again = await make_client(access={"open_to_all": False, "entry_key": "another"})
    assert await status_of(again, "/", Cookie=f"{KEY_COOKIE}={cookie}") == 403


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
        assert await status_of(client, "/", Cookie="; ".join(f"{name}={value}" for name, value in jar.items())) == 200


async def test_without_any_key_only_share_links_open(
    make_client: MakeClient, storage: Storage, session: SessionRecord
) -> None:
    client = await make_client(access={"host": "0.0.0.0", "open_to_all": False})  # noqa: S104
    for path in SHUT:
        assert await status_of(client, path.format(session.id), Authorization="Bearer ") == 403
        assert await status_of(client, path.format(session.id) + "?key=") == 403
    async with client.get("/") as response:
        text = (await response.text()).replace("<wbr>", "")
    assert "UNDERTONE_OAUTH_CLIENT_ID" in text
    _, token = await storage.create_share(session.id, lifetime=timedelta(hours=1))
    assert await status_of(client, f"/s/{token}") == 200


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080", "127.1.2.3"])
async def test_the_demo_is_open_under_its_own_names(client: Client, session: SessionRecord, host: str) -> None:
    assert await status_of(client, f"/sessions/{session.id}", Host=host) == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "10.0.0.1"])
async def test_a_foreign_name_for_this_machine_is_refused(client: Client, session: SessionRecord, host: str) -> None:
    for path in (f"/sessions/{session.id}", "/api/v1/sessions", "/", "/health"):
        assert await status_of(client, path, Host=host) == 403


async def test_a_dead_link_says_so(client: Client, storage: Storage, session: SessionRecord) -> None:
    _, expired = await storage.create_share(session.id, lifetime=timedelta(seconds=-1))
    _, revoked = await storage.create_share(session.id, lifetime=timedelta(hours=1))
    assert await status_of(client, f"/s/{revoked}") == 200
    await storage.revoke_shares(session.id)
    for token in (expired, revoked):
        for form in ("", "/report.json", "/chart.json", "/windows.csv", "/events"):
            assert await status_of(client, f"/s/{token}{form}") == 410
    assert await status_of(client, "/s/made-up") == 404


async def test_no_search_engine_keeps_a_shared_report(client: Client, storage: Storage, session: SessionRecord) -> None:
    _, token = await storage.create_share(session.id, lifetime=timedelta(hours=1))
    for form in ("", "/report.json", "/chart.json", "/windows.csv", "/speakers.csv", "/moments.csv", "/nothing"):
        async with client.get(f"/s/{token}{form}") as response:
            assert response.headers["X-Robots-Tag"] == "noindex", form


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
    assert "One voice of a conversation" in page
    assert "the results of one person alone" in page
    assert "How one voice sounded" in page, "the preview speaks of the whole conversation"
    assert "took part" not in page.partition('id="facts"')[2].partition("</ul>")[0]
    assert (await client.get(f"/s/{token}/events")).status == 204

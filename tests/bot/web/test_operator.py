"""Who runs this Undertone stands below every page, when it was set."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.web.keys import Operator
from storage import SessionRecord, Storage
from tests.bot.web.conftest import MakeClient

pytestmark = pytest.mark.integration

NAMED = Operator(name="The <Tone> Club", contact="hello@tone.example", policy_url="https://tone.example/privacy")
LINES = (
    "Run by The &lt;Tone&gt; Club",
    'Contact: <a href="mailto:hello@tone.example">hello@tone.example</a>',
    '<a href="https://tone.example/privacy">Privacy policy</a>',
)


async def test_every_page_names_the_operator_the_contact_and_the_policy(
    make_client: MakeClient, session: SessionRecord, storage: Storage
) -> None:
    client = await make_client(operator=NAMED)
    _, token = await storage.create_share(session.id, lifetime=timedelta(hours=1))
    pages = ("/", "/sessions", f"/sessions/{session.id}", f"/s/{token}", "/s/none", "/microphone", "/about", "/nothing")
    for page in pages:
        async with client.get(page) as response:
            text = await response.text()
        assert all(line in text for line in LINES), page


async def test_the_page_that_asks_to_sign_in_does_so_too(make_client: MakeClient) -> None:
    signing_in = {"public_url": "https://tone.example", "oauth_client_id": "42", "oauth_client_secret": "s"}
    client = await make_client(operator=NAMED, access=signing_in)
    async with client.get("/") as response:
        text = await response.text()
    assert "Sign in" in text
    assert all(line in text for line in LINES)


async def test_what_was_not_set_leaves_no_trace(make_client: MakeClient) -> None:
    client = await make_client()
    async with client.get("/about") as response:
        assert 'class="operator"' not in await response.text()
    client = await make_client(operator=Operator(policy_url="https://tone.example/privacy"))
    async with client.get("/about") as response:
        text = await response.text()
    assert LINES[2] in text
    assert "Run by" not in text
    assert "Contact" not in text


@pytest.mark.parametrize(
    ("contact", "link"),
    [
        ("https://tone.example/contact", "https://tone.example/contact"),
        ("hello@tone.example", "mailto:hello@tone.example"),
        ("@mara on Discord", None),
        ("javascript:alert(1)", None),
        ("a@b.example?bcc=everybody@b.example", None),
        (None, None),
    ],
)
def test_a_contact_is_a_link_when_it_is_an_address(contact: str | None, link: str | None) -> None:
    assert Operator(contact=contact).contact_link == link

"""Every answer of REST that the bot gets in a day's work has the shape of Discord's public OpenAPI description.

What `tests.fakes.discord_answers` holds are that description's required fields and types. Each answer is taken where
discord.py takes it; an address without a shape here fails the test, so that none is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import aiohttp
import discord
import pytest
from pydantic import TypeAdapter

from bot.commands.panel_view import EXCLUDE_ID, INCLUDE_ID, MARK_ID
from bot.texts import english as texts
from sandbox import Sandbox
from tests.bot.commands.test_analyze import button, recorded
from tests.fakes import discord_answers as answers
from tests.fakes.voice_link import tone_burst
from tests.fakes.world import World, text_of, wav

pytestmark = pytest.mark.integration

ID = r"\d+"
TOKEN = r"[^/]+"
SHAPES: dict[tuple[str, str], Any] = {
    ("GET", "/users/@me"): answers.OwnUser,
    ("GET", "/gateway/bot"): answers.GatewayBot,
    ("GET", "/(oauth2/)?applications/@me"): answers.Application,
    ("PUT", f"/applications/{ID}/commands"): list[answers.Command],
    ("POST", f"/channels/{ID}/messages"): answers.Message,
    ("PATCH", f"/channels/{ID}/messages/{ID}"): answers.Message,
    ("POST", f"/interactions/{ID}/{TOKEN}/callback"): answers.Callback,
    ("PATCH", f"/webhooks/{ID}/{TOKEN}/messages/@original"): answers.Message,
    ("GET", f"/webhooks/{ID}/{TOKEN}/messages/@original"): answers.Message,
    ("POST", f"/webhooks/{ID}/{TOKEN}"): answers.Message,
    ("PATCH", f"/webhooks/{ID}/{TOKEN}/messages/{ID}"): answers.Message,
    ("GET", f"/guilds/{ID}/members/{ID}"): answers.Member,
    ("POST", "/users/@me/channels"): answers.Channel,
    ("PUT", f"/channels/{ID}/voice-status"): None,
    ("PUT", f"/channels/{ID}/messages/{ID}/reactions/{TOKEN}/@me"): None,
    ("DELETE", f"/webhooks/{ID}/{TOKEN}/messages/@original"): None,
}
"""By method and path; None where Discord answers 204 without a body."""


class Seen:
    """Answers, as discord.py reads them."""

    def __init__(self, sandbox_base: str) -> None:
        self._base = sandbox_base
        self.counts: Counter[tuple[str, str]] = Counter()
        self.wrong: list[str] = []

    def take(self, response: aiohttp.ClientResponse, data: Any) -> None:
        path = str(response.url.with_query(None)).removeprefix(self._base)
        fits = [key for key in SHAPES if key[0] == response.method and re.fullmatch(key[1], path)]
        if len(fits) != 1:
            self.wrong.append(f"{response.method} {path} has no shape here: {response.status}")
            return
        self.counts[fits[0]] += 1
        shape = answers.Error if response.status >= 400 else SHAPES[fits[0]]
        if shape is None:
            if response.status != 204 or data:
                self.wrong.append(f"{response.method} {path} has a body: {response.status}")
            return
        try:
            TypeAdapter(shape).validate_python(data)
        except ValueError as error:
            self.wrong.append(f"{response.method} {path}: {error}")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[aiohttp.ClientResponse, Any]]:
    """Filled with what comes from now on, the log-in included."""
    taken: list[tuple[aiohttp.ClientResponse, Any]] = []
    original = discord.http.json_or_text

    async def json_or_text(response: aiohttp.ClientResponse) -> Any:
        data = await original(response)
        taken.append((response, data))
        return data

    monkeypatch.setattr(discord.http, "json_or_text", json_or_text)
    monkeypatch.setattr(discord.webhook.async_, "json_or_text", json_or_text)
    return taken


async def test_all_that_the_bot_is_answered_is_what_discord_describes(
    seen: list[tuple[aiohttp.ClientResponse, Any]], world: World
) -> None:
    sandbox: Sandbox = world.sandbox
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    panel = await world.attest_and_start()
    for pressed in (INCLUDE_ID, MARK_ID, EXCLUDE_ID, INCLUDE_ID):
        await world.press(world.mara, panel, pressed)
    world.voice.link.hear(world.mara.id, tone_burst())
    session = world.service.sessions.of(sandbox.guild.id)
    assert session is not None
    await sandbox.wait_for(lambda: session.counters()["predictions"] == 1)
    for command in ("listen status", "mark", "settings", "privacy status", "about"):
        await world.ask(world.mara, command)
    await sandbox.wait_for(lambda: session.counters()["panel_edits"])
    await world.ask(world.owner, "listen stop")
    await world.embed(texts.SUMMARY_TITLE)
    for command in ("report last", "report list", "report export", "report share", "privacy export"):
        await world.ask(world.mara, command)
    file = sandbox.file(sandbox.text, "voice.wav", wav())
    question = await world.ask(world.mara, "analyze", {"file": file})
    await sandbox.press(world.mara, question, button(question, "yes"))
    message = sandbox.send_message(world.mara, sandbox.text, "", files=[("note.wav", wav())])
    await sandbox.context_menu(world.mara, message, texts.MENU_ANALYZE)
    await sandbox.wait_for(lambda: message.reactions)
    direct = sandbox.send_voice_message(world.theo, sandbox.people.direct_messages(world.theo), recorded())
    await sandbox.wait_for(lambda: direct.reactions)
    refused = await world.ask(world.theo, "listen stop")
    assert text_of(refused) == texts.NOTHING_RUNS

    judge = Seen(sandbox.api_base)
    for response, data in seen:
        judge.take(response, data)
    assert judge.wrong == []
    for key in (
        ("PUT", f"/applications/{ID}/commands"),
        ("POST", f"/interactions/{ID}/{TOKEN}/callback"),
        ("POST", f"/webhooks/{ID}/{TOKEN}"),
        ("POST", f"/channels/{ID}/messages"),
        ("PATCH", f"/channels/{ID}/messages/{ID}"),
    ):
        assert judge.counts[key], key


def test_an_answer_without_what_is_required_is_found() -> None:
    """The judge itself."""
    user = {"id": "1", "username": "a", "discriminator": "0", "public_flags": 0, "flags": 0}
    adapter = TypeAdapter(answers.User)
    adapter.validate_python(user)
    for name in user:
        with pytest.raises(ValueError, match=name):
            adapter.validate_python({key: value for key, value in user.items() if key != name})
    with pytest.raises(ValueError, match="public_flags"):
        adapter.validate_python(user | {"public_flags": "0"})

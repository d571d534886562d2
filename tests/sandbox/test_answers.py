"""REST's answers have the shape that Discord's public OpenAPI description gives them."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import aiohttp
import pytest
from PIL import Image

from sandbox import Interaction, Sandbox
from tests.fakes import discord_answers as answers

pytestmark = pytest.mark.integration


class Api:
    def __init__(self, http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
        self.http = http
        self.sandbox = sandbox

    async def __call__(self, method: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bot {self.sandbox.token}"}
        url = self.sandbox.api_base + path
        async with self.http.request(method, url, headers=headers, **options) as response:
            text = await response.text()
            assert response.headers.get("Content-Type", "application/json") in (
                "application/json",
                "application/octet-stream",
            )
            return json.loads(text) if text else None


@pytest.fixture
async def api(sandbox: Sandbox) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as http:
        yield Api(http, sandbox)


async def test_accounts_and_servers(api: Api, sandbox: Sandbox) -> None:
    guild = f"/guilds/{sandbox.guild.id}"
    sandbox.state.join_voice(sandbox.you.id, sandbox.voice_channel)
    answers.OwnUser.model_validate(await api("GET", "/users/@me"))
    answers.User.model_validate(await api("GET", f"/users/{sandbox.you.id}"))
    answers.Application.model_validate(await api("GET", "/oauth2/applications/@me"))
    answers.GatewayBot.model_validate(await api("GET", "/gateway/bot"))
    answers.Guild.model_validate(await api("GET", guild))
    answers.Member.model_validate(await api("GET", f"{guild}/members/{sandbox.you.id}"))
    answers.VoiceState.model_validate(await api("GET", f"{guild}/voice-states/{sandbox.you.id}"))
    assert [answers.Role.model_validate(r).name for r in await api("GET", f"{guild}/roles")] == [
        "@everyone",
        "Undertone",
    ]
    channels = [answers.Channel.model_validate(c) for c in await api("GET", f"{guild}/channels")]
    assert [c.type for c in channels] == [0, 2]
    dm = await api("POST", "/users/@me/channels", json={"recipient_id": str(sandbox.you.id)})
    assert answers.Channel.model_validate(dm).type == 1


async def test_messages(api: Api, sandbox: Sandbox) -> None:
    channel = f"/channels/{sandbox.text.id}/messages"
    picture = io.BytesIO()
    Image.new("RGB", (3, 2)).save(picture, "png")
    body = {
        "content": f"hello <@{sandbox.you.id}>",
        "embeds": [
            {
                "title": "t",
                "color": 255,
                "image": {"url": "attachment://a.png"},
                "fields": [{"name": "n", "value": "v", "inline": True}],
            }
        ],
        "components": [{"type": 1, "components": [{"type": 2, "style": 1, "label": "x", "custom_id": "x"}]}],
        "attachments": [{"id": 0, "filename": "a.png"}, {"id": 1, "filename": "b.png", "description": "two"}],
    }
    form = aiohttp.FormData()
    form.add_field("payload_json", json.dumps(body))
    for number in range(2):
        form.add_field(f"files[{number}]", picture.getvalue(), filename=f"{number}.png")
    message = answers.Message.model_validate(await api("POST", channel, data=form))
    assert [a.filename for a in message.attachments] == ["b.png"]
    assert (message.attachments[0].width, message.attachments[0].height) == (3, 2)
    assert [u.id for u in message.mentions] == [str(sandbox.you.id)]

    reply = {"content": "again", "message_reference": {"message_id": message.id}}
    replied = answers.Message.model_validate(await api("POST", channel, json=reply))
    assert replied.type == 19
    assert replied.referenced_message is not None
    assert replied.referenced_message.id == message.id
    await api("PUT", f"{channel}/{message.id}/reactions/%F0%9F%98%8A/@me")
    edited = await api("PATCH", f"{channel}/{message.id}", json={"content": "edited"})
    changed = answers.Message.model_validate(edited)
    assert changed.edited_timestamp is not None
    assert changed.reactions is not None
    assert (changed.reactions[0].count, changed.reactions[0].me) == (1, True)
    assert [answers.Message.model_validate(m).id for m in await api("GET", channel)] == [replied.id, message.id]


async def test_commands_and_interactions(api: Api, sandbox: Sandbox) -> None:
    options = [
        {"type": 1, "name": "go", "description": "d", "options": [{"type": 3, "name": "to", "description": "d"}]}
    ]
    wanted = [
        {"name": "walk", "description": "d", "options": options, "default_member_permissions": "32"},
        {"name": "Look", "type": 3},
    ]
    listed = await api("PUT", f"/applications/{sandbox.application_id}/commands", json=wanted)
    assert [answers.Command.model_validate(c).type for c in listed] == [1, 3]
    local = f"/applications/{sandbox.application_id}/guilds/{sandbox.guild.id}/commands"
    answers.Command.model_validate(await api("POST", local, json=wanted[0]))

    message = sandbox.send_message(sandbox.you, sandbox.text, "hello")
    for kind in (4, 5):
        using = sandbox.context_menu(sandbox.you, message, "Look")
        answered = await answer_while(api, using, {"type": kind, "data": {"content": "hi", "flags": 64}})
        callback = answers.Callback.model_validate(answered)
        assert callback.resource is not None
        assert callback.resource.message is not None
        assert callback.resource.message.type == 23
        assert callback.resource.message.flags & 64


async def test_an_interaction_that_nobody_answered_in_time(api: Api, sandbox: Sandbox) -> None:
    interaction = sandbox.world.interactions.create(2, sandbox.you, sandbox.text, {})
    interaction.expired = True
    path = f"/interactions/{interaction.id}/{interaction.token}/callback"
    error = answers.Error.model_validate(await api("POST", path, json={"type": 4, "data": {"content": "hi"}}))
    assert (error.code, error.message) == (10062, "Unknown interaction")


async def answer_while(api: Api, using: Coroutine[Any, Any, Interaction], answer: dict[str, Any]) -> Any:
    """Let a person act, and answer as the bot would, with nothing of a library in between."""
    seen: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    stop = api.sandbox.state.listen(lambda c: seen.put_nowait(c.subject) if c.kind == "INTERACTION_CREATE" else None)
    acting = asyncio.create_task(using, name="person acting")
    event = await seen.get()
    answered = await api("POST", f"/interactions/{event['id']}/{event['token']}/callback?with_response=1", json=answer)
    assert (await acting).acknowledged
    stop()
    return answered


async def test_errors(api: Api, sandbox: Sandbox) -> None:
    answers.Error.model_validate(await api("GET", "/channels/1"))
    answers.Error.model_validate(await api("GET", "/nothing/here"))
    answers.Error.model_validate(await api("DELETE", "/users/@me"))
    wrong = await api("POST", f"/channels/{sandbox.text.id}/messages", json={"embeds": [{"title": "x" * 300}]})
    error = answers.Error.model_validate(wrong)
    why = {"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 256 or fewer in length."}
    assert error.errors == {"embeds": {"0": {"title": {"_errors": [why]}}}}
    broken = await api("POST", f"/channels/{sandbox.text.id}/messages", data=b"{")
    assert broken["code"] == 50109
    sandbox.faults.rest(429, is_global=True)
    assert answers.RateLimited.model_validate(await api("GET", "/users/@me")).is_global

"""The gateway does what Discord's does when things go wrong, and discord.py gets over it as it does there."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import discord
import pytest

from sandbox import Sandbox
from sandbox.models import Overwrite
from sandbox.permissions import Permission
from tests.fakes.plain_bot import DEFAULT_INTENTS, PlainBot, logged_in, point_at

pytestmark = pytest.mark.integration


async def test_a_cut_client_resumes_and_misses_nothing(bot: PlainBot, sandbox: Sandbox) -> None:
    mara = sandbox.add_person("Mara")
    sandbox.gateway.cut(1006)
    sandbox.direct_message(mara, "while you were away")
    await sandbox.wait_for(lambda: bot.of("resumed"))
    await sandbox.wait_for(lambda: bot.of("message"))

    assert [m.content for m in bot.of("message")] == ["while you were away"]
    assert (sandbox.gateway.resumes, sandbox.gateway.identifies) == (1, 1)


async def test_asked_to_reconnect_the_client_resumes(bot: PlainBot, sandbox: Sandbox) -> None:
    sandbox.gateway.ask_to_reconnect()
    await sandbox.wait_for(lambda: bot.of("resumed"))
    assert sandbox.gateway.identifies == 1


async def test_an_invalid_session_is_begun_anew(bot: PlainBot, sandbox: Sandbox) -> None:
    bot.is_up.clear()
    sandbox.gateway.invalidate()
    await asyncio.wait_for(bot.is_up.wait(), 60)
    assert (sandbox.gateway.resumes, sandbox.gateway.identifies) == (0, 2)


async def test_a_session_that_ended_takes_the_bot_out_of_voice(bot: PlainBot, sandbox: Sandbox) -> None:
    guild = bot.get_guild(sandbox.guild.id)
    assert guild is not None
    await guild.change_voice_state(channel=guild.voice_channels[0], self_deaf=True)
    state = await sandbox.wait_for(lambda: sandbox.state.voice_state(guild.id, sandbox.bot.id))
    assert (state.channel_id, state.self_deaf) == (sandbox.voice_channel.id, True)
    sandbox.gateway.invalidate()
    assert sandbox.state.voice_state(guild.id, sandbox.bot.id) is None


async def test_a_gateway_cut_before_hello_ends_the_start(bot: PlainBot, sandbox: Sandbox) -> None:
    """discord.py does not get over this by itself once a first attempt to reconnect was refused."""
    sandbox.faults.refuse_gateway()
    sandbox.faults.cut_gateway_before_hello()
    sandbox.gateway.cut(1006)
    assert bot.running is not None
    await asyncio.wait({bot.running}, timeout=60)
    assert bot.running.done()
    assert isinstance(bot.running.exception(), discord.gateway.ReconnectWebSocket)


async def test_privileged_intents_must_be_allowed(sandbox: Sandbox) -> None:
    asked = discord.Intents(**{name: on for name, on in DEFAULT_INTENTS if on}, members=True)
    with pytest.raises(discord.PrivilegedIntentsRequired):
        async with logged_in(PlainBot(intents=asked), sandbox):
            pass


async def test_with_its_intents_a_bot_reads_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox(allowed_privileged_intents=(1 << 1) | (1 << 15)) as sandbox:
        point_at(sandbox, monkeypatch)
        intents = discord.Intents(
            **{name: on for name, on in DEFAULT_INTENTS if on}, members=True, message_content=True
        )
        async with logged_in(PlainBot(intents=intents), sandbox) as bot:
            mara = sandbox.add_person("Mara")
            sandbox.send_message(mara, sandbox.text, "hello")
            await sandbox.wait_for(lambda: bot.of("message"))
            assert bot.of("message")[0].content == "hello"
            guild = bot.get_guild(sandbox.guild.id)
            assert guild is not None
            assert {m.name for m in await guild.chunk()} == {"you", "undertone", "mara"}


async def test_channels_that_the_bot_may_not_see_stay_unheard(bot: PlainBot, sandbox: Sandbox) -> None:
    hidden = sandbox.add_text_channel("staff")
    hidden.overwrites.append(Overwrite(id=sandbox.bot_role.id, kind=0, deny=int(Permission.VIEW_CHANNEL)))
    sandbox.send_message(sandbox.you, hidden, f"<@{sandbox.bot.id}> psst")
    sandbox.send_message(sandbox.you, sandbox.text, f"<@{sandbox.bot.id}> hello")
    await sandbox.wait_for(lambda: bot.of("message"))
    assert [m.channel.id for m in bot.of("message")] == [sandbox.text.id]


class _Raw:
    """A gateway socket without a library around it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, op: int, data: Any) -> None:
        await self.socket.send_str(json.dumps({"op": op, "d": data}))

    async def receive(self) -> Any:
        message = await self.socket.receive(timeout=60)
        return message.json() if message.type is aiohttp.WSMsgType.TEXT else None

    async def close_code(self) -> int | None:
        while not self.socket.closed:
            await self.socket.receive(timeout=60)
        return self.socket.close_code


@pytest.mark.parametrize(
    ("op", "data", "code"),
    [
        (2, {"token": "wrong", "intents": 1}, 4004),
        (2, {"token": "right", "intents": 1, "shard": [3, 2]}, 4010),
        (2, {"token": "right", "intents": 1 << 1}, 4014),
        (2, {"token": "right", "intents": -1}, 4002),
        (4, {"guild_id": "1"}, 4003),
        (6, {"token": "wrong", "session_id": "x", "seq": 1}, 4004),
    ],
)
async def test_a_bad_client_is_told_why(sandbox: Sandbox, op: int, data: dict[str, Any], code: int) -> None:
    if data.get("token") == "right":
        data = data | {"token": sandbox.token}
    async with aiohttp.ClientSession() as http, http.ws_connect(sandbox.gateway.resume_url) as socket:
        raw = _Raw(socket)
        assert (await raw.receive())["op"] == 10
        await raw.send(op, data)
        assert await raw.close_code() == code


async def test_an_unknown_session_cannot_be_resumed(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(sandbox.gateway.resume_url) as socket:
        raw = _Raw(socket)
        await raw.receive()
        await raw.send(6, {"token": sandbox.token, "session_id": "gone", "seq": 1})
        assert await raw.receive() == {"op": 9, "s": None, "t": None, "d": False}


async def test_a_silent_client_is_dropped() -> None:
    async with (
        Sandbox(heartbeat_interval_s=0.05) as sandbox,
        aiohttp.ClientSession() as http,
        http.ws_connect(sandbox.gateway.resume_url) as socket,
    ):
        assert await _Raw(socket).close_code() == 4009


async def test_shards_hear_of_their_own_servers(sandbox: Sandbox) -> None:
    guild_shard = (sandbox.guild.id >> 22) % 2
    async with aiohttp.ClientSession() as http:
        for number in (0, 1):
            async with http.ws_connect(sandbox.gateway.resume_url) as socket:
                raw = _Raw(socket)
                await raw.receive()
                await raw.send(2, {"token": sandbox.token, "intents": 1, "shard": [number, 2]})
                ready = await raw.receive()
                assert [g["id"] for g in ready["d"]["guilds"]] == ([str(sandbox.guild.id)] * (number == guild_shard))


async def test_servers_are_made_on_the_shard_that_is_asked_for(sandbox: Sandbox) -> None:
    made = [sandbox.add_server(f"Server {number}", shard=(number, 3)) for number in range(3)]
    assert [(guild.id >> 22) % 3 for guild in made] == [0, 1, 2]
    assert len({guild.id for guild in made} | set(sandbox.state.channels)) == len(made) + len(sandbox.state.channels)
    sandbox.gateway.shards = 3
    headers = {"Authorization": f"Bot {sandbox.token}"}
    async with aiohttp.ClientSession(headers=headers) as http, http.get(f"{sandbox.api_base}/gateway/bot") as answer:
        assert (await answer.json())["shards"] == 3


async def test_a_client_whose_heartbeats_go_unanswered_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox(heartbeat_interval_s=0.3) as sandbox:
        point_at(sandbox, monkeypatch)
        async with logged_in(PlainBot(heartbeat_timeout=0.8), sandbox) as bot:
            sandbox.gateway.mute_heartbeats = True
            await sandbox.wait_for(lambda: sandbox.gateway.resumes)
            sandbox.gateway.mute_heartbeats = False
            await sandbox.wait_for(lambda: bot.of("resumed"))

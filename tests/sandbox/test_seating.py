"""Voice through the whole sandbox: discord.py's own voice client meets people who talk."""

from __future__ import annotations

import asyncio
import select
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace

import aiohttp
import discord
import numpy as np
import pytest
from discord import voice_state

from sandbox import Sandbox
from sandbox.permissions import Permission
from tests.fakes.plain_bot import PlainBot, logged_in

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
async def no_thread_is_left(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """discord.py's reading thread would sit in select() on a closed socket for 30 s; here it looks up more often."""
    brief = SimpleNamespace(select=lambda r, w, x, timeout=0.05: select.select(r, w, x, 0.05))
    monkeypatch.setattr(voice_state, "select", brief)
    yield
    readers = [thread for thread in threading.enumerate() if thread.name.startswith("voice-socket-reader")]
    for reader in readers:
        await asyncio.to_thread(reader.join, 60.0)
    assert not any(reader.is_alive() for reader in readers)


async def test_a_call_is_joined_heard_and_left(sandbox: Sandbox) -> None:
    mara = sandbox.add_person("Mara")
    connector = aiohttp.TCPConnector(ssl=sandbox.ssl_context())
    told: list[bool] = []
    sandbox.state.listen(lambda c: told.append(c.subject.speaking) if c.kind == "SPEAKING" else None)
    async with logged_in(PlainBot(connector=connector), sandbox) as bot, sandbox.speaker(mara, pace=0.1) as voice:
        await voice.join(sandbox.voice_channel.id)
        await sandbox.wait_for(lambda: bot.of("voice"))
        member, before, after = bot.of("voice")[0]
        assert (member.id, before.channel, after.channel.id) == (mara.id, None, sandbox.voice_channel.id)

        channel = bot.get_channel(sandbox.voice_channel.id)
        assert isinstance(channel, discord.VoiceChannel)
        client: discord.VoiceClient = await channel.connect(timeout=60, self_deaf=True)
        await sandbox.voice.settled(channel.id)
        seat = sandbox.state.voice_state(sandbox.guild.id, sandbox.bot.id)
        assert seat is not None
        assert (seat.channel_id, seat.self_deaf) == (channel.id, True)

        await voice.say(np.sin(np.arange(8_000, dtype=np.float32) / 10))
        await sandbox.wait_for(lambda: told == [True, False])

        await client.disconnect()
        await sandbox.wait_for(lambda: sandbox.bot.id not in sandbox.guild.voice_states)
    assert sandbox.guild.voice_states == {}


async def test_the_bot_is_dragged_to_another_channel(sandbox: Sandbox) -> None:
    other = sandbox.add_voice_channel("Attic")
    connector = aiohttp.TCPConnector(ssl=sandbox.ssl_context())
    async with logged_in(PlainBot(connector=connector), sandbox) as bot:
        channel = bot.get_channel(sandbox.voice_channel.id)
        assert isinstance(channel, discord.VoiceChannel)
        client: discord.VoiceClient = await channel.connect(timeout=60)
        sandbox.move(sandbox.bot, other)
        await sandbox.wait_for(lambda: client.channel.id == other.id and client.is_connected())
        await sandbox.voice.settled(other.id)
        await client.disconnect()


async def test_a_channel_that_is_closed_to_the_bot_does_not_answer(bot: PlainBot, sandbox: Sandbox) -> None:
    sandbox.deny(sandbox.bot, sandbox.voice_channel, Permission.CONNECT)
    channel = bot.get_channel(sandbox.voice_channel.id)
    assert isinstance(channel, discord.VoiceChannel)
    with pytest.raises(asyncio.TimeoutError):
        await channel.connect(timeout=0.3, reconnect=False)
    assert sandbox.guild.voice_states == {}


async def test_a_deleted_channel_empties(bot: PlainBot, sandbox: Sandbox) -> None:
    mara = sandbox.add_person("Mara")
    sandbox.state.join_voice(mara.id, sandbox.voice_channel)
    sandbox.state.delete_channel(sandbox.voice_channel)
    await sandbox.wait_for(lambda: bot.get_channel(sandbox.voice_channel.id) is None)
    assert sandbox.guild.voice_states == {}
    assert bot.of("voice")[-1][2].channel is None


async def test_a_moderator_silences_and_takes_the_bot_out(sandbox: Sandbox) -> None:
    connector = aiohttp.TCPConnector(ssl=sandbox.ssl_context())
    async with logged_in(PlainBot(connector=connector), sandbox) as bot:
        channel = bot.get_channel(sandbox.voice_channel.id)
        assert isinstance(channel, discord.VoiceChannel)
        client: discord.VoiceClient = await channel.connect(timeout=60)
        sandbox.silence(sandbox.bot, deaf=True)
        await sandbox.wait_for(lambda: channel.guild.me.voice is not None and channel.guild.me.voice.deaf)
        sandbox.disconnect(sandbox.bot)
        await sandbox.wait_for(lambda: not client.is_connected())
        with pytest.raises(LookupError):
            sandbox.silence(sandbox.bot, mute=True)


async def test_the_voice_server_is_taken_down_and_the_bot_follows(sandbox: Sandbox) -> None:
    connector = aiohttp.TCPConnector(ssl=sandbox.ssl_context())
    async with logged_in(PlainBot(connector=connector), sandbox) as bot:
        channel = bot.get_channel(sandbox.voice_channel.id)
        assert isinstance(channel, discord.VoiceChannel)
        client: discord.VoiceClient = await channel.connect(timeout=60)
        before = client.endpoint
        await sandbox.move_voice_server()
        await sandbox.wait_for(lambda: client.endpoint != before and client.is_connected())
        await client.disconnect()


async def test_a_bot_that_is_thrown_out_of_the_server_is_out_of_everything(bot: PlainBot, sandbox: Sandbox) -> None:
    guild = bot.get_guild(sandbox.guild.id)
    assert guild is not None
    await guild.change_voice_state(channel=guild.voice_channels[0])
    await sandbox.wait_for(lambda: sandbox.bot.id in sandbox.guild.voice_states)
    sandbox.state.remove_member(sandbox.guild, sandbox.bot.id)
    await sandbox.wait_for(lambda: bot.get_guild(sandbox.guild.id) is None)
    assert sandbox.bot.id not in sandbox.guild.voice_states
    with pytest.raises(discord.Forbidden):
        await bot.fetch_guild(sandbox.guild.id)
    sandbox.state.add_member(sandbox.guild, sandbox.bot)
    await sandbox.wait_for(lambda: bot.get_guild(sandbox.guild.id) is not None)

"""Two processes, two shards, one PostgreSQL: whichever answers, a report is whole and live, and one that is killed
takes only its own sessions with it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from bot.commands.attest import ATTEST_ID
from bot.commands.panel_view import INCLUDE_ID
from bot.texts import english as texts
from sandbox import Channel, Message, Sandbox, User
from sandbox.models import ChannelType, Guild
from sandbox.permissions import EVERYONE, Permission
from storage.database import Database
from tests.e2e.processes import Running, running
from tests.fakes.clips import clip_paths
from tests.fakes.postgres import new_database
from tests.fakes.world import text_of

pytestmark = pytest.mark.e2e

PATIENCE_S = 60.0


def _channel(guild: Guild, kind: ChannelType) -> Channel:
    return next(channel for channel in guild.channels.values() if channel.type is kind)


def _panel(discord: Sandbox, guild: Guild) -> Message | None:
    messages = discord.messages(_channel(guild, ChannelType.VOICE))
    return next((m for m in reversed(messages) if INCLUDE_ID in m.custom_ids()), None)


async def _listen(discord: Sandbox, guild: Guild, host: User) -> Message:
    """The host of a server, in its voice channel, starts a session; the panel."""
    discord.state.join_voice(host.id, _channel(guild, ChannelType.VOICE))
    asked = await discord.command(host, _channel(guild, ChannelType.TEXT), "listen start")
    await discord.press(host, await discord.answer(asked, PATIENCE_S), ATTEST_ID)
    return await discord.wait_for(lambda: _panel(discord, guild), PATIENCE_S)


async def _session_in(process: Running, guild: Guild) -> str:
    (session,) = (await process.json(f"/api/v1/sessions?server={guild.id}"))["sessions"]
    return str(session["id"])


async def _stored(address: str) -> None:
    """Until a window is in the database: one that is only told when its process dies is lost with it."""
    database = await Database.open(address)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with database.transaction() as db:
                if await db.scalar(text("SELECT count(*) FROM windows")):
                    break
            await asyncio.sleep(0.1)
    await database.close()


def _same(windows: list[Any], others: list[Any]) -> None:
    """The database keeps milliseconds and four digits of what was told live."""
    for key in ("start_s", "end_s", "confidence"):
        assert [window[key] for window in windows] == pytest.approx([other[key] for other in others], abs=0.001)
    for key in ("participant_id", "emotion", "unclear"):
        assert [window[key] for window in windows] == [other[key] for other in others]


async def _next(events: Any, kind: str) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        async for found, data in events:
            if found == kind:
                return data
    raise AssertionError(f"the stream ended before a {kind}")


@pytest.mark.slow
async def test_two_processes_share_the_shards_of_one_bot(tmp_path: Path) -> None:
    database = await asyncio.to_thread(new_database)
    async with Sandbox(rate_limits=False) as discord, AsyncExitStack() as stack:
        first = discord.guild
        number = (first.id >> 22) % 2
        second = discord.add_server("The Workshop", shard=(1 - number, 2))
        discord.gateway.shards = 2
        ada = discord.add_person("Ada")
        hanna = discord.state.add_user("Hanna")
        role = discord.state.add_role(second, "Host", permissions=int(EVERYONE | Permission.MANAGE_GUILD))
        discord.state.add_member(second, hanna, role_ids=(role.id,))

        async def start(shard: int) -> Running:
            folder = tmp_path / f"{shard}-{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            return await stack.enter_async_context(running(discord, database, folder, f"{shard}/2"))

        one = await start(number)
        other = await start(1 - number)
        await discord.wait_for(
            lambda: {session.shard for session in discord.gateway.sessions} == {(0, 2), (1, 2)}, PATIENCE_S
        )
        await discord.wait_for(lambda: discord.people.commands(discord.you, discord.text), PATIENCE_S)

        # A session in each: one with somebody who talks, one with nobody.
        panel = await _listen(discord, first, discord.you)
        voice = await stack.enter_async_context(discord.speaker(ada))
        await voice.join(discord.voice_channel.id)
        await discord.press(ada, panel, INCLUDE_ID)
        await discord.voice.settled(discord.voice_channel.id)
        talk = await _session_in(other, first)
        await _listen(discord, second, hanna)
        quiet = await _session_in(one, second)

        # Live and whole at the process that does not have the server, and with the names of now.
        async with aclosing(other.events(talk)) as events:
            assert (await _next(events, "participant"))["name"] == "Ada"
            await voice.say(clip_paths()[0])
            window = await _next(events, "window")
            async with asyncio.timeout(PATIENCE_S):
                while not (here := await one.report(talk))["windows"]:
                    await asyncio.sleep(0.1)
            there = await other.report(talk)
            _same(there["windows"], here["windows"])
            assert there["windows"][0]["start_s"] == pytest.approx(window["start_s"], abs=0.001)
            assert [person["name"] for person in there["participants"]] == ["Ada"]
            assert there["title"] == here["title"] == "Fireside"
            assert (await other.json(f"/api/v1/sessions/{talk}/chart.json"))["server"] == first.name

            await _stored(database)
            await one.kill()
            while (state := await _next(events, "state"))["state"] == "live":
                pass
            assert (state["state"], state["reason"]) == ("interrupted", "process_ended")
        assert (await other.report(talk))["state"] == "interrupted"
        _same((await other.report(talk))["windows"], here["windows"])
        assert (await other.report(quiet))["state"] == "live"

        # What the dead one left in Discord is put right by the process that has its shard again.
        assert texts.END_REASONS["process_ended"] not in text_of(panel)
        again = await start(number)
        await discord.wait_for(lambda: texts.END_REASONS["process_ended"] in text_of(panel), PATIENCE_S)
        assert (await again.report(quiet))["state"] == "live"

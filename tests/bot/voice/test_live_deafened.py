"""The sign that nobody is heard, through the whole service: while nobody is included, people see the bot deafened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from discord.gateway import DiscordWebSocket

from bot.commands.panel_view import EXCLUDE_ID, INCLUDE_ID
from sandbox import Sandbox
from tests.fakes.conversation import Conversation, conversation
from tests.fakes.settings import keep_addresses

pytestmark = pytest.mark.integration


@pytest.fixture
async def talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Conversation]:
    keep_addresses(monkeypatch)
    async with Sandbox(rate_limits=False) as sandbox, conversation(sandbox, tmp_path) as talk:
        yield talk


def shown_deafened(talk: Conversation) -> bool | None:
    """As people see it; None while the bot is in no channel."""
    seat = talk.sandbox.state.voice_state(talk.sandbox.guild.id, talk.sandbox.bot.id)
    return None if seat is None else seat.self_deaf


async def test_from_its_first_moment_on_until_somebody_is_included(
    talk: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It joins deaf: Discord takes 120 commands a minute from a connection, and each change of the sign is one."""
    assert shown_deafened(talk) is False
    await talk.service.sessions.stop(talk.sandbox.guild.id)
    asked: list[tuple[bool, bool]] = []
    voice_state = DiscordWebSocket.voice_state

    async def noted(
        self: DiscordWebSocket, guild_id: int, channel_id: int | None, self_mute: bool = False, self_deaf: bool = False
    ) -> None:
        asked.append((channel_id is not None, self_deaf))
        await voice_state(self, guild_id, channel_id, self_mute, self_deaf)

    monkeypatch.setattr(DiscordWebSocket, "voice_state", noted)
    panel = await talk.world.attest_and_start()
    await talk.until(lambda: shown_deafened(talk))
    await talk.world.press(talk.user, panel, INCLUDE_ID)
    await talk.until(lambda: shown_deafened(talk) is False)
    assert asked == [(True, True), (True, False)]


async def test_when_the_last_one_left_while_it_reconnected(talk: Conversation) -> None:
    talk.faults.refuse_connections = 2
    closing = asyncio.create_task(talk.sandbox.voice.close(talk.sandbox.bot.id, 4006), name="close")
    await talk.until(lambda: talk.link.counters.reconnects_failed == 1 and shown_deafened(talk) is None)
    await talk.world.press(talk.user, talk.panel, EXCLUDE_ID)
    await talk.back()
    await closing
    await talk.until(lambda: shown_deafened(talk))

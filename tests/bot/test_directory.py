"""What is asked of Discord about a member: bounded, kept for a moment, and no when it is not answered."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import discord
import pytest

from bot import directory
from bot.directory import Directory

pytestmark = pytest.mark.unit


class Guild:
    """Of discord.py's server, what is asked here."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Exception | list[int] = [7]
        self.silent = False

    async def fetch_member(self, user_id: int) -> Any:
        self.asked += 1
        if self.silent:
            await asyncio.sleep(60)
        if isinstance(self.answer, Exception):
            raise self.answer
        roles = [SimpleNamespace(id=role) for role in self.answer]
        manager = discord.Permissions(manage_guild=True)
        return SimpleNamespace(roles=roles, guild_permissions=manager, display_name=f"Person {user_id}")

    def get_member(self, _: int) -> None:
        """Nobody is in a call."""


def made(guild: Guild) -> tuple[Directory, list[float]]:
    now = [0.0]
    client: Any = SimpleNamespace(get_guild=lambda guild_id: guild if guild_id == 1 else None)
    return Directory(lambda: client, monotonic=lambda: now[0]), now


def refused(kind: type[discord.HTTPException]) -> discord.HTTPException:
    response: Any = SimpleNamespace(status=404, reason="")
    return kind(response, "")


async def test_an_answer_is_kept_for_half_a_minute() -> None:
    guild = Guild()
    directory_, now = made(guild)
    for _ in range(3):
        member = await directory_.membership(1, 2)
        assert member is not None
        assert (member.role_ids, member.manages_server) == (frozenset({7}), True)
    assert guild.asked == 1
    guild.answer = []
    now[0] = directory.FRESH_S
    member = await directory_.membership(1, 2)
    assert member is not None
    assert member.role_ids == frozenset()


async def test_who_is_no_member_is_not_asked_about_again_at_once() -> None:
    guild = Guild()
    guild.answer = refused(discord.NotFound)
    directory_, _ = made(guild)
    assert await directory_.membership(1, 2) is None
    assert await directory_.membership(1, 2) is None
    assert (guild.asked, directory_.unanswered) == (1, 0)
    assert await directory_.membership(9, 2) is None, "a server that the bot is not in"


async def test_no_answer_is_no_membership_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "ASK_S", 0.01)
    guild = Guild()
    directory_, _ = made(guild)
    guild.answer = refused(discord.HTTPException)
    assert await directory_.membership(1, 2) is None
    guild.silent = True
    assert await directory_.membership(1, 2) is None
    assert (guild.asked, directory_.unanswered) == (2, 2), "neither was kept"


async def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "MOST_KEPT", 3)
    guild = Guild()
    directory_, _ = made(guild)
    for user_id in range(10):
        await directory_.membership(1, user_id)
    assert len(directory_._kept) == 3


async def test_a_name_is_asked_for_once_in_five_minutes() -> None:
    guild = Guild()
    directory_, now = made(guild)
    for _ in range(3):
        assert await directory_.name(1, 2) == "Person 2"
    assert (guild.asked, directory_.asked_elsewhere) == (1, 0)
    now[0] = directory.CALLED_FOR_S
    guild.answer = refused(discord.NotFound)
    for _ in range(2):
        assert await directory_.name(1, 2) is None
    assert guild.asked == 2


async def test_a_name_that_discord_did_not_tell_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    guild = Guild()
    directory_, _ = made(guild)
    guild.answer = refused(discord.HTTPException)
    assert await directory_.name(1, 2) is None
    guild.answer, guild.silent = [7], True
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(directory, "ASK_S", 0.01)
        assert await directory_.name(1, 2) is None
    guild.silent = False
    assert await directory_.name(1, 2) == "Person 2"


async def test_a_long_page_asks_for_a_few_names_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    guild, at_once, most = Guild(), 0, 0
    directory_, _ = made(guild)

    async def fetch_member(user_id: int) -> Any:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return SimpleNamespace(display_name=f"Person {user_id}")

    monkeypatch.setattr(guild, "fetch_member", fetch_member)
    found = await asyncio.gather(*(directory_.name(1, user_id) for user_id in range(100)))
    assert found == [f"Person {user_id}" for user_id in range(100)]
    assert most == directory.AT_ONCE

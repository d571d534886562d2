"""A bot that is nothing but discord.py: what the sandbox is tested with."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import discord
import pytest
import yarl
from discord import app_commands
from discord.ext import commands

from sandbox import Sandbox

DEFAULT_INTENTS = discord.Intents(
    guilds=True, voice_states=True, guild_messages=True, dm_messages=True, guild_reactions=True
)
Reply = Callable[[discord.Interaction], Awaitable[None]]


class PlainBot(commands.AutoShardedBot):
    """Keeps what it heard; tests add commands to its tree."""

    def __init__(self, *, intents: discord.Intents = DEFAULT_INTENTS, **options: Any) -> None:
        super().__init__(
            command_prefix=commands.when_mentioned,
            intents=intents,
            help_command=None,
            chunk_guilds_at_startup=False,
            guild_ready_timeout=0.05,
            **options,
        )
        self.heard: list[tuple[str, Any]] = []
        self.is_up = asyncio.Event()
        self.running: asyncio.Task[None] | None = None

    def of(self, kind: str) -> list[Any]:
        return [what for name, what in self.heard if name == kind]

    async def on_ready(self) -> None:
        self.heard.append(("ready", None))
        self.is_up.set()

    async def on_message(self, message: discord.Message) -> None:
        self.heard.append(("message", message))

    async def on_resumed(self) -> None:
        self.heard.append(("resumed", None))

    async def on_raw_reaction_add(self, payload: discord.RawReactionActionEvent) -> None:
        self.heard.append(("reaction", payload))

    async def on_voice_state_update(self, member: discord.Member, before: Any, after: Any) -> None:
        self.heard.append(("voice", (member, before, after)))

    async def add_slash(self, name: str, callback: Reply, **options: Any) -> None:
        """Add a slash command without options and register it."""
        answer: Any = callback
        command: app_commands.Command[Any, ..., None]
        command = app_commands.Command(name=name, description=f"Does {name}", callback=answer)
        for key, value in options.items():
            setattr(command, key, value)
        self.tree.add_command(command)
        await self.tree.sync()


def point_at(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two addresses that discord.py has built in; nothing else of it is changed."""
    monkeypatch.setattr(discord.http.Route, "BASE", sandbox.api_base)
    monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(sandbox.gateway_url))


@contextlib.asynccontextmanager
async def logged_in(bot: PlainBot, sandbox: Sandbox) -> AsyncIterator[PlainBot]:
    """Log in, wait until ready, and log out at the end. An error of the log-in is raised here."""
    task = bot.running = asyncio.create_task(bot.start(sandbox.token), name="plain bot")
    waiting = asyncio.create_task(bot.is_up.wait(), name="plain bot is up")
    try:
        await asyncio.wait({task, waiting}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        assert bot.is_up.is_set(), "the bot did not become ready"
        yield bot
    finally:
        waiting.cancel()
        await bot.close()
        await asyncio.gather(task, waiting, return_exceptions=True)

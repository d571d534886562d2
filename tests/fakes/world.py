"""The service in a loopback Discord, with a fake model and a fake voice, and people who use it."""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import discord
import numpy as np
import pytest

from bot.commands.attest import ATTEST_ID
from bot.commands.panel_view import INCLUDE_ID
from bot.listening.session import ListeningSession
from bot.service import Service
from bot.texts import english as texts
from sandbox import Channel, Message, Sandbox, User
from storage.records import MessageKind
from tests.fakes.backend import FakeBackend
from tests.fakes.databases import lay_tables
from tests.fakes.settings import keep_addresses, settings_for
from tests.fakes.voice_link import FakeVoice, tone_burst


class World:
    """A server with an owner, and short ways to act and look."""

    def __init__(self, sandbox: Sandbox, service: Service, voice: FakeVoice) -> None:
        self.sandbox = sandbox
        self.service = service
        self.voice = voice
        self.owner = sandbox.you
        self.mara = sandbox.add_person("Mara")
        self.theo = sandbox.add_person("Theo")

    def sit(self, *users: User) -> None:
        for user in users:
            self.sandbox.state.join_voice(user.id, self.sandbox.voice_channel)

    async def seen(self, *users: User) -> None:
        """Until the bot knows that they sit in the voice channel."""
        guild = self.service.gateway.client.get_guild(self.sandbox.guild.id)
        assert guild is not None
        channel = guild.get_channel(self.sandbox.voice_channel.id)
        assert isinstance(channel, discord.VoiceChannel)
        await self.sandbox.wait_for(lambda: all(user.id in channel.voice_states for user in users))

    async def ask(
        self, user: User, text: str, options: dict[str, object] | None = None, channel: Channel | None = None
    ) -> Message:
        """Use a command and return the bot's answer."""
        where = channel or self.sandbox.text
        return await self.sandbox.answer(await self.sandbox.command(user, where, text, options))

    async def press(self, user: User, message: Message, custom_id: str) -> Message:
        return await self.sandbox.answer(await self.sandbox.press(user, message, custom_id))

    async def attest_and_start(self) -> Message:
        """The owner starts a session, the first in this server or not; returns the panel."""
        question = await self.ask(self.owner, "listen start")
        if ATTEST_ID in question.custom_ids():
            await self.press(self.owner, question, ATTEST_ID)
        return await self.panel()

    async def panel(self) -> Message:
        return await self.sandbox.wait_for(
            lambda: next((m for m in reversed(self.messages()) if INCLUDE_ID in m.custom_ids()), None)
        )

    def messages(self) -> list[Message]:
        """What everybody sees in the text channel and in the voice channel's chat, oldest first."""
        channels = (self.sandbox.text, self.sandbox.voice_channel)
        found = [m for channel in channels for m in self.sandbox.messages(channel) if m.visible_to is None]
        return sorted(found, key=lambda message: message.id)

    async def embed(self, title: str) -> Message:
        """The newest public message with that title, once it is there."""
        return await self.sandbox.wait_for(
            lambda: next((m for m in reversed(self.messages()) if m.embeds and m.embeds[0].get("title") == title), None)
        )

    async def attested(self, **changes: Any) -> None:
        """The statement was made before, and the settings are as `changes` say."""
        await self.service.storage.change_server(
            self.sandbox.guild.id, lambda now: replace(now, attested_at=datetime.now(UTC), **changes)
        )

    def running(self) -> ListeningSession:
        """The session that runs now."""
        session = self.service.sessions.of(self.sandbox.guild.id)
        assert session is not None, "nothing runs"
        return session

    async def session_with(self, *included: User) -> str:
        """A finished session, which the owner started and in which each of `included` was heard; its id."""
        self.sit(self.owner, *included)
        await self.seen(self.owner, *included)
        panel = await self.attest_and_start()
        session = self.running()
        for user in included:
            await self.press(user, panel, INCLUDE_ID)
            self.voice.link.hear(user.id, tone_burst())
        await self.sandbox.wait_for(lambda: session.counters()["predictions"] == len(included))
        await self.ask(self.owner, "listen stop")
        await self.over()
        return session.record.id

    async def held(self, *included: User) -> tuple[str, Message]:
        """The same, with its summary."""
        return await self.session_with(*included), await self.embed(texts.SUMMARY_TITLE)

    def delete_as_the_summary_is_noted(
        self, user: User, monkeypatch: pytest.MonkeyPatch, *, then: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        """Delete somebody's data when a summary stands in Discord and the bot notes that; `then` is what comes next."""
        storage, own = self.service.storage, self.service.app.own
        note = own.note

        async def late(message: discord.Message, kind: MessageKind, **about: Any) -> None:
            if kind is MessageKind.SUMMARY:
                await storage.delete_person(user.id, None)
            await note(message, kind, **about)
            if kind is MessageKind.SUMMARY and then is not None:
                await then()

        monkeypatch.setattr(own, "note", late)

    async def over(self) -> None:
        """Until no session runs."""
        await self.sandbox.wait_for(lambda: not self.service.sessions.running())


@asynccontextmanager
async def standing(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, *, privileged: int = 0, **changes: Any
) -> AsyncIterator[World]:
    """A world whose service has these settings; `privileged` intents are switched on for its application."""
    keep_addresses(monkeypatch)
    async with Sandbox(rate_limits=False, allowed_privileged_intents=int(privileged)) as sandbox:
        voice = FakeVoice()
        about = {name: value(sandbox) if callable(value) else value for name, value in changes.items()}
        settings = settings_for(sandbox, data_dir, **about)
        lay_tables(data_dir / "undertone.db")
        async with Service(settings, backend=FakeBackend(), connect=voice) as service:
            await service.discord_ready()
            yield World(sandbox, service, voice)


def text_of(message: Message) -> str:
    """Everything a person reads in a message."""
    parts = [message.content]
    for embed in message.embeds:
        parts += [embed.get("title", ""), embed.get("description", "")]
        parts += [f"{field['name']} {field['value']}" for field in embed.get("fields", [])]
    return "\n".join(parts)


def wav(seconds: float = 1.5) -> bytes:
    """A wav file of a buzzing voice."""
    samples = (np.clip(tone_burst(seconds), -1, 1) * 32_767).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(samples.tobytes())
    return file.getvalue()

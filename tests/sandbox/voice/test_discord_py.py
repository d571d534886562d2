"""An unmodified discord.py voice client in the loopback Discord, next to people whose encryption is libdave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import davey
import numpy as np
import pytest

from sandbox.voice import DirectSeats, Speaker, VoiceServer
from ser_engine import opus
from tests.fakes.guild import GUILD_ID, BotInVoice

pytestmark = pytest.mark.integration

CHANNEL_ID = 7_700_000_000_000_000_077
BOT_ID = 4_000_000_000_000_000_004


@pytest.fixture
async def voice() -> AsyncIterator[VoiceServer]:
    async with VoiceServer() as server:
        yield server


def noise(seconds: float, seed: int = 1) -> opus.Samples:
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * 16_000)).astype(np.float32)


async def test_it_connects_between_two_speakers_and_all_reach_one_epoch(voice: VoiceServer) -> None:
    seats = DirectSeats(voice, GUILD_ID)
    async with (
        Speaker(11, seats, voice.ssl_context()) as anna,
        Speaker(12, seats, voice.ssl_context()) as ben,
    ):
        await anna.join(CHANNEL_ID)
        async with BotInVoice(voice, BOT_ID, CHANNEL_ID) as bot:
            await ben.join(CHANNEL_ID)
            await voice.settled(CHANNEL_ID)
            session = bot.client._connection.dave_session
            assert session is not None
            assert session.ready
            assert set(voice.calls[CHANNEL_ID].group.members) == {11, 12, BOT_ID}
            seen = {
                session.get_epoch_authenticator(),
                *(s.client.dave.epoch_authenticator for s in (anna, ben) if s.client),
            }
            assert len(seen) == 1


async def test_speakers_decrypt_what_the_bot_sends(voice: VoiceServer) -> None:
    seats = DirectSeats(voice, GUILD_ID)
    async with (
        Speaker(11, seats, voice.ssl_context(), listening=True) as anna,
        Speaker(12, seats, voice.ssl_context(), listening=True, mode="aead_xchacha20_poly1305_rtpsize") as ben,
        BotInVoice(voice, BOT_ID, CHANNEL_ID) as bot,
    ):
        await anna.join(CHANNEL_ID)
        await ben.join(CHANNEL_ID)
        await voice.settled(CHANNEL_ID)
        await bot.client.ws.speak()
        sent = list(opus.Encoder().packets(noise(1.0)))
        for packet in sent:
            bot.client.send_audio_packet(packet, encode=False)
            await asyncio.sleep(0.002)
        async with asyncio.timeout(60):
            while min(len(s.heard.get(BOT_ID, [])) for s in (anna, ben)) < len(sent):
                await asyncio.sleep(0.01)
        assert anna.heard[BOT_ID] == sent
        assert ben.heard[BOT_ID] == sent


class Room:
    """The bot between two listening people, and a check that all three are in one epoch and understand each other."""

    def __init__(self, voice: VoiceServer) -> None:
        self.voice = voice
        seats = DirectSeats(voice, GUILD_ID)
        self.anna = Speaker(11, seats, voice.ssl_context(), listening=True)
        self.ben = Speaker(12, seats, voice.ssl_context(), listening=True)
        self.bot = BotInVoice(voice, BOT_ID, CHANNEL_ID)

    async def __aenter__(self) -> Room:
        await self.anna.join(CHANNEL_ID)
        await self.bot.__aenter__()
        await self.ben.join(CHANNEL_ID)
        await self.bot.client.ws.speak()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.bot.__aexit__()
        await self.anna.leave()
        await self.ben.leave()

    @property
    def session(self) -> davey.DaveSession:
        session = self.bot.client._connection.dave_session
        assert session is not None
        return session

    async def understood(self, *listeners: Speaker) -> bool:
        """The bot sends half a second; whether each listener's last frames are that."""
        await self.voice.settled(CHANNEL_ID)
        sent = list(opus.Encoder().packets(noise(0.5)))
        for packet in sent:
            self.bot.client.send_audio_packet(packet, encode=False)
            await asyncio.sleep(0.002)
        deadline = asyncio.get_running_loop().time() + 60.0
        while asyncio.get_running_loop().time() < deadline:
            if all(listener.heard.get(BOT_ID, [])[-len(sent) :] == sent for listener in listeners):
                return True
            await asyncio.sleep(0.01)
        return False


async def test_the_bot_follows_epochs_as_people_come_and_go(voice: VoiceServer) -> None:
    async with Room(voice) as room:
        assert await room.understood(room.anna, room.ben)
        epochs = {room.session.epoch}
        for change in (
            room.ben.leave(),
            room.ben.join(CHANNEL_ID),
            room.ben.reconnect(cut=True),
            room.anna.reconnect(),
        ):
            await change
            present = [speaker for speaker in (room.anna, room.ben) if speaker.channel_id]
            assert await room.understood(*present)
            epochs.add(room.session.epoch)
        assert len(epochs) == 5


async def test_alone_and_joined_again_there_is_a_new_group(voice: VoiceServer) -> None:
    async with Room(voice) as room:
        await room.voice.settled(CHANNEL_ID)
        await room.anna.leave()
        await room.ben.leave()
        await voice.settled(CHANNEL_ID)
        assert voice.calls[CHANNEL_ID].group.epoch == 0
        assert not room.session.ready
        await room.anna.join(CHANNEL_ID)
        assert await room.understood(room.anna)
        assert voice.calls[CHANNEL_ID].group.epoch == 1


async def test_a_commit_it_cannot_follow_is_mended(voice: VoiceServer) -> None:
    async with Room(voice) as room:
        await voice.settled(CHANNEL_ID)
        voice.faults(BOT_ID).bad_commits = 1
        await room.ben.reconnect()
        assert await room.understood(room.anna, room.ben)
        assert voice.calls[CHANNEL_ID].group.counters["commits_invalid"] == 1


async def test_it_goes_down_to_version_zero_and_back(voice: VoiceServer) -> None:
    async with Room(voice) as room:
        assert await room.understood(room.anna, room.ben)
        group = voice.calls[CHANNEL_ID].group
        group.downgrade()
        assert await room.understood(room.anna, room.ben)
        assert not room.bot.client._connection.can_encrypt
        group.upgrade()
        assert await room.understood(room.anna, room.ben)
        assert room.bot.client._connection.can_encrypt

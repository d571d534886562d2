"""An unmodified discord.py voice client in the loopback Discord, next to people whose encryption is libdave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from bot.sandbox.voice import DirectSeats, Speaker, VoiceServer
from bot.voice import opus
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
        async with asyncio.timeout(2):
            while min(len(s.heard.get(BOT_ID, [])) for s in (anna, ben)) < len(sent):
                await asyncio.sleep(0.01)
        assert anna.heard[BOT_ID] == sent
        assert ben.heard[BOT_ID] == sent

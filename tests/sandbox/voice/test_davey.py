"""davey, the library in discord.py, as a listening member: every frame comes out byte for byte through every epoch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from sandbox.voice import DirectSeats, Speaker, SpokenFrame, VoiceServer
from sandbox.voice.client import ClientVoice
from ser_engine import opus
from tests.fakes.davey_member import DaveyMember
from tests.fakes.waiting import until

pytestmark = pytest.mark.integration

CHANNEL_ID = 7_700_000_000_000_000_077
LISTENER_ID = 4_000_000_000_000_000_004
FAST = 0.1


@pytest.fixture
async def voice() -> AsyncIterator[VoiceServer]:
    async with VoiceServer() as server:
        yield server


@pytest.fixture
def seats(voice: VoiceServer) -> DirectSeats:
    return DirectSeats(voice, 5)


class Listener:
    """A client with davey inside; its member outlives reconnects no more than discord.py's does."""

    def __init__(self, voice: VoiceServer, seats: DirectSeats) -> None:
        self._voice, self._seats = voice, seats

    async def __aenter__(self) -> Listener:
        ticket = await self._seats.sit(LISTENER_ID, CHANNEL_ID)
        self.member = DaveyMember(LISTENER_ID, CHANNEL_ID)
        self.client = ClientVoice(ticket, self._voice.ssl_context(), listening=True, member=self.member)
        await self.client.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        await self._seats.rise(LISTENER_ID)

    async def heard(self, speaker: Speaker, spoken: list[SpokenFrame]) -> bool:
        """Whether the last frames heard of a speaker become those spoken, within a minute."""
        expected = [frame.opus for frame in spoken]
        deadline = asyncio.get_running_loop().time() + 60.0
        while asyncio.get_running_loop().time() < deadline:
            if list(self.client.heard.get(speaker.user_id, []))[-len(expected) :] == expected:
                return True
            await asyncio.sleep(0.01)
        return False


def noise(seconds: float, seed: int = 1) -> opus.Samples:
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * 16_000)).astype(np.float32)


async def test_it_hears_through_joins_leaves_and_reconnects(voice: VoiceServer, seats: DirectSeats) -> None:
    speakers = [Speaker(11 + i, seats, voice.ssl_context(), pace=FAST) for i in range(4)]
    anna, ben, cleo, dora = speakers
    await anna.join(CHANNEL_ID)
    async with Listener(voice, seats) as listener:
        group = voice.calls[CHANNEL_ID].group

        async def all_talk(*talking: Speaker) -> None:
            await voice.settled(CHANNEL_ID)
            said = await asyncio.gather(*(speaker.say(noise(0.3, speaker.user_id)) for speaker in talking))
            for speaker, spoken in zip(talking, said, strict=True):
                assert await listener.heard(speaker, spoken)

        await all_talk(anna)
        await ben.join(CHANNEL_ID)
        await asyncio.gather(cleo.join(CHANNEL_ID), dora.join(CHANNEL_ID))
        await all_talk(*speakers)
        await ben.leave()
        await all_talk(anna, cleo, dora)
        await cleo.reconnect(cut=True)
        await all_talk(anna, cleo, dora)
        await asyncio.gather(anna.leave(), dora.leave())
        await all_talk(cleo)
        await cleo.leave()
        await voice.settled(CHANNEL_ID)
        assert group.epoch == 0
        await anna.join(CHANNEL_ID)
        await all_talk(anna)
        assert group.epoch == 1
        assert listener.member.counters["invalid_commits"] == 0
        await anna.leave()


async def test_nothing_is_lost_while_others_come_and_go(voice: VoiceServer, seats: DirectSeats) -> None:
    anna = Speaker(11, seats, voice.ssl_context(), pace=0.5)
    async with anna, Listener(voice, seats) as listener:
        await anna.join(CHANNEL_ID)
        await voice.settled(CHANNEL_ID)
        talk = asyncio.create_task(anna.say(noise(60.0)))  # longer than the others need
        async with Speaker(12, seats, voice.ssl_context()) as ben, Speaker(13, seats, voice.ssl_context()) as cleo:
            for guest in (ben, cleo):
                await guest.join(CHANNEL_ID)
                said = anna.counters["spoken"]
                await until(lambda said=said: anna.counters["spoken"] >= said + 10)  # type: ignore[misc]
        anna.mute()
        spoken = await talk
        await voice.settled(CHANNEL_ID)
        assert voice.calls[CHANNEL_ID].group.epoch >= 5
        assert await listener.heard(anna, spoken)


async def test_to_version_zero_and_back(voice: VoiceServer, seats: DirectSeats) -> None:
    async with Speaker(11, seats, voice.ssl_context(), pace=FAST) as anna, Listener(voice, seats) as listener:
        await anna.join(CHANNEL_ID)
        await voice.settled(CHANNEL_ID)
        group = voice.calls[CHANNEL_ID].group
        for change in (group.downgrade, group.upgrade, group.downgrade, group.upgrade):
            change()
            await voice.settled(CHANNEL_ID)
            spoken = await anna.say(noise(0.2))
            assert await listener.heard(anna, spoken)
        assert group.version == 1


async def test_a_broken_commit_is_answered_and_mended(voice: VoiceServer, seats: DirectSeats) -> None:
    async with (
        Speaker(11, seats, voice.ssl_context(), pace=FAST) as anna,
        Speaker(12, seats, voice.ssl_context(), pace=FAST) as ben,
        Listener(voice, seats) as listener,
    ):
        await anna.join(CHANNEL_ID)
        await voice.settled(CHANNEL_ID)
        voice.faults(LISTENER_ID).bad_commits = 1
        await ben.join(CHANNEL_ID)
        await voice.settled(CHANNEL_ID)
        assert listener.member.counters["invalid_commits"] == 1
        assert await listener.heard(ben, await ben.say(noise(0.2)))


async def test_a_sender_that_comes_first_and_a_commit_that_comes_late(voice: VoiceServer, seats: DirectSeats) -> None:
    faults = voice.faults(LISTENER_ID)
    faults.sender_first = True
    async with (
        Speaker(11, seats, voice.ssl_context(), pace=0.5) as anna,
        Speaker(12, seats, voice.ssl_context(), pace=0.5) as ben,
        Listener(voice, seats) as listener,
    ):
        await anna.join(CHANNEL_ID)
        await voice.settled(CHANNEL_ID)
        faults.commit_delay_s = 0.3
        began_s = asyncio.get_running_loop().time()
        await ben.join(CHANNEL_ID)
        assert anna.client is not None
        behind = listener.member.epoch_authenticator != anna.client.dave.epoch_authenticator
        assert behind or asyncio.get_running_loop().time() - began_s >= faults.commit_delay_s
        spoken = await anna.say(noise(0.4))
        assert await listener.heard(anna, spoken), "what came before its commit was held for it"

"""People who talk: what leaves them arrives byte for byte, with the clock and the numbers of a real client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import sandbox
from sandbox.voice import DirectSeats, Speaker, SpeakingChange, SpokenFrame, VoiceServer, VoiceSettings, WirePlan
from sandbox.voice.port import Port
from sandbox.voice.speaker import speech
from ser_engine import opus

pytestmark = pytest.mark.integration

CHANNEL_ID = 7_700_000_000_000_000_077
ELSEWHERE_ID = 7_700_000_000_000_000_078
CLIP = Path(sandbox.__path__[0]) / "clips" / "1015_IEO_ANG_HI.flac"
FAST = 0.1


@pytest.fixture
async def voice() -> AsyncIterator[VoiceServer]:
    async with VoiceServer() as server:
        yield server


@pytest.fixture
def seats(voice: VoiceServer) -> DirectSeats:
    return DirectSeats(voice, 5)


@pytest.fixture
async def anna(voice: VoiceServer, seats: DirectSeats) -> AsyncIterator[Speaker]:
    async with Speaker(11, seats, voice.ssl_context(), pace=FAST) as speaker:
        yield speaker


@pytest.fixture
async def ben(voice: VoiceServer, seats: DirectSeats) -> AsyncIterator[Speaker]:
    async with Speaker(12, seats, voice.ssl_context(), pace=FAST, listening=True) as speaker:
        yield speaker


def noise(seconds: float, seed: int = 1) -> opus.Samples:
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * 16_000)).astype(np.float32)


async def heard(listener: Speaker, user_id: int, count: int) -> list[bytes]:
    """What the listener has heard once it is so much, or after a minute."""
    deadline = asyncio.get_running_loop().time() + 60.0
    while len(listener.heard.get(user_id, [])) < count and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.01)
    return listener.heard.get(user_id, [])


def udp_port(voice: VoiceServer) -> Port:
    assert voice._udp is not None
    return voice._udp._port


def frames(spoken: list[SpokenFrame]) -> list[bytes]:
    return [frame.opus for frame in spoken]


async def test_a_clip_arrives_byte_for_byte(voice: VoiceServer, anna: Speaker, ben: Speaker) -> None:
    await anna.join(CHANNEL_ID)
    await ben.join(CHANNEL_ID)
    await voice.settled(CHANNEL_ID)
    spoken = await anna.say(CLIP)
    assert len(spoken) > 50
    assert [frame.silence for frame in spoken[-6:]] == [False] + [True] * 5
    assert await heard(ben, 11, len(spoken)) == frames(spoken)
    assert list(anna.spoken) == spoken


async def test_several_talk_at_once(voice: VoiceServer, seats: DirectSeats, ben: Speaker) -> None:
    speakers = [Speaker(100 + i, seats, voice.ssl_context(), pace=0.2) for i in range(4)]
    await ben.join(CHANNEL_ID)
    await asyncio.gather(*(speaker.join(CHANNEL_ID) for speaker in speakers))
    await voice.settled(CHANNEL_ID)
    said = await asyncio.gather(*(speaker.say(noise(1.0, i)) for i, speaker in enumerate(speakers)))
    for speaker, spoken in zip(speakers, said, strict=True):
        assert await heard(ben, speaker.user_id, len(spoken)) == frames(spoken)
        await speaker.leave()


async def test_both_modes_of_transport_meet(voice: VoiceServer, seats: DirectSeats, ben: Speaker) -> None:
    await ben.join(CHANNEL_ID)
    async with Speaker(13, seats, voice.ssl_context(), pace=FAST, mode="aead_xchacha20_poly1305_rtpsize") as cleo:
        await cleo.join(CHANNEL_ID)
        await voice.settled(CHANNEL_ID)
        spoken = await cleo.say(noise(0.5))
        assert await heard(ben, 13, len(spoken)) == frames(spoken)


async def test_numbers_and_clock_run_as_a_microphones_do(anna: Speaker, ben: Speaker) -> None:
    await ben.join(CHANNEL_ID)
    await anna.join(CHANNEL_ID)
    anna.sequence, anna.timestamp = 65_530, 0xFFFF_F000
    first = await anna.say(noise(0.2), silence_frames=0)
    await anna.pause(2.0)
    paused_s = asyncio.get_running_loop().time()
    second = await anna.say(noise(0.2), silence_frames=0)
    late_s = (asyncio.get_running_loop().time() - paused_s) / FAST
    assert [frame.sequence for frame in first + second] == [(65_530 + i) & 0xFFFF for i in range(20)]
    steps = [(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in pairwise(first)]
    assert set(steps) == {960}
    quiet = (second[0].timestamp - first[-1].timestamp) & 0xFFFFFFFF
    assert quiet % 960 == 0
    assert 0 <= quiet - 960 - 2 * 48_000 <= late_s * 48_000 + 960  # and what a busy machine takes to begin


async def test_the_clock_runs_on_while_somebody_is_quiet(anna: Speaker, ben: Speaker) -> None:
    await ben.join(CHANNEL_ID)
    await anna.join(CHANNEL_ID)
    first = await anna.say(noise(0.1), silence_frames=0)
    await asyncio.sleep(0.2)
    second = await anna.say(noise(0.1), silence_frames=0)
    quiet = (second[0].timestamp - first[-1].timestamp) & 0xFFFFFFFF
    assert quiet >= 960 + round(0.2 / FAST * 48_000) - 960


async def test_what_was_not_said_while_the_process_stood_still_is_not_said_all_at_once(
    anna: Speaker, ben: Speaker
) -> None:
    await ben.join(CHANNEL_ID)
    await anna.join(CHANNEL_ID)
    talk = asyncio.create_task(anna.say(noise(4.0), silence_frames=0), name="talk")
    while anna.counters["spoken"] < 10:
        await asyncio.sleep(0.001)
    before = anna.counters["spoken"]
    time.sleep(0.5)  # noqa: ASYNC251 - the loop has to stand still
    now_s = asyncio.get_running_loop().time()
    while anna.counters["spoken"] == before:
        await asyncio.sleep(0)
    assert anna._clock_at_s is not None
    assert anna._clock_at_s >= now_s - 25 * 0.02 * FAST  # that much of 250 frames is due
    spoken = await talk
    assert {(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in pairwise(spoken)} == {960}


async def test_muted_in_mid_word_there_is_no_silence_and_no_op_5(
    seats: DirectSeats, anna: Speaker, ben: Speaker, voice: VoiceServer
) -> None:
    await ben.join(CHANNEL_ID)
    await anna.join(CHANNEL_ID)
    talk = asyncio.create_task(anna.say(noise(5.0)))
    await heard(ben, 11, 10)
    anna.mute()
    spoken = await talk
    assert 10 <= len(spoken) < 250
    assert not spoken[-1].silence
    assert await heard(ben, 11, len(spoken)) == frames(spoken)
    connection = voice.connection(11)
    assert connection is not None
    assert connection.speaking
    again = await anna.say(noise(0.1))
    assert len(again) == 10


async def test_muted_before_the_first_word_nothing_is_said(anna: Speaker, ben: Speaker) -> None:
    await ben.join(CHANNEL_ID)
    await anna.join(CHANNEL_ID)
    talk = asyncio.create_task(anna.say(noise(1.0)))
    await asyncio.sleep(0)
    anna.mute()
    assert await talk == []


async def test_silence_can_be_sealed_or_left_out(voice: VoiceServer, seats: DirectSeats, ben: Speaker) -> None:
    await ben.join(CHANNEL_ID)
    async with Speaker(13, seats, voice.ssl_context(), pace=FAST, seal_silence=True) as cleo:
        await cleo.join(CHANNEL_ID)
        spoken = await cleo.say(noise(0.1))
        assert await heard(ben, 13, len(spoken)) == frames(spoken)
        assert len(await cleo.say(noise(0.1), silence_frames=0)) == 5


async def test_a_reconnect_is_a_new_stream_in_the_same_channel(voice: VoiceServer, anna: Speaker, ben: Speaker) -> None:
    for cut in (False, True):
        await anna.join(CHANNEL_ID)
        await ben.join(CHANNEL_ID)
        await anna.say(noise(0.1))
        ssrc, group = anna.ssrc, voice.calls[CHANNEL_ID].group
        epochs = group.counters["epochs"]
        await anna.reconnect(cut=cut)
        await voice.settled(CHANNEL_ID)
        assert anna.ssrc != ssrc
        assert group.counters["epochs"] > epochs
        before = len(ben.heard.get(11, []))
        spoken = await anna.say(noise(0.1))
        assert (await heard(ben, 11, before + len(spoken)))[before:] == frames(spoken)


async def test_a_change_of_channel_is_heard_there_and_no_longer_here(
    voice: VoiceServer, seats: DirectSeats, anna: Speaker, ben: Speaker
) -> None:
    async with Speaker(13, seats, voice.ssl_context(), pace=FAST, listening=True) as cleo:
        await anna.join(CHANNEL_ID)
        await ben.join(CHANNEL_ID)
        await cleo.join(ELSEWHERE_ID)
        await anna.join(ELSEWHERE_ID)
        await voice.settled(ELSEWHERE_ID)
        spoken = await anna.say(noise(0.2))
        assert await heard(cleo, 11, len(spoken)) == frames(spoken)
        assert ben.heard == {}
        assert set(voice.calls[CHANNEL_ID].members) == {12}


async def test_alone_there_is_nobody_to_encrypt_for(voice: VoiceServer, anna: Speaker) -> None:
    await anna.join(CHANNEL_ID)
    assert await anna.say(noise(0.2)) == []
    assert anna.counters["unsent"] == 15


async def test_it_is_shown_who_speaks() -> None:
    changes: list[SpeakingChange] = []
    async with VoiceServer(on_speaking=changes.append) as voice:
        seats = DirectSeats(voice, 5)
        async with Speaker(11, seats, voice.ssl_context(), pace=FAST) as anna:
            await anna.join(CHANNEL_ID)
            await anna.say(noise(0.1))
            while len(changes) < 2:
                await asyncio.sleep(0.01)
    assert [(change.user_id, change.speaking) for change in changes] == [(11, True), (11, False)]


async def test_the_deaf_hear_nothing_and_the_mute_are_not_heard(
    voice: VoiceServer, seats: DirectSeats, anna: Speaker, ben: Speaker
) -> None:
    await anna.join(CHANNEL_ID)
    await ben.join(CHANNEL_ID)
    voice.voice_state(guild_id=5, user_id=12, channel_id=CHANNEL_ID, deaf=True)
    await anna.say(noise(0.1))
    voice.voice_state(guild_id=5, user_id=12, channel_id=CHANNEL_ID)
    voice.voice_state(guild_id=5, user_id=11, channel_id=CHANNEL_ID, mute=True)
    await anna.say(noise(0.1))
    voice.voice_state(guild_id=5, user_id=11, channel_id=CHANNEL_ID)
    spoken = await anna.say(noise(0.1))  # and nothing of what went before it
    assert await heard(ben, 11, len(spoken)) == frames(spoken)


async def test_what_was_said_before_a_change_is_relayed_as_it_was_then(
    voice: VoiceServer, anna: Speaker, ben: Speaker
) -> None:
    await anna.join(CHANNEL_ID)
    await ben.join(CHANNEL_ID)
    await voice.settled(CHANNEL_ID)
    loop, port = asyncio.get_running_loop(), udp_port(voice)
    loop.remove_reader(port._socket)  # the server does not come to it
    spoken = await anna.say(noise(0.1))
    voice.voice_state(guild_id=5, user_id=11, channel_id=CHANNEL_ID, mute=True)
    loop.add_reader(port._socket, port.drain)
    assert await heard(ben, 11, len(spoken)) == frames(spoken)


async def test_what_the_wire_loses_is_listed_exactly(voice: VoiceServer, anna: Speaker, ben: Speaker) -> None:
    wire = voice.faults(12).wire
    dressed = WirePlan(padding=0.5, extension=0.5, sources=0.3, padding_burst=0.1)
    wire.use(replace(dressed, seed=3, loss=0.2, foreign=0.2, garbage=0.2))
    await anna.join(CHANNEL_ID)
    await ben.join(CHANNEL_ID)
    loop, port = asyncio.get_running_loop(), udp_port(voice)
    loop.remove_reader(port._socket)  # the server comes to it only when all has been said
    spoken = await anna.say(noise(2.0))
    assert not wire.lost
    voice.drain()
    loop.add_reader(port._socket, port.drain)
    lost = {(packet.ssrc, packet.sequence) for packet in wire.lost}
    expected = [frame.opus for frame in spoken if (frame.ssrc, frame.sequence) not in lost]
    assert 0 < len(lost) < len(spoken)
    assert await heard(ben, 11, len(expected)) == expected


async def test_without_keepalive_the_server_falls_silent() -> None:
    async with VoiceServer(settings=VoiceSettings(udp_idle_s=-1.0)) as voice:
        own = DirectSeats(voice, 5)
        async with (
            Speaker(11, own, voice.ssl_context(), pace=FAST) as anna,
            Speaker(12, own, voice.ssl_context(), pace=FAST, listening=True) as ben,
        ):
            await anna.join(CHANNEL_ID)
            await ben.join(CHANNEL_ID)
            await anna.say(noise(0.1))
            while not voice.datagrams["withheld_without_keepalive"]:
                await asyncio.sleep(0.01)
            assert ben.heard == {}


async def test_a_flood_from_strangers_changes_nothing_but_counters(
    voice: VoiceServer, anna: Speaker, ben: Speaker
) -> None:
    await anna.join(CHANNEL_ID)
    await ben.join(CHANNEL_ID)
    loop = asyncio.get_running_loop()
    address = voice.udp_address
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=address)
    for size in range(1, 1400, 7):
        transport.sendto(bytes(size))
    spoken = await anna.say(noise(0.2))
    transport.close()
    assert await heard(ben, 11, len(spoken)) == frames(spoken)
    assert voice.datagrams["from_strangers"] == 200


async def test_a_proposal_that_cannot_be_applied_is_mended(
    voice: VoiceServer, seats: DirectSeats, anna: Speaker, ben: Speaker
) -> None:
    await anna.join(CHANNEL_ID)
    await ben.join(CHANNEL_ID)
    await voice.settled(CHANNEL_ID)
    voice.faults(12).bad_proposals = 1
    async with Speaker(13, seats, voice.ssl_context(), pace=FAST) as cleo:
        await cleo.join(CHANNEL_ID)
        await voice.settled(CHANNEL_ID)
        assert voice.faults(12).bad_proposals == 0
        assert ben.client is not None
        assert ben.client.dave.counters["mls_failures"]
        spoken = await cleo.say(noise(0.2))
        assert await heard(ben, 13, len(spoken)) == frames(spoken)


async def test_who_does_not_listen_is_sent_nothing(voice: VoiceServer, seats: DirectSeats, anna: Speaker) -> None:
    async with Speaker(13, seats, voice.ssl_context(), pace=FAST) as cleo:
        await anna.join(CHANNEL_ID)
        await cleo.join(CHANNEL_ID)
        await voice.settled(CHANNEL_ID)
        assert await anna.say(noise(0.1))
        async with Speaker(14, seats, voice.ssl_context(), pace=FAST, listening=True) as dora:
            await dora.join(CHANNEL_ID)
            await voice.settled(CHANNEL_ID)
            spoken = await anna.say(noise(0.1))
            assert await heard(dora, 11, len(spoken)) == frames(spoken)
        assert voice.datagrams["audio"] == 10 + len(spoken)
        assert voice.datagrams["sent"] == len(spoken)


def test_files_and_samples_become_48_khz() -> None:
    from_file = speech(CLIP, 16_000)
    assert from_file.dtype == np.float32
    assert speech(noise(1.0), 16_000).shape == (48_000,)
    assert speech(noise(1.0), 48_000).shape == (16_000,)
    assert 1.0 < len(from_file) / 48_000 < 5.0

"""What a packet costs in this layer and in discord-ext-voice-recv, on the same datagrams in the same run.

That package is no dependency and is not needed for anything else. It cannot hear a call since end-to-end encryption is
mandatory, so it is given what it was made for: packets with the transport's encryption alone.

    pip install --target build/voice-recv --no-deps discord-ext-voice-recv==0.5.2a179
    python -m tests.load.compare_voice_recv build/voice-recv

Its threads are left out and their work is called in turn, which spares it the price of switching between them.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import discord

from bot.voice.receiver import Receiver
from sandbox.voice.speaker import speech
from ser_engine import opus
from tests.fakes.clips import clip_paths
from tests.fakes.rtp import KEY, RtpSender
from tests.fakes.voice import FakeConnection

SSRC, USER = 77, 1
ROUNDS = 7


class Nobody:
    """Hears and does nothing."""

    def frame(self, frame: object) -> None: ...
    def silence(self, speaker: str, now_samples: int) -> None: ...


def datagrams() -> list[bytes]:
    """About a minute of real speech."""
    encoder, sender = opus.Encoder(), RtpSender(ssrc=SSRC)
    return [sender.packet(packet) for path in clip_paths()[:24] for packet in encoder.packets(speech(path, 16_000))]


def ours() -> Callable[[bytes], None]:
    receiver = Receiver(FakeConnection(), sink=Nobody(), consent=lambda user_id: user_id == USER)
    receiver.speaking(USER, SSRC)

    def take(datagram: bytes) -> None:
        receiver.datagram(datagram)
        receiver.drain()

    return take


def theirs(heard: Counter[str]) -> Callable[[bytes], None]:
    from discord.ext import voice_recv  # type: ignore[attr-defined]
    from discord.ext.voice_recv.reader import AudioReader  # type: ignore[import-not-found]

    member = SimpleNamespace(id=USER)
    client = SimpleNamespace(
        mode="aead_xchacha20_poly1305_rtpsize",
        secret_key=list(KEY),
        _ssrc_to_id={SSRC: USER},
        _get_id_from_ssrc=lambda ssrc: USER,
        guild=SimpleNamespace(get_member=lambda user_id: member),
        client=SimpleNamespace(get_user=lambda user_id: member),
        dispatch_sink=lambda *args: None,
    )
    reader = AudioReader(voice_recv.BasicSink(lambda user, data: heard.update(pcm_bytes=len(data.pcm))), client)
    router = reader.packet_router

    def take(datagram: bytes) -> None:
        reader.callback(datagram)
        for decoder in router.waiter.items:
            data = decoder.pop_data()
            if data is not None:
                router.sink.write(data.source, data)

    return take


def cost_us(take: Callable[[bytes], None], packets: Sequence[bytes]) -> float:
    """Median microseconds of processor time a packet."""
    times = []
    for start in range(0, len(packets) - 50, 50):
        began = time.thread_time()
        for datagram in packets[start : start + 50]:
            take(datagram)
        times.append((time.thread_time() - began) / 50)
    return statistics.median(times) * 1e6


def main() -> None:
    installed = Path(sys.argv[1])
    discord.__path__.append(str(installed / "discord"))
    discord.opus.load_opus(opus.library()._name)
    packets, heard = datagrams(), Counter[str]()
    pairs = [(cost_us(ours(), packets), cost_us(theirs(heard), packets)) for _ in range(ROUNDS)]
    share = heard["pcm_bytes"] / (960 * 2 * 2 * len(packets) * ROUNDS)
    if share < 0.9:
        raise SystemExit(f"discord-ext-voice-recv decoded {share:.0%} of the packets only: nothing to compare")
    mine, yours = (statistics.median(column) for column in zip(*pairs, strict=True))
    sys.stdout.write(
        f"{len(packets)} packets, {ROUNDS} rounds\n"
        f"this layer           {mine:7.1f} µs a packet (16 kHz mono, on its timeline)\n"
        f"discord-ext-voice-recv {yours:5.1f} µs a packet (48 kHz stereo)\n"
        f"ratio                {mine / yours:7.2f}\n"
    )


if __name__ == "__main__":
    main()

"""From packets to windows: what the network does to their timing moves no border and changes no sample."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from sandbox.voice.speaker import speech
from ser_engine import opus
from ser_engine.segmenter import Segmenter
from ser_engine.types import PcmFrame, Window
from tests.fakes.clips import clip_paths
from tests.fakes.rtp import RtpSender
from tests.fakes.voice import Ears, FakeConnection, FakeDave

pytestmark = pytest.mark.integration

SSRC = 77
STALL_S = 0.4


class Windows:
    """A listener that cuts windows, as a session does."""

    def __init__(self) -> None:
        self.segmenter = Segmenter("1")
        self.closed: list[Window] = []

    def frame(self, frame: PcmFrame) -> None:
        self.closed += self.segmenter.push(frame)

    def silence(self, speaker: str, now_samples: int) -> None:
        self.closed += self.segmenter.advance(now_samples)


@dataclass(frozen=True)
class Packet:
    at_s: float
    datagram: bytes


@pytest.fixture(scope="module")
def turns() -> list[list[bytes]]:
    """Two turns of real speech, as Opus packets; the last one ends with a part of a window."""
    encoder = opus.Encoder()
    clips = [speech(path, 16_000) for path in clip_paths() if "_ANG_" in path.name][:4]
    return [list(encoder.packets(np.concatenate(pair))) for pair in (clips[:2], clips[2:])]


def spoken(turns: list[list[bytes]], encrypt: Callable[[bytes], bytes] = lambda packet: packet) -> list[Packet]:
    """The turns as they are sent: a packet every 20 ms, and 1.5 s between the turns."""
    sender, at_s, out = RtpSender(ssrc=SSRC, sequence=65_400, timestamp=0xFFFF0000), 0.0, []
    for turn in turns:
        for packet in turn:
            out.append(Packet(at_s, sender.packet(encrypt(packet))))
            at_s += 0.02
        sender.pause(72_000)
        at_s += 1.5
    return out


def hear(packets: list[Packet], *, op_5_at_s: float = 0.0, ears: Ears | None = None) -> tuple[Windows, Ears]:
    """Let packets arrive at their times, whatever order that is."""
    ears, windows = ears or Ears(), Windows()
    ears.heard.frame, ears.heard.silence = windows.frame, windows.silence
    clock, known = 0.0, False
    for packet in sorted(packets, key=lambda one: one.at_s):
        while clock + 0.02 <= packet.at_s:
            clock += 0.02
            ears.wait(0.02)
        if not known and packet.at_s >= op_5_at_s:
            known = True
            ears.receiver.speaking(1, SSRC)
            ears.work()
        ears.take(packet.datagram)
    ears.wait(2.0)
    return windows, ears


@pytest.fixture(scope="module")
def steady(turns: list[list[bytes]]) -> list[Window]:
    windows, _ = hear(spoken(turns))
    assert len(windows.closed) >= 3
    return windows.closed


def assert_same(found: list[Window], expected: list[Window]) -> None:
    assert len(found) == len(expected)
    moved = [a.start_s - b.start_s for a, b in zip(found, expected, strict=True)]
    assert max(moved) - min(moved) < 1 / 16_000  # the stream as a whole begins where it arrived
    assert abs(moved[0]) < 1.6
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.pcm, other.pcm)
        assert (one.speech_ratio, one.gap_ratio) == (other.speech_ratio, other.gap_ratio)


def jitter(packets: list[Packet]) -> list[Packet]:
    chance = random.Random(1)  # noqa: S311 - seeded, no secret
    return [Packet(one.at_s + chance.uniform(0, 0.05), one.datagram) for one in packets]


def twice(packets: list[Packet]) -> list[Packet]:
    return [*packets, *(Packet(one.at_s + 0.03, one.datagram) for one in packets)]


def bursts(packets: list[Packet]) -> list[Packet]:
    return [Packet(STALL_S * (one.at_s // STALL_S + 1), one.datagram) for one in packets]


def drift(packets: list[Packet]) -> list[Packet]:
    return [Packet(one.at_s * 1.0005, one.datagram) for one in packets]


@pytest.mark.parametrize("timing", [jitter, twice, bursts, drift])
def test_the_same_audio_gives_the_same_windows_whatever_the_packets_timing(
    timing: Callable[[list[Packet]], list[Packet]], turns: list[list[bytes]], steady: list[Window]
) -> None:
    windows, _ = hear(timing(spoken(turns)))
    assert_same(windows.closed, steady)


def test_the_same_audio_gives_the_same_windows_when_its_owner_is_told_late(
    turns: list[list[bytes]], steady: list[Window]
) -> None:
    windows, ears = hear(spoken(turns), op_5_at_s=1.2)
    assert_same(windows.closed, steady)
    assert ears.counters.held_unknown == 60


def test_the_same_audio_gives_the_same_windows_when_the_keys_come_late(
    turns: list[list[bytes]], steady: list[Window]
) -> None:
    session = FakeDave()
    session.epochs = {0}
    ears = Ears(connection=FakeConnection(session=session, version=1))

    def bring_keys() -> None:
        session.epochs.add(1)
        ears.receiver.keys_changed()

    packets = spoken(turns, session.encrypt)
    tick, elapsed = ears.receiver.tick, 0.0

    def tick_with_keys() -> bool:
        nonlocal elapsed
        elapsed += 0.02
        if elapsed > 1.0 and 1 not in session.epochs:
            bring_keys()
        return tick()

    ears.receiver.tick = tick_with_keys
    windows, _ = hear(packets, ears=ears)
    assert_same(windows.closed, steady)
    assert ears.counters.held_dave > 0


def test_loss_shows_as_its_share_of_the_window(turns: list[list[bytes]], steady: list[Window]) -> None:
    packets = spoken(turns)
    windows, _ = hear([one for index, one in enumerate(packets) if index % 10 != 5])
    assert len(windows.closed) == len(steady)
    for lossy, whole in zip(windows.closed, steady, strict=True):
        assert whole.gap_ratio == 0.0
        assert lossy.gap_ratio == pytest.approx(0.1, abs=0.02)


def test_silence_ends_a_window_within_its_time(turns: list[list[bytes]]) -> None:
    ears, windows = Ears(), Windows()
    ears.heard.frame, ears.heard.silence = windows.frame, windows.silence
    ears.receiver.speaking(1, SSRC)
    sender = RtpSender(ssrc=SSRC)
    for packet in turns[0][:120]:
        ears.take(sender.packet(packet))
        ears.wait(0.02)
    assert windows.closed == []
    ears.wait(0.7)  # 0.6 s, and what the silence is told in steps of
    assert len(windows.closed) == 1

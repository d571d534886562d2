"""What surrounds a receiver: a clock, a connection, a DAVE group, a listener."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import davey
import numpy as np

from bot.voice.counters import ReceiveCounters
from bot.voice.dave import DaveSession
from bot.voice.receiver import Receiver
from bot.voice.transport import XCHACHA20
from ser_engine.types import PcmFrame

from .rtp import KEY, RtpSender


class FakeClock:
    """Seconds that pass only when told."""

    def __init__(self, now_s: float = 1_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


class FakeDave:
    """A DAVE session whose encryption is an epoch's byte in front; it refuses in davey's words and keeps a record."""

    def __init__(self) -> None:
        self.epochs = {1}
        self.members: set[int] | None = None
        self.asked: list[int] = []
        self.failure: BaseException | None = None

    def encrypt(self, packet: bytes, epoch: int = 1) -> bytes:
        return bytes([epoch]) + packet + b"\xfa\xfa"

    def decrypt(self, user_id: int, media_type: davey.MediaType, packet: bytes) -> bytes:
        self.asked.append(user_id)
        if self.failure is not None:
            raise self.failure
        if self.members is not None and user_id not in self.members:
            raise ValueError("Failed to decrypt: NoDecryptorForUser")
        if not packet.endswith(b"\xfa\xfa"):
            raise ValueError("Failed to decrypt: DecryptionFailed(UnencryptedWhenPassthroughDisabled)")
        if packet[0] not in self.epochs:
            raise ValueError("Failed to decrypt: DecryptionFailed(NoValidCryptorFound)")
        return packet[1:-2]


@dataclass
class FakeConnection:
    mode: str = XCHACHA20
    key: bytes | None = KEY
    session: DaveSession | None = None
    version: int = 0
    transport_asked: int = 0

    def transport(self) -> tuple[str, bytes] | None:
        self.transport_asked += 1
        return None if self.key is None else (self.mode, self.key)

    def dave(self) -> tuple[DaveSession | None, int]:
        return self.session, self.version


@dataclass
class Heard:
    """A listener that keeps what it is told."""

    frames: dict[str, list[PcmFrame]] = field(default_factory=lambda: defaultdict(list))
    silences: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def frame(self, frame: PcmFrame) -> None:
        self.frames[frame.speaker].append(frame)

    def silence(self, speaker: str, now_samples: int) -> None:
        self.silences[speaker].append(now_samples)

    def spans(self, speaker: str) -> list[tuple[int, int, bool]]:
        """Start, end and concealed of each frame."""
        return [(f.t_samples, f.t_samples + len(f.pcm), f.concealed) for f in self.frames[speaker]]

    def pcm(self, speaker: str) -> np.ndarray:
        """The speaker's timeline from the first frame on, gaps as zeros."""
        frames = self.frames[speaker]
        begin, end = frames[0].t_samples, frames[-1].t_samples + len(frames[-1].pcm)
        out = np.zeros(end - begin, dtype=np.float32)
        for frame in frames:
            at = frame.t_samples - begin
            out[at : at + len(frame.pcm)] = frame.pcm
        return out


class Ears:
    """A receiver with everything around it made up, and a clock that runs with the packets."""

    def __init__(self, *, included: set[int] | None = None, connection: FakeConnection | None = None) -> None:
        self.clock = FakeClock()
        self.connection = connection or FakeConnection()
        self.heard = Heard()
        self.included = included if included is not None else {1}
        self.opus: dict[int, list[bytes]] = defaultdict(list)
        self.receiver = Receiver(
            self.connection,
            sink=self.heard,
            consent=lambda user_id: user_id in self.included,
            clock=self.clock,
            tap=lambda user_id, packet: self.opus[user_id].append(packet),
        )

    @property
    def counters(self) -> ReceiveCounters:
        return self.receiver.counters

    def take(self, *datagrams: bytes) -> None:
        """Datagrams arrive now and are worked off."""
        for datagram in datagrams:
            self.receiver.datagram(datagram)
        self.work()

    def stream(self, sender: RtpSender, packets: list[bytes], **kwargs: Any) -> None:
        """Packets every 20 ms, as they are spoken."""
        for packet in packets:
            self.take(sender.packet(packet, **kwargs))
            self.wait(0.02)

    def work(self) -> None:
        while self.receiver.drain():
            pass

    def wait(self, seconds: float) -> None:
        """Time passes; the timer runs every 20 ms as it does on the event loop."""
        for _ in range(round(seconds / 0.02)):
            self.clock.advance(0.02)
            self.receiver.tick()
            self.work()


def under_dave(ssrc: int) -> tuple[FakeDave, Ears, RtpSender]:
    """An included speaker whose SSRC is known, in an encrypted call with the keys of its first epoch."""
    session = FakeDave()
    ears = Ears(connection=FakeConnection(session=session, version=1))
    ears.receiver.speaking(1, ssrc)
    return session, ears, RtpSender(ssrc=ssrc)

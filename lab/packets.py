"""What a packet costs on the way from the socket to samples, measured on a recording of a real call.

DAVE decrypts a frame once and refuses a replay, so the whole way is timed once over the recording, with a clock around
its steps; what can be repeated (transport, Opus) is also timed by itself.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bot.voice import rtp
from bot.voice.dave import DaveSession
from bot.voice.link import VoiceLink
from bot.voice.pace import WORK_TICKS
from bot.voice.reader import DATAGRAM_BYTES, VoiceSocket
from bot.voice.receiver import Receiver
from bot.voice.states import FrameSink
from bot.voice.transport import Opener
from ser_engine import opus


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Datagrams of one speaker as they came, with what opens them."""

    datagrams: Sequence[bytes]
    user_id: int
    ssrc: int
    mode: str
    key: bytes
    session: DaveSession
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketCost:
    """Microseconds of this thread's processor time a packet; medians over slices of the recording."""

    packets: int
    """Measured."""
    total_us: float
    socket_us: float
    transport_us: float
    dave_us: float
    opus_us: float
    slowest_us: float

    @property
    def rest_us(self) -> float:
        """Headers, consent, order, timeline, frames and their hand-over."""
        return self.total_us - self.socket_us - self.transport_us - self.dave_us - self.opus_us


class Recorder:
    """Keeps the datagrams of one speaker of a live link instead of hearing them.

    They can be opened with one connection's keys only. A busy machine's link may lose its connection in the middle;
    then the recording is of no use, and another one is to be made.
    """

    def __init__(self, link: VoiceLink, user_id: int, wanted: int) -> None:
        self._link = link
        self._user_id = user_id
        self._wanted = wanted
        self._receiver = link.receiver
        self._keys = self._current_keys()
        self.datagrams: list[bytes] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[Recorder]:
        """Record within this block."""
        self._receiver.datagram = self._take  # type: ignore[method-assign]
        try:
            yield self
        finally:
            del self._receiver.datagram

    @property
    def complete(self) -> bool:
        return len(self.datagrams) >= self._wanted

    @property
    def spoiled(self) -> bool:
        """Whether the keys are no longer those with which it began."""
        return self._current_keys() != self._keys

    def _current_keys(self) -> tuple[object, object]:
        return self._link.transport(), self._link.dave()[0]

    def finish(self) -> Recording:
        """The recording.

        Raises:
            ValueError: nobody said whose SSRC it is, or there is no encryption to measure.
        """
        session, version = self._link.dave()
        keys = self._link.transport()
        ssrcs = self._receiver.ssrcs.ssrcs(self._user_id)
        if session is None or keys is None or not ssrcs:
            raise ValueError("the call was not ready to be recorded")
        mine = [datagram for datagram in self.datagrams if rtp.ssrc_of(datagram) == ssrcs[-1]]
        return Recording(
            datagrams=mine[: self._wanted],
            user_id=self._user_id,
            ssrc=ssrcs[-1],
            mode=keys[0],
            key=keys[1],
            session=session,
            version=version,
        )

    def _take(self, data: bytes) -> bool:
        if rtp.is_audio(data) and len(data) >= rtp.MIN_DATAGRAM_BYTES:
            self.datagrams.append(data)
        return False


class _Replay:
    """A recording as the connection that a receiver asks."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.dave_s = 0.0

    def transport(self) -> tuple[str, bytes]:
        return self._recording.mode, self._recording.key

    def dave(self) -> tuple[DaveSession, int]:
        return self, self._recording.version

    def decrypt(self, user_id: int, media_type: object, packet: bytes) -> bytes:
        began = time.thread_time()
        try:
            return self._recording.session.decrypt(user_id, media_type, packet)  # type: ignore[arg-type]
        finally:
            self.dave_s += time.thread_time() - began


class _Nobody:
    """Hears and does nothing, so that only the way there is timed."""

    def frame(self, frame: object) -> None: ...
    def silence(self, speaker: str, now_samples: int) -> None: ...


def packet_cost(recording: Recording, *, slice_packets: int = 50, sink: FrameSink | None = None) -> PacketCost:
    """Send the recording through a real UDP socket and the receiver, and time it.

    Raises:
        ValueError: the recording did not come through, so the figures would be of something else.
    """
    replay, packets = _Replay(recording), list[bytes]()
    receiver = Receiver(
        replay,
        sink=sink or _Nobody(),
        consent=lambda user_id: user_id == recording.user_id,
        tap=lambda user_id, packet: packets.append(packet),
    )
    receiver.speaking(recording.user_id, recording.ssrc)
    totals, sockets, slowest = [], [], 0.0
    with _socket_pair() as (sender, reader):
        for start in range(0, len(recording.datagrams), slice_packets):
            piece = recording.datagrams[start : start + slice_packets]
            for datagram in piece:
                sender.send(datagram)
            began = time.thread_time()
            for number in range(1, len(piece) + 1):
                receiver.datagram(reader.recv(DATAGRAM_BYTES))
                if number % WORK_TICKS == 0 or number == len(piece):  # as often as the reader does
                    one = time.thread_time()
                    receiver.drain()
                    slowest = max(slowest, time.thread_time() - one)
            totals.append((time.thread_time() - began) / len(piece))
            receiver.tick()
            for datagram in piece:
                sender.send(datagram)
            began = time.thread_time()
            for _ in piece:
                reader.recv(DATAGRAM_BYTES)
            sockets.append((time.thread_time() - began) / len(piece))
    receiver.speaker(recording.user_id).end_stream()
    if receiver.counters.frames < 0.9 * len(recording.datagrams):
        raise ValueError(f"only {receiver.counters.frames} of {len(recording.datagrams)} packets came through")
    decoder, opener = opus.Decoder(), Opener()
    return PacketCost(
        packets=len(packets),
        total_us=_us(totals),
        socket_us=_us(sockets),
        transport_us=_us(_each(recording.datagrams, lambda datagram: _open(opener, recording, datagram))),
        dave_us=replay.dave_s / len(packets) * 1e6,
        opus_us=_us(_each(packets, decoder.decode)),
        slowest_us=slowest * 1e6,
    )


def _open(opener: Opener, recording: Recording, datagram: bytes) -> bytes:
    header = rtp.parse_header(datagram)
    assert header is not None  # noqa: S101 - it came through before
    opened = opener.open(datagram, header, recording.mode, recording.key)
    return rtp.media_of(header, opened or b"") or b""


def _each(items: Sequence[bytes], work: Callable[[bytes], object]) -> list[float]:
    times = []
    for item in items:
        began = time.thread_time()
        work(item)
        times.append(time.thread_time() - began)
    return times


def _us(seconds: Sequence[float]) -> float:
    return statistics.median(seconds) * 1e6


@contextlib.contextmanager
def _socket_pair() -> Iterator[tuple[VoiceSocket, VoiceSocket]]:
    """Two UDP sockets that are connected to each other."""
    first, second = (VoiceSocket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    try:
        for one in (first, second):
            one.bind(("127.0.0.1", 0))
        first.connect(second.getsockname())
        second.connect(first.getsockname())
        yield first, second
    finally:
        first.close()
        second.close()

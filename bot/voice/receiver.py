"""From a datagram to a speaker's samples: who may be heard, what waits, and what is dropped and why.

Everything runs on the event loop in slices of a few milliseconds: the socket's callback looks at headers only and
queues what belongs to an included speaker; `drain` works the queue off while its budget lasts. The order of the steps
is the promise of the product: consent is asked on the header, before anything of the packet is decrypted.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from ser_engine.types import SAMPLE_RATE_HZ

from . import dave, rtp
from .counters import ReceiveCounters
from .dave import DaveSession, Refusal
from .faults import survive
from .hold import HOLD_S, Hold, Packet
from .rtp import RtpHeader
from .speaker import AudioPacket, HeardSpeaker
from .ssrc import SsrcMap
from .states import ConsentGate, FrameSink, OpusTap
from .transport import open_datagram

QUEUE_PACKETS: Final = 4_000
"""About 3 s of 25 speakers; more than that is not waiting but drowning, and the oldest goes."""
SLICE_S: Final = 0.004
STALL_S: Final = 0.1
DEAF_S: Final = 2.0
DEAF_PACKETS: Final = 25
"""So many packets of one speaker over so long, and none decrypted: that speaker is not heard."""


class MediaKeys(Protocol):
    """What opens the connection's media now; asked for each packet, because all of it changes in a call."""

    def transport(self) -> tuple[str, bytes] | None:
        """Mode and key; None before the server has told them."""

    def dave(self) -> tuple[DaveSession | None, int]:
        """The DAVE session and the protocol version."""


class Receiver:
    """One link's ears. It outlives connections; speakers' timelines run on through reconnects."""

    def __init__(
        self,
        connection: MediaKeys,
        *,
        sink: FrameSink,
        consent: ConsentGate,
        clock: Callable[[], float] = time.monotonic,
        tap: OpusTap | None = None,
    ) -> None:
        self.counters = ReceiveCounters()
        self.ssrcs = SsrcMap()
        self._connection = connection
        self._sink = sink
        self._consent = consent
        self._clock = clock
        self._tap = tap
        self._began_s = clock()
        self._queue: deque[Packet] = deque()
        self._hold = Hold(self._expired, self._overflowed)
        self._speakers: dict[int, HeardSpeaker] = {}
        self._leaving: dict[int, float] = {}
        """Users who left, and until when their SSRCs are still theirs."""
        self._ticked_s = self._began_s

    # -- time -------------------------------------------------------------------------------------------------------

    def now_samples(self) -> int:
        """The session's clock, in samples at 16 kHz since the link was made."""
        return self._samples(self._clock())

    def _samples(self, at_s: float) -> int:
        return int((at_s - self._began_s) * SAMPLE_RATE_HZ)

    # -- packets ----------------------------------------------------------------------------------------------------

    def datagram(self, data: bytes) -> bool:
        """Look at a datagram's header, and queue or hold it; True when there is work for `drain`."""
        counters = self.counters
        counters.datagrams += 1
        if not rtp.is_audio(data):
            counters.dropped_not_audio += 1
            return False
        if len(data) < rtp.MIN_DATAGRAM_BYTES:
            counters.dropped_malformed += 1
            return False
        ssrc = rtp.ssrc_of(data)
        packet = Packet(self._clock(), ssrc, data)
        user_id = self.ssrcs.user(ssrc)
        if user_id is None:
            self._wait_unknown(packet)
            return False
        if not self._included(user_id):
            counters.dropped_excluded += 1
            return False
        if len(self._queue) >= QUEUE_PACKETS:
            self._queue.popleft()
            counters.dropped_overflow += 1
        self._queue.append(packet)
        return True

    def drain(self, budget_s: float = SLICE_S) -> bool:
        """Work on queued packets for at most about `budget_s`; True when some are left."""
        queue = self._queue
        until = self._clock() + budget_s
        while queue:
            packet = queue.popleft()
            try:
                self._process(packet)
            except Exception as error:  # noqa: BLE001 - one bad packet costs 20 ms, never the layer
                survive(self.counters, "packet_failed", error, ssrc=packet.ssrc)
            if self._clock() >= until:
                break
        return bool(queue)

    def _process(self, packet: Packet) -> None:
        user_id = self.ssrcs.user(packet.ssrc)
        if user_id is None:
            self._wait_unknown(packet)
            return
        if not self._included(user_id):
            self.counters.dropped_excluded += 1
            return
        header = packet.header or self._open_transport(packet, user_id)
        if header is None:
            return
        now_s = self._clock()
        speaker = self.speaker(user_id)
        result: bytes | Refusal = b""
        if packet.payload:
            session, version = self._connection.dave()
            result = dave.decrypt(session, version, user_id, packet.payload)
        if isinstance(result, Refusal):
            self._wait_keys(packet, speaker, result)
            return
        if result:
            self.counters.decrypted += 1
        audio = AudioPacket(header.timestamp, result, self._samples(packet.arrived_s))
        speaker.push(packet.ssrc, header.sequence, audio, now_s)

    def _open_transport(self, packet: Packet, user_id: int) -> RtpHeader | None:
        """Take the transport's encryption and padding off; None when the packet is dropped or has to wait."""
        counters = self.counters
        header = rtp.parse_header(packet.datagram)
        if header is None:
            counters.dropped_malformed += 1
            return None
        transport = self._connection.transport()
        if transport is None:
            self._wait_unknown(packet)
            return None
        mode, key = transport
        opened = open_datagram(packet.datagram, header, mode=mode, key=key)
        if opened is None:
            counters.dropped_transport += 1
            return None
        media = rtp.media_of(header, opened)
        if media is None:
            counters.dropped_bad_payload += 1
            return None
        if self.speaker(user_id).stream(packet.ssrc).is_duplicate(header.sequence, header.timestamp):
            counters.dropped_duplicate += 1
            return None
        packet.header, packet.payload, packet.user_id, packet.datagram = header, media, user_id, b""
        return header

    def _wait_unknown(self, packet: Packet) -> None:
        if not packet.waited:
            packet.waited = True
            self.counters.held_unknown += 1
        self._hold.add_unknown(packet)

    def _wait_keys(self, packet: Packet, speaker: HeardSpeaker, refusal: Refusal) -> None:
        if refusal is Refusal.PANIC:
            self.counters.dave_panics += 1
        if packet.refusal is None:
            self.counters.held_dave += 1
            speaker.refused(self._clock())
        packet.refusal = refusal
        self._hold.add_refused(packet)

    def _included(self, user_id: int) -> bool:
        try:
            return self._consent(user_id)
        except Exception as error:  # noqa: BLE001 - whoever cannot be asked about is not included
            survive(self.counters, "consent_gate_failed", error, user_id=user_id)
            return False

    # -- what the gateway says --------------------------------------------------------------------------------------

    def speaking(self, user_id: int, ssrc: int) -> None:
        """The gateway names an SSRC's owner; what waited for it is heard, or dropped unheard."""
        self._leaving.pop(user_id, None)
        if self.ssrcs.assign(ssrc, user_id):
            self._requeue(self._hold.take_unknown(ssrc))

    def left(self, user_id: int) -> None:
        """The gateway says a user has left the call. What they said last may still be on its way."""
        if self.ssrcs.ssrcs(user_id):
            self._leaving[user_id] = self._clock() + HOLD_S

    def keys_changed(self) -> None:
        """The gateway brought something that may let held packets be decrypted now."""
        waiting = self._hold.take_refused()
        waiting += self._hold.take_all_unknown()
        self._requeue(waiting)

    def connection_began(self) -> None:
        """Another connection: SSRCs and keys of the last one mean nothing any more."""
        stale = sum(1 for _ in self._hold.drain()) + len(self._queue)
        self._queue.clear()
        self._leaving.clear()
        self.counters.dropped_stale += stale
        self.ssrcs.clear()
        for speaker in self._speakers.values():
            speaker.end_stream()

    def _requeue(self, packets: list[Packet]) -> None:
        """Put packets before all that came later, in their order."""
        self._queue.extendleft(reversed(packets))

    # -- people -----------------------------------------------------------------------------------------------------

    def speaker(self, user_id: int) -> HeardSpeaker:
        speaker = self._speakers.get(user_id)
        if speaker is None:
            speaker = self._speakers[user_id] = HeardSpeaker(user_id, self._sink, self.counters, self._tap)
        return speaker

    def discard(self, user_id: int) -> None:
        """Forget everything of a user that waits to be heard: they withdrew."""
        dropped = len(self._hold.take_user(user_id))
        speaker = self._speakers.get(user_id)
        if speaker is not None:
            dropped += speaker.drop()
        mine = [packet for packet in self._queue if self.ssrcs.user(packet.ssrc) == user_id]
        for packet in mine:
            self._queue.remove(packet)
        self.counters.dropped_withdrawn += dropped + len(mine)

    def deaf_to(self) -> list[int]:
        """Included users who talk and of whom nothing can be decrypted."""
        now_s = self._clock()
        return [
            user_id
            for user_id, speaker in self._speakers.items()
            if speaker.refused_packets >= DEAF_PACKETS
            and speaker.last_refused_s - speaker.refused_since_s >= DEAF_S
            and now_s - speaker.last_refused_s < DEAF_S
            and self._included(user_id)
        ]

    def hears_since(self, since_s: float) -> bool:
        """Whether anybody's packet was decrypted after `since_s` (on the receiver's clock)."""
        return any(speaker.last_voice_s > since_s for speaker in self._speakers.values())

    # -- the timer --------------------------------------------------------------------------------------------------

    def tick(self) -> bool:
        """To be called every 20 ms while it returns True: releases, expires, and notices the end of speech."""
        now_s = self._clock()
        stalled = now_s - self._ticked_s > STALL_S
        self._ticked_s = now_s
        self._hold.expire(now_s)
        self._forget_left(now_s)
        busy = len(self._hold) > 0 or bool(self._queue) or bool(self._leaving)
        for user_id, speaker in self._speakers.items():
            busy = speaker.tick(now_s, holding=self._hold.holds_for(user_id), stalled=stalled) or busy
        return busy

    def _forget_left(self, now_s: float) -> None:
        for user_id in [user_id for user_id, until_s in self._leaving.items() if until_s <= now_s]:
            del self._leaving[user_id]
            self.ssrcs.forget_user(user_id)
            if (speaker := self._speakers.get(user_id)) is not None:
                speaker.end_stream()

    def tick_begins(self) -> None:
        """The timer starts after it had nothing to do: the time since its last tick is no stall."""
        self._ticked_s = self._clock()

    def _expired(self, packet: Packet) -> None:
        counters = self.counters
        match packet.refusal:
            case None if packet.user_id or self.ssrcs.user(packet.ssrc) is not None:
                counters.dropped_no_key += 1
            case None:
                counters.dropped_unknown += 1
            case Refusal.UNENCRYPTED:
                counters.dropped_dave_unencrypted += 1
            case Refusal.NO_KEY:
                counters.dropped_dave_no_key += 1
            case Refusal.NOT_IN_GROUP:
                counters.dropped_dave_not_in_group += 1
            case _:
                counters.dropped_dave_other += 1

    def _overflowed(self, packet: Packet) -> None:
        self.counters.dropped_overflow += 1

"""From a datagram to a speaker's samples: who may be heard, what waits, and what is dropped and why.

Everything runs on the event loop in slices of a few milliseconds: the socket's callback looks at headers only and
queues packets whose owner is known; `drain` works the queue off while its budget lasts, a stream's packets together.
Nothing else runs meanwhile, so what cannot change between two of them (owner, keys) is looked up once for them. The
order of the steps is the promise of the product: consent is asked on the header of each packet, before anything of it
is decrypted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from ser_engine.types import SAMPLE_RATE_HZ

from . import rtp
from .backlog import Backlog
from .counters import ReceiveCounters
from .dave import DaveSession, Refusal
from .faults import survive
from .hold import HOLD_S, Hold, Packet
from .journal import Journal
from .opening import MediaKeys, PacketOpener
from .rtp import RtpHeader
from .speaker import AudioPacket, HeardSpeaker, Stream
from .ssrc import SsrcMap
from .states import ConsentGate, FrameSink, OpusTap
from .trouble import Trouble

SLICE_S: Final = 0.004
RUN_PACKETS: Final = 10
"""So many packets of a stream are worked on together at the most: half a millisecond."""
STALL_S: Final = 0.25
"""The timer comes every 100 ms; this late, packets may be waiting in the socket."""
DISCARD_KEPT_S: Final = 60.0
"""No packet waits for so long."""
NEVER_S: Final = float("-inf")


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
        self._owners = self.ssrcs.owners
        self._connection = connection
        self._sink = sink
        self._consent = consent
        self._clock = clock
        self._tap = tap
        self._began_s = clock()
        self.journal = Journal(clock)
        self._backlog = Backlog()
        self._hold = Hold(self._expired, self._overflowed)
        self._opener = PacketOpener(self.counters)
        self.trouble = Trouble(clock)
        self._speakers: dict[int, HeardSpeaker] = {}
        self._leaving: dict[int, float] = {}
        """Users who left, and until when their SSRCs are still theirs."""
        self._discarded: dict[int, float] = {}
        """By user: what came until then is never heard, whoever it was known to be of."""
        self._ticked_s = self._began_s

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
        if ssrc not in self.journal.met:
            self.journal.first_packet(ssrc)
        packet = Packet(self._clock(), ssrc, data)
        if ssrc not in self._owners:
            self._wait_unknown(packet)
            return False
        if not self._backlog.push(packet):
            self._overflowed(packet)
        return True

    def drain(self, budget_s: float = SLICE_S) -> bool:
        """Work on queued packets for at most about `budget_s`; True when some are left."""
        backlog, clock = self._backlog, self._clock
        until_s = clock() + budget_s
        while backlog:
            self._process(backlog.take(RUN_PACKETS))
            if clock() >= until_s:
                break
        return bool(backlog)

    def _process(self, run: list[Packet]) -> None:
        """Work on some packets of one stream, in the order in which they came."""
        ssrc = run[0].ssrc
        user_id = self._owners.get(ssrc)
        if user_id is None:
            for packet in run:
                self._wait_unknown(packet)
            return
        ears: tuple[HeardSpeaker, Stream, DaveSession | None, int] | None = None
        opened: list[tuple[int, AudioPacket, float]] = []
        now_s = self._clock()
        for packet in run:
            try:
                if self._leaving and self._may_be_anothers(packet, user_id):
                    self._wait_unknown(packet)
                elif not self._included(user_id):
                    self.counters.dropped_excluded += 1
                elif self._discarded and packet.arrived_s <= self._discarded.get(user_id, NEVER_S):
                    self.counters.dropped_withdrawn += 1
                elif (header := packet.header or self._open_transport(packet)) is not None:
                    packet.user_id = user_id
                    if ears is None:
                        speaker = self.speaker(user_id)
                        ears = (speaker, speaker.stream(ssrc), *self._connection.dave())
                    media = self._opener.decrypt(packet, header, *ears[1:])
                    if isinstance(media, Refusal):
                        self._wait_keys(packet, ears[0], media)
                    elif media is not None:
                        audio = AudioPacket(header.timestamp, media, self._samples(packet.arrived_s))
                        opened.append((header.sequence, audio, packet.arrived_s))
            except Exception as error:  # noqa: BLE001 - one bad packet costs 20 ms, never the layer
                survive(self.counters, "packet_failed", error, ssrc=ssrc)
        if ears is not None and opened:
            try:
                ears[0].push(ssrc, opened, now_s)
            except Exception as error:  # noqa: BLE001 - one bad packet costs 20 ms, never the layer
                survive(self.counters, "packet_failed", error, ssrc=ssrc)

    def _may_be_anothers(self, packet: Packet, user_id: int) -> bool:
        """Whether a packet may come from whom the SSRC is given to next: its owner has left, and it is no sequel."""
        if user_id not in self._leaving or packet.header is not None:
            return False
        header = rtp.parse_header(packet.datagram)
        speaker = self._speakers.get(user_id)
        return header is not None and (speaker is None or not speaker.continues(packet.ssrc, header.sequence))

    def _open_transport(self, packet: Packet) -> RtpHeader | None:
        """Take the transport's encryption and padding off; None when the packet is dropped or has to wait."""
        transport = self._connection.transport()
        if transport is None:
            self._wait_unknown(packet)
            return None
        return self._opener.open(packet, *transport)

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
        back = self._leaving.pop(user_id, None) is not None
        self.journal.named(ssrc)
        if not self.ssrcs.assign(ssrc, user_id) and not back:
            return
        self.trouble.claimed(ssrc)
        waiting = self._hold.take_unknown(ssrc) + self._hold.take_refused_of(ssrc)
        self._backlog.push_first(sorted(waiting, key=lambda packet: packet.arrived_s))

    def left(self, user_id: int) -> None:
        """The gateway says a user has left the call. What they said last may still be on its way."""
        if self.ssrcs.ssrcs(user_id):
            self._leaving[user_id] = self._clock() + HOLD_S

    def keys_changed(self) -> None:
        """The gateway brought something that may let held packets be decrypted now."""
        self._backlog.push_first(self._hold.drain())

    def connection_began(self) -> None:
        """Another connection: SSRCs and keys of the last one mean nothing any more."""
        stale = len(self._hold.drain()) + len(self._backlog)
        self._backlog.clear()
        self._leaving.clear()
        self.trouble.connection_began()
        self.journal.connection_began()
        self.counters.dropped_stale += stale
        self.ssrcs.clear()
        for speaker in self._speakers.values():
            speaker.end_stream()

    # -- people -----------------------------------------------------------------------------------------------------

    def speaker(self, user_id: int) -> HeardSpeaker:
        if (speaker := self._speakers.get(user_id)) is None:
            speaker = self._speakers[user_id] = HeardSpeaker(user_id, self._sink, self.counters, self._tap)
        return speaker

    def discard(self, user_id: int) -> None:
        """Forget everything of a user that came until now and waits to be heard: they withdrew, or agree from now on.

        What waits for whose it is, or for the transport's key, is found out to be theirs only later.
        """
        now_s = self._clock()
        self._discarded = {one: at_s for one, at_s in self._discarded.items() if now_s - at_s < DISCARD_KEPT_S}
        self._discarded[user_id] = now_s
        dropped = len(self._hold.take_user(user_id))
        speaker = self._speakers.get(user_id)
        if speaker is not None:
            dropped += speaker.drop()
        dropped += self._backlog.discard(lambda packet: self.ssrcs.user(packet.ssrc) == user_id)
        self.counters.dropped_withdrawn += dropped

    def deaf_to(self) -> list[int]:
        """Included users who talk and of whom nothing can be decrypted."""
        now_s = self._clock()
        cannot = [user_id for user_id, speaker in self._speakers.items() if speaker.cannot_be_decrypted(now_s)]
        return [user_id for user_id in cannot if self._included(user_id)]

    def note_missed(self, datagrams: int) -> None:
        """The system dropped datagrams because they were not read in time."""
        self.counters.missed_socket += datagrams
        self.trouble.too_slow()

    def hears_since(self, since_s: float) -> bool:
        """Whether anybody's packet was decrypted after `since_s` (on the receiver's clock)."""
        return any(speaker.last_voice_s > since_s for speaker in self._speakers.values())

    # -- the timer --------------------------------------------------------------------------------------------------

    def tick(self) -> bool:
        """To be called every 100 ms while it returns True: releases, expires, and notices the end of speech."""
        now_s = self._clock()
        late = now_s - self._ticked_s > STALL_S
        waiting = {self.ssrcs.user(ssrc) for ssrc in self._backlog.ssrcs()}
        self._ticked_s = now_s
        if not late:  # the word that packets wait for may have been waiting, too
            self._hold.expire(now_s)
            self._forget_left(now_s)
        busy = not self._hold.empty or bool(self._backlog) or bool(self._leaving)
        for user_id, speaker in self._speakers.items():
            stalled = late or user_id in waiting
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
        if unknown := packet.refusal is None and not packet.user_id and self.ssrcs.user(packet.ssrc) is None:
            self.trouble.given_up(packet.ssrc, packet.arrived_s)
        self.counters.given_up(packet.refusal, unknown=unknown)

    def _overflowed(self, packet: Packet) -> None:
        """A stream has more waiting than its 1.5 s. Known owners wait for this machine; others wait for the gateway."""
        self.counters.dropped_overflow += 1
        if self.ssrcs.user(packet.ssrc) is None:
            self.trouble.given_up(packet.ssrc, packet.arrived_s)
        elif packet.refusal is None:
            self.trouble.too_slow()

"""Packets of one stream back into the order in which they were sent.

A packet whose predecessor is there passes at once, so reordering costs nothing until it happens. A missing one is
waited for 60 ms and then counted as lost. Only `due` concludes that: packets are taken many at a time, and the missing
one may be the next of them. Clock-free: the caller says what time it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

from . import rtp
from .hold import STREAM_PACKETS

Packet = TypeVar("Packet")

WAIT_S: Final = 0.060
MAX_JUMP: Final = 50
"""Packets. Further off is another beginning, not a gap: the sender restarted, or was away."""
MAX_WAITING: Final = STREAM_PACKETS
"""Packets that wait for a missing one: as many as a stream may have waiting elsewhere."""
_MASK: Final = (1 << 16) - 1


class Released(NamedTuple, Generic[Packet]):
    packet: Packet
    lost_before: int
    """How many packets are missing between this one and the one released before it."""
    fresh: bool
    """True for the first packet of a stream or after a jump: nothing relates it to what came before."""


@dataclass(slots=True)
class JitterCounters:
    lost: int = 0
    late: int = 0
    duplicate: int = 0
    stray: int = 0
    resyncs: int = 0


class JitterBuffer(Generic[Packet]):
    """At most `MAX_WAITING` packets wait, each at most `WAIT_S` and until `due` is asked next."""

    def __init__(self, counters: JitterCounters | None = None) -> None:
        self.counters = counters if counters is not None else JitterCounters()
        self._waiting: dict[int, tuple[float, Packet]] = {}
        self._next: int | None = None
        """Unwrapped sequence number of the packet to release next; None until the first is out."""
        self._newest = 0
        self._outlier: tuple[int, float, Packet] | None = None
        self._began = False

    def __len__(self) -> int:
        return len(self._waiting) + (self._outlier is not None)

    def passes(self, sequence: int) -> bool:
        """Whether a packet comes in order and nothing waits, as with nearly all: it is not kept then, and is next."""
        expected = self._next
        if expected is None or sequence != expected & _MASK or self._waiting or self._outlier is not None:
            return False
        self._newest, self._next = expected, expected + 1
        return True

    def push(self, sequence: int, packet: Packet, now_s: float) -> list[Released[Packet]]:
        """Take a packet of 16-bit `sequence` and return what is in order now. `now_s` is when it arrived."""
        if self.passes(sequence):
            return [Released(packet, 0, False)]
        if not self._began:
            self._begin(sequence)
        unwrapped = self._unwrap(sequence)
        if self._is_far(unwrapped):
            return self._jumped(sequence, packet, now_s)
        if self._outlier is not None:
            self._outlier = None
            self.counters.stray += 1
        if self._next is not None and unwrapped < self._next:
            self.counters.late += 1
            return []
        if unwrapped in self._waiting:
            self.counters.duplicate += 1
            return []
        self._waiting[unwrapped] = (now_s, packet)
        self._newest = max(self._newest, unwrapped)
        return self._in_order()

    def continues(self, sequence: int) -> bool:
        """Whether this number lies near those that came before."""
        return self._began and abs(self._unwrap(sequence) - self._newest) <= MAX_JUMP

    def due(self, now_s: float) -> list[Released[Packet]]:
        """What has waited long enough at `now_s` for what is missing. To be asked when all that came until then was
        pushed."""
        out: list[Released[Packet]] = []
        while self._waiting and now_s - min(since for since, _ in self._waiting.values()) >= WAIT_S:
            self._release(min(self._waiting), out)
            out += self._in_order()
        if self._outlier is not None and now_s - self._outlier[1] >= WAIT_S:
            sequence, since, packet = self._outlier
            out += self._restart(sequence, [(sequence, since, packet)])
            out += self.flush()
        return out

    def flush(self) -> list[Released[Packet]]:
        """Everything that waits, at once."""
        out: list[Released[Packet]] = []
        for unwrapped in sorted(self._waiting):
            self._release(unwrapped, out)
        return out

    def drop(self) -> int:
        """Forget everything that waits, and the stream; returns how many packets that were."""
        count = len(self)
        self._waiting.clear()
        self._outlier = None
        self._next = None
        self._began = False
        return count

    def _begin(self, sequence: int) -> None:
        self._began = True
        self._next = None
        self._newest = (1 << 16) + sequence  # room to unwrap downwards

    def _unwrap(self, sequence: int) -> int:
        return self._newest + rtp.after(sequence, self._newest, rtp.HALF_SEQUENCE)

    def _is_far(self, unwrapped: int) -> bool:
        """Whether a number lies near none from the oldest that is waited for, or waits, to the newest."""
        oldest = self._next if self._next is not None else min(self._waiting, default=self._newest)
        return not oldest - MAX_JUMP <= unwrapped <= self._newest + MAX_JUMP

    def _in_order(self) -> list[Released[Packet]]:
        out: list[Released[Packet]] = []
        while self._waiting:
            if self._next in self._waiting:
                self._release(self._next, out)
            elif len(self._waiting) > MAX_WAITING:
                self._release(min(self._waiting), out)
            else:
                break
        return out

    def _release(self, unwrapped: int, out: list[Released[Packet]]) -> None:
        lost = 0 if self._next is None else unwrapped - self._next
        self.counters.lost += lost
        packet = self._waiting.pop(unwrapped)[1]
        out.append(Released(packet, lost, self._next is None))
        self._next = unwrapped + 1

    def _jumped(self, sequence: int, packet: Packet, now_s: float) -> list[Released[Packet]]:
        """A lone far packet is a stray; a second one beside it is the stream, gone elsewhere."""
        if self._outlier is None:
            self._outlier = (sequence, now_s, packet)
            return []
        first, since, earlier = self._outlier
        apart = rtp.after(sequence, first, rtp.HALF_SEQUENCE)
        if apart == 0:
            self.counters.duplicate += 1
            return []
        if abs(apart) > MAX_JUMP:
            self.counters.stray += 1
            self._outlier = (sequence, now_s, packet)
            return []
        return self._restart(first, [(first, since, earlier), (sequence, now_s, packet)])

    def _restart(self, sequence: int, packets: list[tuple[int, float, Packet]]) -> list[Released[Packet]]:
        out = self.flush()
        self.counters.resyncs += 1
        self._outlier = None
        self._begin(sequence)
        for number, since, packet in packets:
            unwrapped = self._unwrap(number)
            self._waiting[unwrapped] = (since, packet)
            self._newest = max(self._newest, unwrapped)
        return out

"""Packets that cannot be heard yet: nobody has told whose SSRC it is, or the keys of a new epoch are still on the way.

Packets overtake the gateway's word about them. They wait for it for at most 1.5 s. The bound is one of each stream, so
that many people who wait at once take nothing from each other. Packets of an unknown sender wait as they came,
undecrypted. A flood under made-up SSRCs brings one packet for each; such lone packets are the first to go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from . import rtp
from .dave import Refusal
from .rtp import RtpHeader

HOLD_S: Final = 1.5
STREAM_PACKETS: Final = 150
"""Of one stream: 1.5 s of the shortest packets that clients send (10 ms), 3 s of Discord's usual ones."""
MAX_STREAMS: Final = 1_024
"""Unknown SSRCs of which something waits at once."""


@dataclass(slots=True, eq=False)
class Packet:
    """A packet on its way: the datagram as it came or, once the transport is off, the header and its payload."""

    arrived_s: float
    ssrc: int
    datagram: bytes
    header: RtpHeader | None = None
    payload: bytes = b""
    user_id: int = 0
    refusal: Refusal | None = None
    waited: bool = False

    @property
    def sequence(self) -> int:
        """The number that its sender gave it, 16 bits."""
        return rtp.sequence_of(self.datagram) if self.header is None else self.header.sequence

    def ahead_of(self, other: Packet) -> int:
        """How many numbers after `other` it was sent; below 0 when it was before."""
        return rtp.after(self.sequence, other.sequence, rtp.HALF_SEQUENCE)


class Hold:
    """Two waiting rooms, both with a bound for each stream. `expired` and `overflowed` get the packets given up."""

    def __init__(self, expired: Callable[[Packet], None], overflowed: Callable[[Packet], None]) -> None:
        self._expired = expired
        self._overflowed = overflowed
        self._unknown: dict[int, deque[Packet]] = {}
        """By SSRC."""
        self._lone: dict[int, None] = {}
        """SSRCs of which one packet waits, oldest first."""
        self._refused: dict[int, deque[Packet]] = {}
        """By user: packets that wait for keys."""

    def __len__(self) -> int:
        rooms = (self._unknown, self._refused)
        return sum(len(packets) for room in rooms for packets in room.values())

    @property
    def empty(self) -> bool:
        return not self._unknown and not self._refused

    def holds_for(self, user_id: int) -> bool:
        """Whether packets of this user wait for keys."""
        return user_id in self._refused

    def add_unknown(self, packet: Packet) -> None:
        """Keep a packet until somebody says whose SSRC it is."""
        waiting = self._unknown.get(packet.ssrc)
        if waiting is None:
            if len(self._unknown) >= MAX_STREAMS:
                self._overflowed(self._pop_unknown(next(iter(self._lone or self._unknown))))
            self._unknown[packet.ssrc] = deque((packet,))
            self._lone[packet.ssrc] = None
            return
        if len(waiting) >= STREAM_PACKETS:
            self._overflowed(waiting.popleft())
        waiting.append(packet)
        self._lone.pop(packet.ssrc, None)

    def add_refused(self, packet: Packet) -> None:
        """Keep a packet that DAVE could not decrypt until the gateway brings other keys."""
        waiting = self._refused.setdefault(packet.user_id, deque())
        if len(waiting) >= STREAM_PACKETS:
            self._overflowed(waiting.popleft())
        waiting.append(packet)

    def take_unknown(self, ssrc: int) -> list[Packet]:
        """All packets of an SSRC, in order: its owner is known now."""
        self._lone.pop(ssrc, None)
        return list(self._unknown.pop(ssrc, ()))

    def take_all_unknown(self) -> list[Packet]:
        """All packets of all unknown SSRCs."""
        return [packet for ssrc in list(self._unknown) for packet in self.take_unknown(ssrc)]

    def take_refused(self) -> list[Packet]:
        """All packets that wait for keys, each user's in order."""
        packets = [packet for waiting in self._refused.values() for packet in waiting]
        self._refused.clear()
        return packets

    def take_user(self, user_id: int) -> list[Packet]:
        """All packets of a user that wait for keys."""
        return list(self._refused.pop(user_id, ()))

    def take_refused_of(self, ssrc: int) -> list[Packet]:
        """All packets of an SSRC that wait for keys: it turned out to be another person's."""
        taken = []
        for user_id, waiting in list(self._refused.items()):
            mine = [packet for packet in waiting if packet.ssrc == ssrc]
            if not mine:
                continue
            taken += mine
            rest = deque(packet for packet in waiting if packet.ssrc != ssrc)
            if rest:
                self._refused[user_id] = rest
            else:
                del self._refused[user_id]
        return taken

    def expire(self, now_s: float) -> None:
        """Give up what has waited for `HOLD_S`."""
        until = now_s - HOLD_S
        for user_id, waiting in list(self._refused.items()):
            while waiting and waiting[0].arrived_s <= until:
                self._expired(waiting.popleft())
            if not waiting:
                del self._refused[user_id]
        for ssrc in [ssrc for ssrc, packets in self._unknown.items() if packets[0].arrived_s <= until]:
            while ssrc in self._unknown and self._unknown[ssrc][0].arrived_s <= until:
                self._expired(self._pop_unknown(ssrc))

    def drain(self) -> list[Packet]:
        """Everything; the hold is empty afterwards."""
        return self.take_refused() + self.take_all_unknown()

    def _pop_unknown(self, ssrc: int) -> Packet:
        packets = self._unknown[ssrc]
        packet = packets.popleft()
        self._lone.pop(ssrc, None)
        if not packets:
            del self._unknown[ssrc]
        elif len(packets) == 1:
            self._lone[ssrc] = None
        return packet

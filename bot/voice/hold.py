"""Packets that cannot be heard yet: whose SSRC nobody has told, or whose epoch's keys are still on the way.

Packets overtake the gateway's word about them. They wait for it, at most 1.5 s and 2,000 of them; those of an unknown
sender wait as they came, undecrypted. A flood under made-up SSRCs brings one packet for each, and lone packets are the
first to go, so it does not push out a real newcomer's.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from .dave import Refusal
from .rtp import RtpHeader

HOLD_S: Final = 1.5
HOLD_PACKETS: Final = 2_000


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


class Hold:
    """Two waiting rooms with one bound. `dropped` is told of each packet that is given up."""

    def __init__(self, expired: Callable[[Packet], None], overflowed: Callable[[Packet], None]) -> None:
        self._expired = expired
        self._overflowed = overflowed
        self._unknown: dict[int, deque[Packet]] = {}
        self._lone: dict[int, None] = {}
        """SSRCs of which one packet waits, oldest first."""
        self._unknown_count = 0
        self._dave: deque[Packet] = deque()
        self._dave_of: Counter[int] = Counter()

    def __len__(self) -> int:
        return self._unknown_count + len(self._dave)

    def holds_for(self, user_id: int) -> bool:
        """Whether packets of this user wait for keys."""
        return self._dave_of[user_id] > 0

    def add_unknown(self, packet: Packet) -> None:
        """Keep a packet until somebody says whose SSRC it is."""
        self._make_room()
        waiting = self._unknown.get(packet.ssrc)
        if waiting is None:
            self._unknown[packet.ssrc] = deque((packet,))
            self._lone[packet.ssrc] = None
        else:
            waiting.append(packet)
            self._lone.pop(packet.ssrc, None)
        self._unknown_count += 1

    def add_refused(self, packet: Packet) -> None:
        """Keep a packet that DAVE could not decrypt until the gateway brings other keys."""
        self._make_room()
        self._dave.append(packet)
        self._dave_of[packet.user_id] += 1

    def take_unknown(self, ssrc: int) -> list[Packet]:
        """All packets of an SSRC, in order: its owner is known now."""
        packets = self._unknown.pop(ssrc, None)
        self._lone.pop(ssrc, None)
        if packets is None:
            return []
        self._unknown_count -= len(packets)
        return list(packets)

    def take_all_unknown(self) -> list[Packet]:
        """All packets of all unknown SSRCs."""
        return [packet for ssrc in list(self._unknown) for packet in self.take_unknown(ssrc)]

    def take_refused(self) -> list[Packet]:
        """All packets that wait for keys, in order."""
        packets = list(self._dave)
        self._dave.clear()
        self._dave_of.clear()
        return packets

    def take_user(self, user_id: int) -> list[Packet]:
        """All packets of a user that wait for keys."""
        mine = [packet for packet in self._dave if packet.user_id == user_id]
        if mine:
            self._dave = deque(packet for packet in self._dave if packet.user_id != user_id)
            del self._dave_of[user_id]
        return mine

    def expire(self, now_s: float) -> None:
        """Give up what has waited for `HOLD_S`."""
        until = now_s - HOLD_S
        while self._dave and self._dave[0].arrived_s <= until:
            self._expired(self._pop_refused())
        for ssrc in [ssrc for ssrc, packets in self._unknown.items() if packets[0].arrived_s <= until]:
            while ssrc in self._unknown and self._unknown[ssrc][0].arrived_s <= until:
                self._expired(self._pop_unknown(ssrc))

    def drain(self) -> Iterator[Packet]:
        """Everything, oldest first within its room; the hold is empty afterwards."""
        yield from self.take_refused()
        yield from self.take_all_unknown()

    def _make_room(self) -> None:
        if len(self) < HOLD_PACKETS:
            return
        if self._lone:
            self._overflowed(self._pop_unknown(next(iter(self._lone))))
        elif self._unknown:
            self._overflowed(self._pop_unknown(next(iter(self._unknown))))
        else:
            self._overflowed(self._pop_refused())

    def _pop_unknown(self, ssrc: int) -> Packet:
        packets = self._unknown[ssrc]
        packet = packets.popleft()
        self._unknown_count -= 1
        self._lone.pop(ssrc, None)
        if not packets:
            del self._unknown[ssrc]
        elif len(packets) == 1:
            self._lone[ssrc] = None
        return packet

    def _pop_refused(self) -> Packet:
        packet = self._dave.popleft()
        self._dave_of[packet.user_id] -= 1
        if not self._dave_of[packet.user_id]:
            del self._dave_of[packet.user_id]
        return packet

"""Packets whose owner is known and that wait to be worked on, in the order in which they came.

The bound is one of each stream: a machine that is busy for a moment loses nobody's words because many people talk, and
one stream that floods takes nothing from the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from .hold import STREAM_PACKETS, Packet


class Backlog:
    def __init__(self) -> None:
        self._packets: deque[Packet] = deque()
        self._of: dict[int, int] = {}
        """How many wait, by SSRC."""

    def __len__(self) -> int:
        return len(self._packets)

    def push(self, packet: Packet) -> bool:
        """Take a packet; False when its stream has as many waiting as it may."""
        waiting = self._of.get(packet.ssrc, 0)
        if waiting >= STREAM_PACKETS:
            return False
        self._of[packet.ssrc] = waiting + 1
        self._packets.append(packet)
        return True

    def push_first(self, packets: Iterable[Packet]) -> None:
        """Put packets that waited elsewhere before all others, in their order."""
        earlier = list(packets)
        self._packets.extendleft(reversed(earlier))
        for packet in earlier:
            self._of[packet.ssrc] = self._of.get(packet.ssrc, 0) + 1

    def pop(self) -> Packet:
        """The oldest packet. Raises IndexError when there is none."""
        packet = self._packets.popleft()
        self._of[packet.ssrc] -= 1
        if not self._packets:
            self._of.clear()
        return packet

    def discard(self, unwanted: Callable[[Packet], bool]) -> int:
        """Forget packets; returns how many they were."""
        kept = [packet for packet in self._packets if not unwanted(packet)]
        gone = len(self._packets) - len(kept)
        self.clear()
        self.push_first(kept)
        return gone

    def clear(self) -> None:
        self._packets.clear()
        self._of.clear()

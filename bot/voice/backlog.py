"""Packets whose owner is known and that wait to be worked on: each stream's in the order in which they were sent.

Those that one overtook are put back behind it before anything is decrypted: of what one key has sealed, davey opens
nothing that was sent before the first packet that it opened.

A stream's packets are taken several at a time: what is looked up for them is looked up once, and the decoder's memory
is still at hand for the second one. The bound is one of each stream: a machine that is busy for a moment loses nobody's
words because many people talk, and one stream that floods takes nothing from the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from .hold import STREAM_PACKETS, Packet
from .jitter import MAX_JUMP


class Backlog:
    def __init__(self) -> None:
        self._streams: dict[int, deque[Packet]] = {}
        """By SSRC, the one whose turn is next first; none is empty."""

    def __len__(self) -> int:
        return sum(map(len, self._streams.values()))

    def __bool__(self) -> bool:
        return bool(self._streams)

    def ssrcs(self) -> Iterable[int]:
        """Of what streams something waits."""
        return self._streams.keys()

    def push(self, packet: Packet) -> bool:
        """Take a packet; False when its stream has as many waiting as it may."""
        waiting = self._streams.get(packet.ssrc)
        if waiting is None:
            self._streams[packet.ssrc] = deque((packet,))
            return True
        if len(waiting) >= STREAM_PACKETS:
            return False
        _put_in_order(waiting, packet)
        return True

    def push_first(self, packets: Iterable[Packet]) -> None:
        """Put packets that waited elsewhere before all others of their streams, in their order."""
        first: dict[int, deque[Packet]] = {}
        for packet in packets:
            _put_in_order(first.setdefault(packet.ssrc, deque()), packet)
        for ssrc, waiting in first.items():
            for packet in self._streams.get(ssrc, ()):
                _put_in_order(waiting, packet)
            self._streams[ssrc] = waiting

    def take(self, most: int) -> list[Packet]:
        """The oldest packets of the stream whose turn it is; empty when there are none. Its turn lasts until nothing of
        it waits, so that somebody's old stream comes to its end before their new one begins."""
        for ssrc, waiting in self._streams.items():
            if len(waiting) > most:
                return [waiting.popleft() for _ in range(most)]
            del self._streams[ssrc]
            return list(waiting)
        return []

    def discard(self, unwanted: Callable[[Packet], bool]) -> int:
        """Forget packets; returns how many they were."""
        before, streams = len(self), self._streams
        self._streams = {}
        for ssrc, waiting in streams.items():
            if kept := deque(packet for packet in waiting if not unwanted(packet)):
                self._streams[ssrc] = kept
        return before - len(self)

    def clear(self) -> None:
        self._streams.clear()


def _put_in_order(waiting: deque[Packet], packet: Packet) -> None:
    """Put a packet behind the last one that was not sent after it. One that is far from it is another beginning."""
    place = len(waiting)
    while place and 0 < waiting[place - 1].ahead_of(packet) <= MAX_JUMP:
        place -= 1
    waiting.insert(place, packet)

"""Signs that people talk and are not heard, other than keys: nobody named them, or this machine is too busy.

Discord names the owner of a stream once (op 5), and that word can be missed. One packet without an owner is an
accident. Many of one SSRC, over a second, are a person whom the bot cannot place. Bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

UNPLACED_PACKETS: Final = 25
UNPLACED_S: Final = 1.0
"""So many packets of one SSRC over so long had no owner: somebody talks who cannot be placed."""
OVERLOAD_SHOWN_S: Final = 10.0
"""For so long after a loss of its own making the machine counts as too busy."""
_RECENT_S: Final = 3.0
_MAX_SSRCS: Final = 64


@dataclass(slots=True)
class _Stream:
    first_s: float
    last_s: float
    packets: int = 0


class Trouble:
    """What the receiver saw lately; the supervisor asks."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._unclaimed: dict[int, _Stream] = {}
        self._overloaded_s = float("-inf")

    def given_up(self, ssrc: int, arrived_s: float) -> None:
        """A packet of this SSRC was dropped for want of an owner. One that had to go at once was part of a flood: no
        person sends so many."""
        now_s = self._clock()
        if now_s - arrived_s < UNPLACED_S:
            return
        stream = self._unclaimed.get(ssrc)
        if stream is None or now_s - stream.last_s > _RECENT_S:
            self._unclaimed.pop(ssrc, None)
            if len(self._unclaimed) >= _MAX_SSRCS:
                del self._unclaimed[next(iter(self._unclaimed))]
            stream = self._unclaimed[ssrc] = _Stream(now_s, now_s)
        stream.last_s = now_s
        stream.packets += 1

    def claimed(self, ssrc: int) -> None:
        """The gateway named the owner of an SSRC."""
        self._unclaimed.pop(ssrc, None)

    def connection_began(self) -> None:
        self._unclaimed.clear()

    @property
    def someone_unplaced(self) -> bool:
        """Whether somebody talks now whom the gateway has never named."""
        now_s = self._clock()
        return any(
            stream.packets >= UNPLACED_PACKETS
            and stream.last_s - stream.first_s >= UNPLACED_S
            and now_s - stream.last_s < _RECENT_S
            for stream in self._unclaimed.values()
        )

    def too_slow(self) -> None:
        """Something was lost because this machine did not get to it in time."""
        self._overloaded_s = self._clock()

    @property
    def overloaded(self) -> bool:
        """Whether this machine was lately too busy to hear everybody."""
        return self._clock() - self._overloaded_s < OVERLOAD_SHOWN_S

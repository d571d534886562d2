"""Who spoke what, who heard what, and what became of the rest: the bookkeeping of the soak, without clock or network.

Every packet carries its own number in Opus padding, which decoders skip: it makes each one of a kind, so that a frame
that is heard is either the very one that was spoken, or wrong.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

_CODE_3: Final = 3
_ONE_PADDED_FRAME: Final = 0x41
NUMBER_BYTES: Final = 8


def numbered(packet: bytes, number: int) -> bytes:
    """The same Opus packet with `number` in its padding (RFC 6716, section 3.2.5).

    Raises:
        ValueError: the packet does not hold exactly one frame, plainly.
    """
    if not packet or packet[0] & 3:
        raise ValueError("not a packet of one frame")
    header = bytes((packet[0] | _CODE_3, _ONE_PADDED_FRAME, NUMBER_BYTES))
    return header + packet[1:] + number.to_bytes(NUMBER_BYTES, "big")


def number_of(packet: bytes) -> int | None:
    """The number in a packet's padding; None when it has none, as silence."""
    if len(packet) < 3 + NUMBER_BYTES or packet[0] & 3 != _CODE_3 or packet[1] != _ONE_PADDED_FRAME:
        return None
    return int.from_bytes(packet[-NUMBER_BYTES:], "big")


@dataclass(slots=True, kw_only=True)
class _Spoken:
    packet: bytes
    at_s: float
    on_wire: tuple[int, int]
    """SSRC and sequence number, by which the wire remembers what it took."""


class Ledger:
    """Frames on their way, and the sums of those that arrived or did not."""

    def __init__(self) -> None:
        self.sums: Counter[str] = Counter()
        self._pending: dict[int, dict[int, _Spoken]] = {}
        self._last: dict[int, int] = {}
        self._away: list[tuple[float, float]] = []
        self._away_since: float | None = None

    def spoke(self, user_id: int, packet: bytes, on_wire: tuple[int, int], at_s: float) -> None:
        number = number_of(packet)
        if number is not None:
            self.sums["spoken"] += 1
            self._pending.setdefault(user_id, {})[number] = _Spoken(packet=packet, at_s=at_s, on_wire=on_wire)

    def heard(self, user_id: int, packet: bytes) -> None:
        """A frame came out: right when it is the very one that was spoken, in order and for the first time."""
        number = number_of(packet)
        if number is None:
            return
        self.sums["received"] += 1
        spoken = self._pending.get(user_id, {}).pop(number, None)
        if spoken is None or spoken.packet != packet or number <= self._last.get(user_id, -1):
            self.sums["wrong"] += 1
        self._last[user_id] = max(number, self._last.get(user_id, -1))

    def away(self, at_s: float) -> None:
        """The bot's connection is being cut: what is spoken until `back` may be missed."""
        if self._away_since is None:
            self._away_since = at_s

    def back(self, at_s: float) -> None:
        if self._away_since is not None:
            self._away.append((self._away_since, at_s))
            self._away_since = None

    def settle(self, lost_on_wire: set[tuple[int, int]], before_s: float) -> None:
        """Say of each frame spoken before `before_s` and not heard what became of it."""
        for pending in self._pending.values():
            for number in [number for number, spoken in pending.items() if spoken.at_s < before_s]:
                spoken = pending.pop(number)
                if spoken.on_wire in lost_on_wire:
                    self.sums["lost_on_wire"] += 1
                elif self._was_away(spoken.at_s):
                    self.sums["missed_while_reconnecting"] += 1
                else:
                    self.sums["unexplained"] += 1
        self._away = [(begin, end) for begin, end in self._away if end > before_s - 60.0]

    def _was_away(self, at_s: float) -> bool:
        if self._away_since is not None and at_s >= self._away_since:
            return True
        return any(begin <= at_s <= end for begin, end in self._away)

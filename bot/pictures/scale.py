"""A time axis: where a second lies, which windows share a cell, and where the ticks are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from storage.records import WindowRecord

MIN_CELL_PX: Final = 2.5
_WINDOW_S: Final = 3.0
_SLOTS_S: Final = (6, 10, 15, 20, 30, 60, 120, 300, 600, 1200)
_TICKS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    x: float
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    from_s: float
    to_s: float
    x: float
    width: float

    def at(self, seconds: float) -> float:
        share = (seconds - self.from_s) / (self.to_s - self.from_s)
        return self.x + min(1.0, max(0.0, share)) * self.width

    @property
    def px_per_s(self) -> float:
        return self.width / (self.to_s - self.from_s)


def slot_seconds(scale: Scale) -> float | None:
    """How many seconds share a cell, so that none is thinner than 2.5 px; None when every window has its own."""
    if _WINDOW_S * scale.px_per_s >= MIN_CELL_PX:
        return None
    return next((float(slot) for slot in _SLOTS_S if slot * scale.px_per_s >= MIN_CELL_PX), float(_SLOTS_S[-1]))


def groups_of(windows: Sequence[WindowRecord], slot_s: float | None) -> list[list[WindowRecord]]:
    """Windows that share a cell: each alone, or those whose middle lies in the same slot."""
    if slot_s is None:
        return [[window] for window in windows]
    slots: dict[int, list[WindowRecord]] = defaultdict(list)
    for window in windows:
        slots[int((window.start_s + window.end_s) / 2 // slot_s)].append(window)
    return [slots[index] for index in sorted(slots)]


def ticks_of(scale: Scale) -> tuple[Tick, ...]:
    step = next((s for s in _TICKS_S if s * scale.px_per_s >= 64), _TICKS_S[-1])
    first = int(-(-scale.from_s // step)) * step
    last = int(scale.to_s)
    return tuple(Tick(x=scale.at(at), at_s=float(at)) for at in range(first, last + 1, step))

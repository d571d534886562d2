"""A speaker's windows in stretches of equal length: what a picture shows where single windows would be too thin."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from storage.records import WindowRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """What was heard in one stretch."""

    shares: Mapping[str, float]
    """Clear speech by emotion, as shares of the whole stretch's length."""
    unclear: float
    """Unclear speech, likewise; shares and unclear sum to at most 1, the rest is silence."""


def bins_of(windows: Iterable[WindowRecord], *, from_s: float, to_s: float, count: int) -> tuple[Bin, ...]:
    """`count` stretches between two times. A window that crosses a border counts on both sides, each by its part."""
    width_s = (to_s - from_s) / count
    clear: list[dict[str, float]] = [defaultdict(float) for _ in range(count)]
    unclear = [0.0] * count
    for window in windows:
        first = max(0, int((window.start_s - from_s) // width_s))
        last = min(count - 1, int((window.end_s - from_s) // width_s))
        for index in range(first, last + 1):
            left_s = from_s + index * width_s
            part_s = min(window.end_s, left_s + width_s) - max(window.start_s, left_s)
            if part_s <= 0:
                continue
            if window.unclear:
                unclear[index] += part_s / width_s
            else:
                clear[index][window.emotion] += part_s / width_s
    return tuple(Bin(shares=dict(c), unclear=u) for c, u in zip(clear, unclear, strict=True))

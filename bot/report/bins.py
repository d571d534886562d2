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
        start_s, end_s = window.start_s - from_s, window.end_s - from_s
        first, last = int(start_s // width_s), int(end_s // width_s)
        if first == last and 0 <= first < count:  # most windows: two hours of talk have thousands
            parts: tuple[tuple[int, float], ...] = ((first, end_s - start_s),)
        else:
            parts = tuple(
                (index, min(end_s, (index + 1) * width_s) - max(start_s, index * width_s))
                for index in range(max(0, first), min(count - 1, last) + 1)
            )
        for index, part_s in parts:
            if part_s <= 0:
                continue
            if window.unclear:
                unclear[index] += part_s / width_s
            else:
                clear[index][window.emotion] += part_s / width_s
    return tuple(Bin(shares=dict(c), unclear=u) for c, u in zip(clear, unclear, strict=True))

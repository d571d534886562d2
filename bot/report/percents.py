"""Shares as whole percents that sum to 100. Pure."""

from __future__ import annotations

from collections.abc import Mapping


def whole_percents(shares: Mapping[str, float], unclear_share: float) -> list[tuple[str | None, int]]:
    """Percents of the whole talk time, in the order of `shares`, with what was unclear (None) at the end.

    `shares` are of the clear part and sum to 1. Each is rounded down, and the points that are left go to those that
    lost most by it (the largest remainder method).
    """
    exact = [(label, 100 * share * (1 - unclear_share)) for label, share in shares.items()]
    parts: list[tuple[str | None, float]] = [*exact, (None, 100 * unclear_share)]
    floors = [int(value + 1e-9) for _, value in parts]
    by_remainder = sorted(range(len(parts)), key=lambda i: floors[i] - parts[i][1])
    for i in by_remainder[: 100 - sum(floors)]:
        floors[i] += 1
    return [(label, floor) for (label, _), floor in zip(parts, floors, strict=True)]

"""One speaker's probabilities over time, laid out: a stepped line a label, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bot.pictures.palette import in_order
from bot.pictures.scale import Scale, Tick, groups_of, slot_seconds, ticks_of
from storage.records import WindowRecord

_LINE_BREAK_S: Final = 0.5
"""Silence longer than this breaks a probability line: nothing was said, so nothing is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ridge:
    """One label's probability over time."""

    label: str
    y: float
    height: float
    lines: tuple[tuple[tuple[float, float], ...], ...]
    """Stretches of points (x, y) without a break."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ridges:
    width: float
    height: float
    plot_x: float
    plot_width: float
    ridges: tuple[Ridge, ...]
    unclear: tuple[tuple[float, float], ...]
    """Stretches (x, width) in which the answer was unclear."""
    ticks: tuple[Tick, ...]
    bottom: float


def ridges(
    windows: Sequence[WindowRecord],
    labels: Sequence[str],
    *,
    width: float,
    from_s: float,
    to_s: float,
    gutter: float = 150.0,
    ridge_height: float = 40.0,
    ridge_gap: float = 14.0,
    name_height: float = 18.0,
    axis_height: float = 26.0,
) -> Ridges:
    """One speaker's probabilities: a stepped line a label, a step a window, 0 to 1 upwards, above one time axis."""
    above = name_height if gutter == 0 else 0.0
    step = above + ridge_height + ridge_gap
    scale = Scale(from_s=from_s, to_s=to_s, x=gutter, width=width - gutter - 2)
    shown = [window for window in windows if window.end_s > from_s and window.start_s < to_s]
    slot_s = slot_seconds(scale)
    groups = groups_of(shown, slot_s)
    found = []
    for index, label in enumerate(in_order(list(labels))):
        y = 4 + above + index * step
        lines: list[list[tuple[float, float]]] = []
        last_s = float("-inf")
        for group in groups:
            weight = sum(w.end_s - w.start_s for w in group) or 1.0
            share = sum(w.probabilities.get(label, 0.0) * (w.end_s - w.start_s) for w in group) / weight
            top = y + ridge_height * (1 - min(1.0, max(0.0, share)))
            if group[0].start_s - last_s > (slot_s or _LINE_BREAK_S):
                lines.append([])
            lines[-1] += [(scale.at(group[0].start_s), top), (scale.at(group[-1].end_s), top)]
            last_s = group[-1].end_s
        found.append(Ridge(label=label, y=y, height=ridge_height, lines=tuple(tuple(line) for line in lines)))
    bottom = 4 + len(found) * step - ridge_gap
    return Ridges(
        width=width,
        height=bottom + axis_height,
        plot_x=gutter,
        plot_width=scale.width,
        ridges=tuple(found),
        unclear=tuple(
            (scale.at(g[0].start_s), scale.at(g[-1].end_s) - scale.at(g[0].start_s))
            for g in groups
            if all(w.unclear for w in g)
        ),
        ticks=ticks_of(scale),
        bottom=bottom,
    )

"""A speaker's talk as smooth bands, for stretches too long for single windows; as the page's own `bands.js` draws them.

The height says how much was spoken, the parts how much of it sounded like what. Letters stand where a band is thick
enough, so that a print without colours can be read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final

from bot.pictures.geometry import Strip
from bot.pictures.palette import UNCLEAR, in_order, tone
from bot.report.bins import Bin, bins_of
from storage.records import SessionReport

BIN_PX: Final = 4.0
_SPREAD_BINS: Final = 1.6
_REACH_BINS: Final = 5
_THINNEST_PX: Final = 2.0
_LEAST_SHARE: Final = 0.004
_LEAST_PX: Final = 0.4
_LETTER_PX: Final = 15.0
_LETTERS_APART_PX: Final = 110.0
_LETTER_BINS: Final = 2
"""So many from an end a letter is whole."""
_MOST_LETTERS: Final = 6
_KERNEL: Final = [math.exp(-((k / _SPREAD_BINS) ** 2) / 2) for k in range(-_REACH_BINS, _REACH_BINS + 1)]

Flow = dict[str, list[float]]
"""For each label, and for what was unclear, the share of each bin."""


def bands_of(report: SessionReport, strip: Strip, *, ident: str) -> dict[int, str]:
    """For each participant the bands of their row, as SVG."""
    count = max(8, round(strip.plot_width / BIN_PX))
    labels = [*in_order(list(report.session.labels)), UNCLEAR]
    flows = {
        person.participant.id: _flow(bins_of(person.windows, from_s=strip.from_s, to_s=strip.to_s, count=count), labels)
        for person in report.participants
    }
    totals = sorted(total for flow in flows.values() for total in map(sum, zip(*flow.values(), strict=True)) if total)
    most = totals[int(0.9 * (len(totals) - 1))] if totals else 1.0
    xs = [strip.plot_x + (k + 0.5) / count * strip.plot_width for k in range(count)]
    return {
        row.participant_id: _row(flows[row.participant_id], xs, row.y + 1, row.height - 2, most, ident)
        for row in strip.rows
    }


def _flow(bins: Sequence[Bin], labels: Sequence[str]) -> Flow:
    return {
        label: _smooth([one.unclear if label == UNCLEAR else one.shares.get(label, 0.0) for one in bins])
        for label in labels
    }


def _smooth(values: Sequence[float]) -> list[float]:
    padded = [0.0] * _REACH_BINS + list(values) + [0.0] * _REACH_BINS
    weight = sum(_KERNEL)
    return [
        sum(k * value for k, value in zip(_KERNEL, padded[at : at + len(_KERNEL)], strict=True)) / weight
        for at in range(len(values))
    ]


def _row(
    flow: Mapping[str, Sequence[float]], xs: Sequence[float], top: float, height: float, most: float, ident: str
) -> str:
    totals = [sum(parts) for parts in zip(*flow.values(), strict=True)]
    full = [
        max(_THINNEST_PX, min(1.0, math.sqrt(total / most)) * height) if total > _LEAST_SHARE else 0.0
        for total in totals
    ]
    parts = [
        [full[k] * column[k] / totals[k] if totals[k] else 0.0 for k in range(len(xs))] for column in flow.values()
    ]
    above = [top + (height - whole) / 2 for whole in full]
    edges = list(
        accumulate(parts, lambda upper, part: [u + p for u, p in zip(upper, part, strict=True)], initial=above)
    )
    drawn = []
    for label, upper, lower in zip(flow, edges, edges[1:], strict=False):
        if max(low - up for low, up in zip(lower, upper, strict=True)) < _LEAST_PX:
            continue
        there, back = _line(xs, upper), _line(list(reversed(xs)), list(reversed(lower)))
        look = (
            f'class="hatched" fill="url(#{ident}-hatch)"'
            if label == UNCLEAR
            else f'class="area {tone(label).css_class}"'
        )
        drawn.append(f'<path {look} d="M{there}L{back}z"/>')
        if label != UNCLEAR:
            drawn += _letters(label, xs, upper, lower)
    return f'<g class="bands">{"".join(drawn)}</g>'


def _letters(label: str, xs: Sequence[float], upper: Sequence[float], lower: Sequence[float]) -> list[str]:
    """The label's letter where its band is thickest, a few times and not too close together."""
    look = tone(label)
    thick = [low - up for low, up in zip(lower, upper, strict=True)]
    peaks = [k for k in range(_LETTER_BINS, len(xs) - _LETTER_BINS) if thick[k] >= _LETTER_PX]
    taken: list[int] = []
    for peak in sorted(peaks, key=lambda k: -thick[k]):
        if len(taken) < _MOST_LETTERS and all(abs(xs[other] - xs[peak]) >= _LETTERS_APART_PX for other in taken):
            taken.append(peak)
    return [
        f'<text class="letter {look.css_class}" x="{xs[k]:.1f}" y="{(upper[k] + lower[k]) / 2 + 4:.1f}">'
        f"{look.letter}</text>"
        for k in taken
    ]


def _line(xs: Sequence[float], ys: Sequence[float]) -> str:
    return "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True))

"""The strips of analysed recordings as one SVG picture that stands alone: a row a file, a cell a window."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from bot.pictures import palette
from bot.pictures.scale import Scale, ticks_of
from bot.pictures.times import clock
from ser_engine.analysis import Analysis
from ser_engine.types import Prediction, Window

_WIDTH: Final = 960.0
_EDGE: Final = 8.0
_NAMES: Final = 188.0
_ROW: Final = 38.0
_STEP: Final = 48.0
_KEY: Final = 34.0
_THINNEST_PX: Final = 3.0
_NAME_CHARS: Final = 24
_HATCH: Final = (
    '<pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="5" height="5" fill="{track}"/><path d="M0 0V5" stroke="{muted}" stroke-width="1.5"/></pattern>'
)

Cell = tuple[float, float, str, float]
"""Start, end, label and confidence."""


def strips(files: Sequence[tuple[str, Analysis]], *, labels: Sequence[str]) -> str:
    """The picture, in the light colours of the report. Where cells would be too thin, neighbours share one."""
    theme = palette.LIGHT
    longest = max((analysis.windows[-1][0].end_s for _, analysis in files), default=0.0)
    scale = Scale(from_s=0.0, to_s=max(3.0, longest), x=_NAMES, width=_WIDTH - _NAMES - 2 * _EDGE)
    bottom = _KEY + _STEP * len(files)
    parts = [_HATCH.format(track=theme.track, muted=theme.muted), *_key(labels, theme)]
    for row, (name, analysis) in enumerate(files):
        y = _KEY + _STEP * row
        parts.append(
            _text(_EDGE, y + _ROW / 2 + 5, name[: _NAME_CHARS - 1] + "…" if len(name) > _NAME_CHARS else name, theme)
        )
        parts.append(_box(_NAMES, y, scale.width, _ROW, theme.track))
        for start_s, end_s, label, confidence in _cells(analysis.windows, _THINNEST_PX / scale.px_per_s):
            x, width = scale.at(start_s), max(1.0, scale.at(end_s) - scale.at(start_s) - 0.75)
            parts.append(_cell(x, y, width, label, confidence, f"{clock(start_s)}–{clock(end_s)}"))
    parts += [_text(tick.x, bottom + 14, clock(tick.at_s), theme, anchor="middle") for tick in ticks_of(scale)]
    height = bottom + 22
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" font-family="sans-serif" font-size="13">'
        f"<title>{_title(len(files))}</title>"
        f'<rect width="100%" height="100%" fill="{theme.surface}"/>{"".join(parts)}</svg>\n'
    )


def _title(files: int) -> str:
    return "How a recording sounds over time" if files == 1 else f"How {files} recordings sound over time"


def _cells(pairs: Sequence[tuple[Window, Prediction]], thinnest_s: float) -> Iterator[Cell]:
    """A cell a window, or what most of the windows that must share one sound like."""
    group: list[tuple[Window, Prediction]] = []
    for pair in pairs:
        if group and pair[0].end_s - group[0][0].start_s > max(thinnest_s, 1e-6):
            yield _shared(group)
            group = []
        group.append(pair)
    if group:
        yield _shared(group)


def _shared(group: Sequence[tuple[Window, Prediction]]) -> Cell:
    counts = Counter(palette.UNCLEAR if said.unclear else said.emotion for _, said in group)
    label = counts.most_common(1)[0][0]
    sure = [said.confidence for _, said in group if not said.unclear and said.emotion == label]
    return group[0][0].start_s, group[-1][0].end_s, label, sum(sure) / len(sure) if sure else 0.0


def _cell(x: float, y: float, width: float, label: str, confidence: float, when: str) -> str:
    if label == palette.UNCLEAR:
        return f"<g><title>{when} unclear</title>{_box(x, y, width, _ROW, 'url(#hatch)')}</g>"
    look = palette.tone(label)
    title = f"{when} sounds {look.word}, {confidence:.0%} sure"
    note_y = y + 3 + (1 - look.height) * (_ROW - 9)
    return (
        f"<g><title>{html.escape(title)}</title>"
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_ROW}" fill="{look.light.fill}" '
        f'fill-opacity="{palette.strength(confidence):.2f}"/>{_box(x, note_y, width, 3, look.light.ink)}</g>'
    )


def _key(labels: Sequence[str], theme: palette.Theme) -> Iterator[str]:
    for k, label in enumerate([*palette.in_order(list(labels)), palette.UNCLEAR]):
        look = palette.tone(label)
        x = _NAMES + 120 * k
        if label == palette.UNCLEAR:
            yield _box(x, 4, 20, 16, "url(#hatch)")
        else:  # the note tells it without the colour
            yield _box(x, 4, 20, 16, look.light.fill)
            yield _box(x, 6 + (1 - look.height) * 9, 20, 3, look.light.ink)
        yield _text(x + 26, 17, look.word, theme)


def _box(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:g}" fill="{fill}"/>'


def _text(x: float, y: float, text: str, theme: palette.Theme, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{theme.text}" text-anchor="{anchor}">{html.escape(text)}</text>'

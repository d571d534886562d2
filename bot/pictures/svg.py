"""A session's pictures as SVG for the pages.

Colours come from the page's style sheet through classes, so light, dark and print need one picture; a strict
Content-Security-Policy allows no style attributes anyway. Every picture has a title for those who do not see it, and a
table beside it on the page. All text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from markupsafe import Markup, escape

from bot.pictures.geometry import Cell, Mark, Segment, Strip
from bot.pictures.palette import OTHER_CLASS, UNCLEAR, tone
from bot.pictures.scale import Tick
from bot.pictures.times import clock

NOTE_PX: Final = 3.0
_NAME_CHARS: Final = 19


def strip_svg(
    strip: Strip, *, ident: str, title: str, css_class: str = "", bands: Mapping[int, str] | None = None
) -> Markup:
    """The heat strip. `ident` must be unique on the page: pattern and title are found by it.

    `bands` are drawn instead of the cells, by participant (`bot.pictures.bands`).
    """
    parts = [_hatch(ident)]
    for row in strip.rows:
        y = row.y - 6 if strip.names_above else row.y + row.height / 2 + 5
        parts.append(f'<text class="name" x="0" y="{y:.1f}">{escape(shorten(row.name, _NAME_CHARS))}</text>')
        parts.append(
            f'<rect class="track" x="{strip.plot_x:.1f}" y="{row.y:.1f}" width="{strip.plot_width:.1f}" '
            f'height="{row.height:.1f}" rx="3"/>'
        )
    parts += [_mark_line(mark, strip.bottom) for mark in strip.marks]
    if bands is None:
        parts += [_cell(cell, row.y, row.height, ident) for row in strip.rows for cell in row.cells]
    else:
        parts += [bands[row.participant_id] for row in strip.rows]
    parts += [_mark_number(mark) for mark in strip.marks]
    parts.append(_axis(strip.ticks, strip.bottom, strip.width))
    return _svg(strip.width, strip.height, "".join(parts), ident=ident, title=title, css_class=css_class)


def bar_svg(
    segments: Sequence[Segment], *, width: float, ident: str, title: str, height: float = 18.0, css_class: str = ""
) -> Markup:
    """A talk-time bar with the letter of each emotion in it where there is room."""
    parts = [_hatch(ident)]
    for segment in segments:
        look = tone(segment.label)
        fill = f' fill="url(#{ident}-hatch)"' if segment.label == UNCLEAR else ""
        kind = "hatched" if fill else "area"
        parts.append(
            f'<rect class="{kind} {look.css_class}" x="{segment.x:.1f}" y="0" height="{height:.1f}" '
            f'width="{max(0.0, segment.width - 1):.1f}"{fill}>'
            f"<title>{escape(look.word)}: {round(segment.share * 100)} %</title></rect>"
        )
        if segment.width >= 16:
            middle = segment.x + segment.width / 2
            parts.append(
                f'<text class="letter {look.css_class}" x="{middle:.1f}" y="{height / 2 + 4:.1f}">{look.letter}</text>'
            )
    return _svg(width, height, "".join(parts), ident=ident, title=title, css_class=f"bar {css_class}")


def sample_svg(label: str, *, ident: str) -> Markup:
    """A cell for the legend. Labels of somebody's own model share a colour and a height, so these have their letter."""
    look = tone(label)
    if look.css_class == OTHER_CLASS:
        letter = f'<text class="letter {OTHER_CLASS}" x="13" y="14">{escape(look.letter)}</text>'
        body = f'<rect class="area {OTHER_CLASS}" width="26" height="20"/>{letter}'
        return _svg(26, 20, body, ident=ident, title="", css_class="sample")
    cell = Cell(x=0, width=26, start_s=0, end_s=3, label=label, confidence=0.9, reason=None, windows=1)
    return _svg(
        26, 20, _hatch(ident) + _cell(cell, 0, 20, ident, titled=False), ident=ident, title="", css_class="sample"
    )


def shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def cell_title(cell: Cell) -> str:
    """``0:42–0:45 sounds happy, 72 % sure``"""
    when = f"{clock(cell.start_s)}–{clock(cell.end_s)}"
    if cell.label == UNCLEAR:
        return f"{when} unclear" + (f" ({cell.reason.replace('_', ' ')})" if cell.reason else "")
    several = f", {cell.windows} windows" if cell.windows > 1 else ""
    return f"{when} sounds {tone(cell.label).word}, {round(cell.confidence * 100)} % sure{several}"


def _cell(cell: Cell, y: float, height: float, ident: str, *, titled: bool = True) -> str:
    look = tone(cell.label)
    width = max(1.0, cell.width - (0.75 if cell.width > 4 else 0))
    box = f'x="{cell.x:.1f}" width="{width:.1f}"'
    title = f"<title>{escape(cell_title(cell))}</title>" if titled else ""
    if cell.label == UNCLEAR:
        return (
            f'<rect class="hatched" {box} y="{y:.1f}" height="{height:.1f}" fill="url(#{ident}-hatch)">{title}</rect>'
        )
    note_y = y + 3 + (1 - look.height) * (height - 6 - NOTE_PX)
    return (
        f'<g class="{look.css_class} s{cell.level}"><rect class="area" {box} y="{y:.1f}" height="{height:.1f}"/>'
        f'<rect class="note" {box} y="{note_y:.1f}" height="{NOTE_PX:.0f}"/>{title}</g>'
    )


def _mark_line(mark: Mark, bottom: float) -> str:
    return f'<line class="mark-line" x1="{mark.x:.1f}" y1="{mark.y + 8:.1f}" x2="{mark.x:.1f}" y2="{bottom:.1f}"/>'


def _mark_number(mark: Mark) -> str:
    return (
        f'<g class="mark"><circle cx="{mark.x:.1f}" cy="{mark.y:.1f}" r="8"/>'
        f'<text x="{mark.x:.1f}" y="{mark.y + 3.6:.1f}">{mark.number}</text>'
        f"<title>{clock(mark.moment.at_s)} {escape(mark.moment.text)}</title></g>"
    )


def _axis(ticks: Iterable[Tick], y: float, width: float) -> str:
    parts = []
    for tick in ticks:
        anchor = "start" if tick.x < 12 else "end" if tick.x > width - 20 else "middle"
        parts.append(f'<line class="tick" x1="{tick.x:.1f}" y1="{y + 3:.1f}" x2="{tick.x:.1f}" y2="{y + 8:.1f}"/>')
        parts.append(
            f'<text class="time" x="{tick.x:.1f}" y="{y + 21:.1f}" text-anchor="{anchor}">{clock(tick.at_s)}</text>'
        )
    return "".join(parts)


def _hatch(ident: str) -> str:
    return (
        f'<pattern id="{ident}-hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect class="hatch-ground" width="5" height="5"/><line class="hatch" x1="0" y1="0" x2="0" y2="5"/></pattern>'
    )


def _svg(width: float, height: float, body: str, *, ident: str, title: str, css_class: str) -> Markup:
    if title:
        name = f'role="img" aria-labelledby="{ident}-title"'
        head = f'<title id="{ident}-title">{escape(title)}</title>'
    else:
        name, head = 'aria-hidden="true"', ""
    return Markup(  # noqa: S704  # every piece of text in it went through escape()
        f'<svg class="{css_class.strip()}" viewBox="0 0 {width:.0f} {height:.0f}" {name}>{head}{body}</svg>'
    )

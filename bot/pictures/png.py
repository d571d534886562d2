"""The summary picture for Discord, drawn with Pillow on a dark card that sits well in Discord's light and dark themes.

Everything is laid out in logical pixels and drawn at twice that, for sharp screens. Inter is carried beside this file;
a name that it cannot write (it has Latin, Greek and Cyrillic) is shown as the speaker's pseudonym.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from bot.pictures import geometry
from bot.pictures.palette import DARK, UNCLEAR, blend, in_order, mark_on, tone
from bot.pictures.svg import NOTE_PX, shorten
from bot.pictures.times import clock, spell
from storage.records import SessionReport

SCALE: Final = 2
MAX_SPEAKERS: Final = 16
MIN_WIDTH: Final = 480
_MARGIN: Final = 36.0
_GUTTER: Final = 164.0
_FONTS: Final = Path(__file__).parent / "fonts"
_HATCH_STEP_PX: Final = 6
_FOOT: Final = "How it sounds, not how anybody feels. Stronger colour: surer. Hatched: unclear."


def summary_png(report: SessionReport, names: Mapping[int, str], *, width: int = 960) -> bytes:
    """Strip per speaker, moments, and talk time by emotion. `names` maps participant ids; `width` is in logical pixels.

    The image is twice as wide. Shows at most 16 speakers and says how many more there are.
    """
    width = max(MIN_WIDTH, width)
    left_out = max(0, len(report.participants) - MAX_SPEAKERS)
    report = replace(report, participants=report.participants[:MAX_SPEAKERS])
    shown = {
        p.participant.id: writable(names.get(p.participant.id, ""), p.participant.pseudonym)
        for p in report.participants
    }
    strip = geometry.strip(report, shown, width=width - 2 * _MARGIN, gutter=_GUTTER, row_height=34, row_gap=9)
    strip_y = 122.0
    bars_y = strip_y + strip.height + 34
    height = bars_y + 28 + len(report.participants) * 32 + 46
    pen = _Pen.on_card(width, height)
    _head(pen, report, width)
    _strip(pen, strip, _MARGIN, strip_y)
    _talk(pen, report, shown, bars_y, width)
    more = f" {left_out} more speakers are in the report." if left_out else ""
    pen.text(_MARGIN, height - 30, _FOOT + more, size=13, colour=DARK.muted)
    target = io.BytesIO()
    pen.image.save(target, format="PNG", optimize=True)
    return target.getvalue()


def writable(name: str, otherwise: str) -> str:
    """`name` without what Inter cannot write; `otherwise` when that is more than half of it."""
    name = " ".join(name.split())
    kept = "".join(c for c in name if c.isprintable() and (c == " " or _has_glyph(c))).strip()
    return kept if len(kept) * 2 > len(name) else otherwise


def _head(pen: _Pen, report: SessionReport, width: float) -> None:
    pen.text(_MARGIN, 46, "How it sounded", size=24, bold=True)
    people = len(report.participants)
    started = report.session.started_at
    facts = f"{spell(report.duration_s)} · {people} {'speaker' if people == 1 else 'speakers'}"
    facts += f" · {started.day} {started:%B %Y}"
    pen.text(width - _MARGIN, 46, facts, size=15, colour=DARK.muted, anchor="rs")
    x = _MARGIN
    for label in (*in_order(list(report.session.labels)), UNCLEAR):
        look = tone(label)
        cell = geometry.Cell(x=0, width=22, start_s=0, end_s=3, label=label, confidence=0.9, reason=None, windows=1)
        _cell(pen, cell, x, 68, 18)
        pen.text(x + 30, 82, look.word, size=15)
        x += 30 + pen.width(look.word, size=15) + 24


def _strip(pen: _Pen, strip: geometry.Strip, x: float, y: float) -> None:
    for row in strip.rows:
        pen.text(x, y + row.y + row.height / 2 + 5, shorten(row.name, 18), size=15, bold=True)
        pen.box(x + strip.plot_x, y + row.y, strip.plot_width, row.height, DARK.track, radius=3)
    for mark in strip.marks:
        pen.dotted(x + mark.x, y + mark.y, y + strip.bottom)
    for row in strip.rows:
        for cell in row.cells:
            _cell(pen, cell, x, y + row.y, row.height)
    for mark in strip.marks:
        pen.disc(x + mark.x, y + mark.y, 8, DARK.text)
        pen.text(x + mark.x, y + mark.y + 4, str(mark.number), size=11, bold=True, colour=DARK.surface, anchor="ms")
    for tick in strip.ticks:
        pen.box(x + tick.x, y + strip.bottom + 4, 1, 5, DARK.line)
        right_edge = tick.x > strip.width - 20
        anchor = "rs" if right_edge else "ms"
        pen.text(x + tick.x, y + strip.bottom + 23, clock(tick.at_s), size=12, colour=DARK.muted, anchor=anchor)


def _cell(pen: _Pen, cell: geometry.Cell, x: float, y: float, height: float) -> None:
    width = max(1.0, cell.width - (0.75 if cell.width > 4 else 0))
    if cell.label == UNCLEAR:
        pen.hatched(x + cell.x, y, width, height)
        return
    look = tone(cell.label)
    fill = blend(DARK.track, look.dark.fill, 0.9 * cell.strength)
    pen.box(x + cell.x, y, width, height, fill)
    note_y = y + 3 + (1 - look.height) * (height - 6 - NOTE_PX)
    pen.box(x + cell.x, note_y, width, NOTE_PX, mark_on(fill))


def _talk(pen: _Pen, report: SessionReport, names: Mapping[int, str], y: float, width: float) -> None:
    pen.text(_MARGIN, y, "Talk time, by what it sounded like", size=15, colour=DARK.muted)
    longest_s = max((p.talk_s for p in report.participants), default=0.0) or 1.0
    room = width - 2 * _MARGIN - _GUTTER - 76
    for index, person in enumerate(report.participants):
        top = y + 16 + index * 32
        pen.text(_MARGIN, top + 15, shorten(names[person.participant.id], 18), size=15, bold=True)
        length = room * person.talk_s / longest_s
        for segment in geometry.talk_segments(person.shares, person.unclear_share, width=length, x=_MARGIN + _GUTTER):
            look = tone(segment.label)
            if segment.label == UNCLEAR:
                pen.hatched(segment.x, top, segment.width - 1, 20)
            else:
                pen.box(segment.x, top, segment.width - 1, 20, look.dark.fill)
                if segment.width >= 18:
                    middle = segment.x + segment.width / 2
                    pen.text(
                        middle, top + 15, look.letter, size=13, bold=True, colour=mark_on(look.dark.fill), anchor="ms"
                    )
        end = _MARGIN + _GUTTER + length + 10
        pen.text(end, top + 15, clock(round(person.talk_s)), size=14, colour=DARK.muted)


@dataclass(slots=True)
class _Pen:
    """Draws in logical pixels."""

    image: Image.Image
    draw: ImageDraw.ImageDraw
    hatch: Image.Image

    @classmethod
    def on_card(cls, width: float, height: float) -> _Pen:
        size = (round(width * SCALE), round(height * SCALE))
        image = Image.new("RGB", size, DARK.surface)
        return cls(image=image, draw=ImageDraw.Draw(image), hatch=_hatching(size))

    def box(self, x: float, y: float, width: float, height: float, colour: str, *, radius: float = 0) -> None:
        if width <= 0:
            return
        corners = _corners(x, y, width, height)
        if radius:
            self.draw.rounded_rectangle(corners, radius * SCALE, fill=colour)
        else:
            self.draw.rectangle(corners, fill=colour)

    def hatched(self, x: float, y: float, width: float, height: float) -> None:
        if width > 0:
            left, top, right, bottom = _corners(x, y, width, height)
            self.image.paste(self.hatch.crop((left, top, right + 1, bottom + 1)), (left, top))

    def disc(self, x: float, y: float, radius: float, colour: str) -> None:
        edge = radius * SCALE
        self.draw.ellipse((x * SCALE - edge, y * SCALE - edge, x * SCALE + edge, y * SCALE + edge), fill=colour)

    def dotted(self, x: float, top: float, bottom: float) -> None:
        for y in range(round(top), round(bottom), 5):
            self.box(x - 0.5, y, 1, 2, DARK.muted)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: int,
        bold: bool = False,
        colour: str = DARK.text,
        anchor: str = "ls",
    ) -> None:
        self.draw.text((x * SCALE, y * SCALE), text, font=_font(size, bold), fill=colour, anchor=anchor)

    def width(self, text: str, *, size: int) -> float:
        return _font(size, bold=False).getlength(text) / SCALE


def _corners(x: float, y: float, width: float, height: float) -> tuple[int, int, int, int]:
    left, top = round(x * SCALE), round(y * SCALE)
    return left, top, max(left, round((x + width) * SCALE) - 1), max(top, round((y + height) * SCALE) - 1)


def _hatching(size: tuple[int, int]) -> Image.Image:
    """A whole card of hatching, to cut pieces from, so that the lines of neighbouring cells meet."""
    image = Image.new("RGB", size, DARK.track)
    draw = ImageDraw.Draw(image)
    colour = tone(None).dark.ink
    for x in range(-size[1], size[0], _HATCH_STEP_PX * SCALE):
        draw.line((x, size[1], x + size[1], 0), fill=colour, width=2)
    return image


@lru_cache(maxsize=32)
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    name = "Inter-SemiBold.otf" if bold else "Inter-Regular.otf"
    return ImageFont.truetype(_FONTS / name, size * SCALE, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def _has_glyph(character: str) -> bool:
    font = _font(15, bold=False)
    return bytes(font.getmask(character)) != bytes(font.getmask("\U0010ffff"))

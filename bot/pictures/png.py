"""The summary picture for Discord, drawn with Pillow on a dark card that sits well in Discord's light and dark themes.

Most people see it on a phone, 360 pixels wide: the card is 480 logical pixels wide and nothing in it is written smaller
than 15, so that a name is at least 11 pixels high there. Everything is drawn at twice the size, for sharp screens.
Inter is carried beside this file; a name that it cannot write is shown as the speaker's pseudonym.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from bot.pictures import geometry
from bot.pictures.names import FONTS, writable
from bot.pictures.palette import DARK, UNCLEAR, blend, in_order, mark_on, tone
from bot.pictures.svg import NOTE_PX
from bot.pictures.times import clock
from bot.pictures.words import MAX_SPEAKERS, Words
from storage.records import ParticipantReport, SessionReport

SCALE: Final = 2
WIDTH: Final = 480
MAX_WITH_SHARES: Final = 6
"""Up to so many speakers have a bar of their shares below their strip; with more the picture would be too tall."""
_MARGIN: Final = 20.0
_TEXT_PX: Final = 15
_NAME_PX: Final = 16
_LABEL_GAP: Final = 6.0
_LINE: Final = 20.0
_NAME_ROOM: Final = 25.0
_STRIP_ROOM: Final = 26.0
_SHARES_ROOM: Final = 12.0
_HATCH_STEP_PX: Final = 6


def summary_png(report: SessionReport, names: Mapping[int, str], words: Words) -> bytes:
    """A strip and the shares of each speaker, and the moments. `names` maps participant ids.

    The image is 960 pixels wide. Shows at most 16 speakers.
    """
    left_out = len(report.participants) > MAX_SPEAKERS
    report = replace(report, participants=report.participants[:MAX_SPEAKERS])
    shown = {
        p.participant.id: writable(names.get(p.participant.id, ""), p.participant.pseudonym)
        for p in report.participants
    }
    with_shares = len(report.participants) <= MAX_WITH_SHARES
    strip = geometry.strip(
        report,
        shown,
        width=WIDTH - 2 * _MARGIN,
        gutter=0,
        row_height=_STRIP_ROOM,
        row_gap=14 + (_SHARES_ROOM + 5 if with_shares else 0),
        name_height=_NAME_ROOM,
        axis_height=30,
    )
    measure = _Pen.on_card(WIDTH, 1)
    legend = measure.flow([words.tone(label) for label in _labels(report)], WIDTH - 2 * _MARGIN)
    foot = measure.wrapped(f"{words.foot} {words.more if left_out else ''}".strip(), WIDTH - 2 * _MARGIN)
    strip_y = 82 + 28.0 * (1 + legend[-1][1]) + 6
    shares_below = _SHARES_ROOM + 5 if with_shares else 0.0
    foot_y = strip_y + strip.height + shares_below + 26
    pen = _Pen.on_card(WIDTH, foot_y + _LINE * len(foot))
    _head(pen, report, words, legend)
    _strip(pen, strip, {p.participant.id: p for p in report.participants}, strip_y, below=shares_below)
    for number, line in enumerate(foot):
        pen.text(_MARGIN, foot_y + _LINE * number, line, size=_TEXT_PX, colour=DARK.muted)
    target = io.BytesIO()
    pen.image.save(target, format="PNG", optimize=True)
    return target.getvalue()


def _labels(report: SessionReport) -> list[str]:
    return [*in_order(list(report.session.labels)), UNCLEAR]


def _head(pen: _Pen, report: SessionReport, words: Words, legend: list[tuple[float, int]]) -> None:
    pen.text(_MARGIN, 38, words.title, size=22, bold=True)
    pen.text(_MARGIN, 63, words.facts, size=_TEXT_PX, colour=DARK.muted)
    for label, (x, line) in zip(_labels(report), legend, strict=True):
        cell = geometry.Cell(x=0, width=22, start_s=0, end_s=3, label=label, confidence=0.9, reason=None, windows=1)
        _cell(pen, cell, _MARGIN + x, 82 + 28.0 * line, 18)
        pen.text(_MARGIN + x + 28, 97 + 28.0 * line, words.tone(label), size=_TEXT_PX)


def _strip(
    pen: _Pen, strip: geometry.Strip, people: Mapping[int, ParticipantReport], y: float, *, below: float
) -> None:
    x, right = _MARGIN, _MARGIN + strip.width - 2
    for row in strip.rows:
        person = people[row.participant_id]
        talk = clock(round(person.talk_s))
        room = strip.width - pen.width(talk, size=_TEXT_PX) - 14
        pen.text(x, y + row.y - 8, pen.shortened(row.name, room, size=_NAME_PX, bold=True), size=_NAME_PX, bold=True)
        pen.text(right, y + row.y - 8, talk, size=_TEXT_PX, colour=DARK.muted, anchor="rs")
        pen.box(x + strip.plot_x, y + row.y, strip.plot_width, row.height, DARK.track, radius=3)
        if below:
            _shares(pen, person, x, y + row.y + row.height + 5, strip.plot_width)
    for row in strip.rows:
        for cell in row.cells:
            _cell(pen, cell, x, y + row.y, row.height)
    for mark in strip.marks:
        for row in strip.rows:
            pen.dotted(x + mark.x, y + row.y, y + row.y + row.height)
        pen.disc(x + mark.x, y + mark.y, 10, DARK.text)
        number = str(mark.number)
        pen.text(x + mark.x, y + mark.y + 5.5, number, size=_TEXT_PX, bold=True, colour=DARK.surface, anchor="ms")
    at_y = y + strip.bottom + below
    free_to = strip.width + _LABEL_GAP
    for tick in reversed(strip.ticks):  # the last label always stands; one that would touch the next does not
        pen.box(x + tick.x, at_y + 4, 1, 5, DARK.line)
        label = clock(tick.at_s)
        width = pen.width(label, size=_TEXT_PX)
        left = min(max(0.0, tick.x - width / 2), strip.width - width)
        if left + width + _LABEL_GAP <= free_to:
            pen.text(x + left, at_y + 25, label, size=_TEXT_PX, colour=DARK.muted)
            free_to = left


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


def _shares(pen: _Pen, person: ParticipantReport, x: float, y: float, room: float) -> None:
    """The whole talk time of a speaker by what it sounded like."""
    for segment in geometry.talk_segments(person.shares, person.unclear_share, width=room, x=x):
        if segment.label == UNCLEAR:
            pen.hatched(segment.x, y, segment.width - 1, _SHARES_ROOM)
        else:
            pen.box(segment.x, y, segment.width - 1, _SHARES_ROOM, tone(segment.label).dark.fill)


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

    def width(self, text: str, *, size: int, bold: bool = False) -> float:
        return _font(size, bold).getlength(text) / SCALE

    def shortened(self, text: str, room: float, *, size: int, bold: bool) -> str:
        """The text, or as much of it as fits."""
        if self.width(text, size=size, bold=bold) <= room:
            return text
        fits = (n for n in range(len(text) - 1, 0, -1) if self.width(text[:n] + "…", size=size, bold=bold) <= room)
        return text[: next(fits, 0)].rstrip() + "…"

    def flow(self, words: list[str], room: float) -> list[tuple[float, int]]:
        """Where each word of the legend stands: x and line, as many in a line as fit."""
        placed: list[tuple[float, int]] = []
        x, line = 0.0, 0
        for word in words:
            needed = 28 + self.width(word, size=_TEXT_PX)
            if x and x + needed > room:
                x, line = 0.0, line + 1
            placed.append((x, line))
            x += needed + 20
        return placed

    def wrapped(self, text: str, room: float) -> list[str]:
        """Text in lines that fit."""
        lines = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".strip()
            if self.width(longer, size=_TEXT_PX) > room and lines[-1]:
                lines.append(word)
            else:
                lines[-1] = longer
        return lines


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
    return ImageFont.truetype(FONTS / name, size * SCALE, layout_engine=ImageFont.Layout.BASIC)

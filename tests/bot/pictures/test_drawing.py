"""The pictures themselves: valid SVG that escapes what people wrote, and a PNG of the colours it should have."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from PIL import Image, ImageFont

from bot.pictures import geometry, names, png, summary_png, svg
from bot.pictures.names import writable
from bot.pictures.palette import DARK, UNCLEAR, blend, strength, tone
from bot.pictures.png import SCALE, WIDTH
from bot.pictures.times import clock, spell
from bot.pictures.words import MAX_SPEAKERS, Words
from storage import MomentRecord, SessionReport, WindowRecord
from storage.report import build_report
from tests.fakes.records import participant, session, window

pytestmark = pytest.mark.unit

EVIL = "</text><script>alert('&\"')</script>"
SVG = "{http://www.w3.org/2000/svg}"


def _report(windows: list[WindowRecord], *, people: int = 2) -> SessionReport:
    moments = [MomentRecord(at_s=1.0, kind="mark", participant_id=None, text=EVIL)]
    return build_report(session(), [participant(n, 100 + n) for n in range(1, people + 1)], windows, moments)


def _parse(text: str) -> ET.Element:
    return ET.fromstring(str(text).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))  # noqa: S314


def test_the_strip_is_well_formed_and_escaped() -> None:
    report = _report([window(1, 0.0), window(2, 3.0, unclear=True, reason="no_speech")])
    strip = geometry.strip(report, {1: EVIL, 2: "Bob"}, width=960)
    root = _parse(svg.strip_svg(strip, ident="s", title=EVIL))
    assert root.find(f".//{SVG}script") is None
    assert root.find(f"{SVG}title").text == EVIL  # type: ignore[union-attr]
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert "0:00–0:03 sounds angry, 80 % sure" in titles
    assert "0:03–0:06 unclear (no speech)" in titles
    assert not any("style" in element.attrib for element in root.iter())


def test_a_bar_has_the_letter_of_each_emotion() -> None:
    bar = _parse(svg.bar_svg(geometry.talk_segments({"Angry": 1.0}, 0.25, width=100), width=100, ident="b", title="t"))
    assert [text.text for text in bar.findall(f"{SVG}text")] == ["A", "?"]
    assert "75 %" in (bar.find(f".//{SVG}rect/{SVG}title").text or "")  # type: ignore[union-attr]


def test_a_legend_sample_is_decoration() -> None:
    assert _parse(svg.sample_svg(UNCLEAR, ident="x")).attrib["aria-hidden"] == "true"


def test_the_summary_is_a_png_with_the_emotions_colours() -> None:
    data = summary_png(_report([window(1, 0.0), window(2, 30.0, emotion="Happy")]), {1: "Alice", 2: "Bob"})
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    assert image.width == WIDTH * SCALE
    assert len(data) < 500_000
    colours = {colour for _, colour in image.getcolors(maxcolors=1 << 24) or []}

    def rgb(colour: str) -> tuple[int, ...]:
        return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))

    for label in ("Angry", "Happy"):
        assert rgb(tone(label).dark.fill) in colours
        assert rgb(blend(DARK.track, tone(label).dark.fill, 0.9 * strength(0.8))) in colours
    assert rgb(DARK.surface) in colours


@pytest.mark.parametrize("people", [0, 1, MAX_SPEAKERS + 9])
def test_few_and_many_speakers(people: int) -> None:
    windows = [window(n, 3.0 * n) for n in range(1, people + 1)]
    image = Image.open(io.BytesIO(summary_png(_report(windows, people=people), {})))
    assert image.width == WIDTH * SCALE
    assert image.height < 3000


def test_the_same_report_gives_the_same_picture() -> None:
    report = _report([window(1, 0.0)])
    assert summary_png(report, {1: "Alice"}) == summary_png(report, {1: "Alice"})


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ayşe", "Ayşe"),
        ("Юлия", "Юлия"),
        ("Ελένη", "Ελένη"),
        ("Sax 🎷", "Sax"),
        ("two\nlines \u202e", "two lines"),
        ("山田 太郎", "Speaker 1"),
        ("🎷🎷🎷", "Speaker 1"),
        ("", "Speaker 1"),
    ],
)
def test_a_name_the_font_cannot_write_becomes_the_pseudonym(name: str, shown: str) -> None:
    assert writable(name, "Speaker 1") == shown


def test_the_font_is_read_once_for_all_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """The summary's words are made on the event loop, and each new letter of a name would have it read the file."""
    for held in (names._has_glyph, names._inter):
        held.cache_clear()
    read, load = [], ImageFont.truetype

    def counted(font: Any, *how: Any, **more: Any) -> ImageFont.FreeTypeFont:
        read.append(font)
        return load(font, *how, **more)

    monkeypatch.setattr(ImageFont, "truetype", counted)
    assert writable("Zoë Ελένη Юлия", "Speaker 1") == "Zoë Ελένη Юлия"
    assert len(read) == 1


def test_seconds_as_people_read_them() -> None:
    assert [clock(s) for s in (0, 59.9, 61, 3725)] == ["0:00", "0:59", "1:01", "1:02:05"]
    assert [spell(s) for s in (0, 59, 60, 61, 3600, 3725)] == [
        "0 s",
        "59 s",
        "1 min",
        "1 min 1 s",
        "1 h 0 min",
        "1 h 2 min",
    ]


def test_a_name_is_eleven_pixels_high_on_a_phone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every text of the picture, when the picture is shown 360 pixels wide."""
    sizes: list[int] = []
    draw = png._Pen.text

    def noted(self: png._Pen, *place: Any, size: int, **how: Any) -> None:
        sizes.append(size)
        draw(self, *place, size=size, **how)

    monkeypatch.setattr(png._Pen, "text", noted)
    summary_png(_report([window(1, 0.0), window(2, 30.0)]), {1: "Alice", 2: "Bob"}, Words(facts="30 s"))
    assert min(sizes) * 360 / WIDTH >= 11
    shown = Image.open(io.BytesIO(summary_png(_report([window(1, 0.0)], people=1), {1: "Alice"})))
    assert 360 / shown.width * SCALE == 360 / WIDTH


@pytest.mark.parametrize("seconds", [57.0, 600.0, 3_600.0, 7_200.0, 36_000.0])
@pytest.mark.parametrize("name", ["W" * 100, "i" * 100, "Mara"])
def test_no_text_covers_another_or_leaves_the_card(monkeypatch: pytest.MonkeyPatch, seconds: float, name: str) -> None:
    lines: dict[float, list[tuple[float, float]]] = {}
    draw = png._Pen.text

    def noted(self: png._Pen, x: float, y: float, text: str, *, size: int, **how: Any) -> None:
        width = self.width(text, size=size, bold=how.get("bold", False))
        left = x - {"l": 0.0, "m": width / 2, "r": width}[how.get("anchor", "ls")[0]]
        lines.setdefault(y, []).append((left, left + width))
        draw(self, x, y, text, size=size, **how)

    monkeypatch.setattr(png._Pen, "text", noted)
    report = build_report(session(), [participant(1)], [window(1, 0.0), window(1, seconds - 3.0)], [])
    summary_png(report, {1: name})
    for spans in lines.values():
        spans.sort()
        assert spans[0][0] >= 0
        assert spans[-1][1] <= WIDTH
        assert all(left[1] < right[0] for left, right in pairwise(spans))


def test_it_speaks_the_language_it_is_given() -> None:
    report = _report([window(1, 0.0)])
    assert summary_png(report, {}, Words(title="Wie es klang")) != summary_png(report, {})

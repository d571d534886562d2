"""A session's pictures: one palette, one geometry, drawn as PNG for Discord and as SVG for the web."""

from __future__ import annotations

from collections.abc import Mapping

from bot.pictures.words import ENGLISH, Words
from storage.records import SessionReport


def summary_png(report: SessionReport, names: Mapping[int, str], words: Words = ENGLISH) -> bytes:
    """The summary picture as PNG bytes. CPU-bound: call it in a thread. See `bot.pictures.png.summary_png`."""
    from bot.pictures.png import summary_png as draw  # Pillow loads only where a picture is drawn

    return draw(report, names, words)

"""Names in pictures: Inter, the font that is carried along, writes Latin, Greek and Cyrillic."""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL import ImageFont

FONTS: Final = Path(__file__).parent / "fonts"


MOST_MARKS: Final = 4
"""Accents on one letter; no script that people write in needs more."""


def without_towers(name: str) -> str:
    """`name` without the accents that are piled up on a letter so that it covers the lines around it."""
    kept: list[str] = []
    marks = 0
    for character in name:
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def writable(name: str, otherwise: str) -> str:
    """`name` without what Inter cannot write; `otherwise` when that is more than half of it."""
    name = without_towers(" ".join(name.split()))
    kept = "".join(c for c in name if c.isprintable() and (c == " " or _has_glyph(c))).strip()
    return kept if len(kept) * 2 > len(name) else otherwise


@lru_cache(maxsize=4096)
def _has_glyph(character: str) -> bool:
    font, nothing = _inter()
    return bytes(font.getmask(character)) != nothing


@cache
def _inter() -> tuple[ImageFont.FreeTypeFont, bytes]:
    """The font, and what it draws for what it does not know. A file: not to be read for each letter of a name."""
    from PIL import ImageFont  # loads only where a name is looked at

    font = ImageFont.truetype(FONTS / "Inter-Regular.otf", 30, layout_engine=ImageFont.Layout.BASIC)
    return font, bytes(font.getmask("\U0010ffff"))

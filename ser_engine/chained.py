"""Ogg streams that were joined, as radio stations and `cat` join them: links of a chain, each a whole file.

FFmpeg goes on with the decoder of the first link, so a link of another rate, another number of channels or another
codec is lost. Each link is decoded on its own instead, and stands behind the one before it.
"""

from __future__ import annotations

from typing import Final

from ser_engine.stretch import Content

_PAGE: Final = b"OggS"
_HEADER_BYTES: Final = 27
_FLAGS_AT: Final = 5
_FIRST: Final = 0x02
MOST_LINKS: Final = 200
"""What follows is left to the last one."""


def links(data: Content) -> list[tuple[int, int | None]]:
    """Where the links of an Ogg file begin and end; anything else, and a file of one link, is one from 0 to its end."""
    if data[: len(_PAGE)] != _PAGE:
        return [(0, None)]
    begins, at, opening = [0], 0, True
    while 0 <= at < len(data) - _HEADER_BYTES and len(begins) < MOST_LINKS:
        header = data[at : at + _HEADER_BYTES]
        if len(header) < _HEADER_BYTES:  # it was cut off meanwhile
            break
        if header[: len(_PAGE)] != _PAGE:  # damaged: on with the next page
            at = data.find(_PAGE, at + 1)
            continue
        first = bool(header[_FLAGS_AT] & _FIRST)
        if first and not opening:  # the first pages of all tracks of a link stand together
            begins.append(at)
        opening = first
        segments = header[-1]
        lengths = data[at + _HEADER_BYTES : at + _HEADER_BYTES + segments]
        at += _HEADER_BYTES + segments + sum(lengths)
    return list(zip(begins, [*begins[1:], None], strict=True))

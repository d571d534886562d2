"""What bytes look like, for the words of a refusal and for finding sound behind junk. Decides nothing else."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Final

from ser_engine.stretch import Content

_KNOWN: Final[tuple[tuple[bytes, int, str, bool], ...]] = (
    # (bytes, where they stand, what it is, whether it is a medium that should have been readable)
    (b"\x89PNG", 0, "PNG", False),
    (b"\xff\xd8\xff", 0, "JPEG", False),
    (b"GIF8", 0, "GIF", False),
    (b"WEBP", 8, "WebP", False),
    (b"BM", 0, "BMP", False),
    (b"ftypheic", 4, "HEIC", False),
    (b"ftypavif", 4, "AVIF", False),
    (b"%PDF", 0, "PDF", False),
    (b"PK\x03\x04", 0, "ZIP", False),
    (b"Rar!", 0, "RAR", False),
    (b"7z\xbc\xaf", 0, "7z", False),
    (b"\x1f\x8b", 0, "gzip", False),
    (b"MZ", 0, "EXE", False),
    (b"\x7fELF", 0, "ELF", False),
    (b"SQLite format 3", 0, "SQLite", False),
    (b"MThd", 0, "MIDI", False),
    (b"#EXTM3U", 0, "M3U", False),
    (b"[playlist]", 0, "PLS", False),
    (b"RIFF", 0, "WAV", True),
    (b"RIFX", 0, "WAV", True),
    (b"RF64", 0, "WAV", True),
    (b"OggS", 0, "Ogg", True),
    (b"fLaC", 0, "FLAC", True),
    (b"\x1a\x45\xdf\xa3", 0, "Matroska or WebM", True),
    (b"ftyp", 4, "MP4 or QuickTime", True),
    (b"moov", 4, "MP4 or QuickTime", True),
    (b"FORM", 0, "AIFF", True),
    (b"caff", 0, "CAF", True),
    (b"ID3", 0, "MP3", True),
    (b"#!AMR", 0, "AMR", True),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", 0, "Windows Media", True),
)
_SIGNATURE: Final = re.compile(
    rb"fLaC\x00\x00\x00\x22|OggS\x00\x02|(?:RIFF|RIFX|RF64)....WAVE|\x1a\x45\xdf\xa3|FORM....AIF[FC]|#!AMR|caff\x00\x01"
    rb"|....ftyp|\x30\x26\xb2\x75\x8e\x66\xcf\x11|riff\x2e\x91\xcf\x11",
    re.DOTALL,
)
_ADTS: Final = re.compile(rb"\xff[\xf0\xf1\xf8\xf9]")
_FRAMES_THAT_AGREE: Final = 4
_ENCRYPTED: Final = re.compile(rb"stsd.{12}(?:drms|enca)", re.DOTALL)
_MOST_INDEX_BYTES: Final = 64 * 1024 * 1024
"""The index of a day of sound is a third of it."""
_BOX_TYPES: Final = frozenset(
    {b"ftyp", b"wide", b"free", b"skip", b"mdat", b"moov", b"moof", b"uuid", b"pnot", b"styp", b"sidx", b"meta"}
)


def found_in(data: bytes) -> tuple[str | None, bool]:
    """What the bytes look like, by its usual name, and whether it is a kind of recording."""
    for mark, at, words, medium in _KNOWN:
        if data[at : at + len(mark)] == mark:
            return words, medium
    head = data[:4096]
    if _is_text(head):
        return ("XML" if head.lstrip()[:5] == b"<?xml" else "HTML" if head.lstrip()[:1] == b"<" else "text"), False
    return None, False


def signature_at(data: bytes) -> int:
    """Where a recording begins behind bytes that are none of it; 0 where none is found."""
    match = _SIGNATURE.search(data, 1)
    return match.start() if match else _adts_at(data)


def _adts_at(data: bytes) -> int:
    """Where bare AAC begins: a few frames, each of which says where the next one is."""
    for match in _ADTS.finditer(data, 1):
        at = match.start()
        for _ in range(_FRAMES_THAT_AGREE):
            if _ADTS.match(data, at) is None or len(data) < at + 7:
                break
            length = int.from_bytes(data[at + 3 : at + 6]) >> 5 & 0x1FFF
            at += max(7, length)
        else:
            return match.start()
    return 0


def indexless(data: bytes) -> bool:
    """Whether it is an MP4 or QuickTime file that was never finished: its index stands at the end, and is missing."""
    kinds = {kind for kind, _ in _boxes(data)}
    return b"mdat" in kinds and not kinds & {b"moov", b"moof"}


def protected(data: Content) -> bool:
    """Whether it is an MP4 file whose sound is encrypted, as its sample description says."""
    indexes = (box[:_MOST_INDEX_BYTES] for kind, box in _boxes(data) if kind == b"moov")
    return any(_ENCRYPTED.search(data[box.start : box.stop]) for box in indexes)


def _boxes(data: Content) -> Iterator[tuple[bytes, range]]:
    """The outermost boxes of an MP4 file, and where they lie; none for anything else."""
    at = 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16])
        elif size == 0:
            size = len(data) - at
        if kind not in _BOX_TYPES or size < 8:
            return
        yield kind, range(at, min(at + size, len(data)))
        at += size


def _is_text(head: bytes) -> bool:
    encoding = "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    try:
        text = head.decode(encoding)
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return False
        text = head[: error.start].decode(encoding)
    return bool(text) and all(char.isprintable() or char in "\r\n\t\f\ufeff" for char in text)

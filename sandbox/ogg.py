"""How long an Ogg Opus recording is and how loud it goes, read from its pages without decoding it.

Discord's clients send both with a voice message: the length in seconds and up to 256 bytes of waveform. The waveform is
for the eye alone, so the size of the Opus packets stands in for loudness.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Final

_HEADER: Final = struct.Struct("<4sBBqIIIB")
_RATE_HZ: Final = 48_000
_WAVEFORM_POINTS: Final = 256
_POINTS_PER_S: Final = 10


def describe(ogg: bytes) -> tuple[float, str]:
    """The length in seconds and the waveform in base64.

    Raises:
        ValueError: this is not Ogg Opus.
    """
    sizes: list[int] = []
    pre_skip = 0
    end = 0
    for number, (granule, packets) in enumerate(_pages(ogg)):
        if number == 0:
            if not packets or not packets[0].startswith(b"OpusHead") or len(packets[0]) < 12:
                raise ValueError("not Ogg Opus")
            pre_skip = struct.unpack_from("<H", packets[0], 10)[0]
        elif number > 1:
            sizes += [len(packet) for packet in packets]
        end = max(end, granule)
    duration_s = max(end - pre_skip, 0) / _RATE_HZ
    return round(duration_s, 3), base64.b64encode(_waveform(sizes, duration_s)).decode()


def _pages(ogg: bytes) -> Iterator[tuple[int, list[bytes]]]:
    offset = 0
    while offset + _HEADER.size <= len(ogg):
        magic, _, _, granule, _, _, _, count = _HEADER.unpack_from(ogg, offset)
        if magic != b"OggS":
            raise ValueError("not Ogg")
        lacing = ogg[offset + _HEADER.size : offset + _HEADER.size + count]
        offset += _HEADER.size + count
        packets: list[bytes] = []
        size = 0
        for value in lacing:
            size += value
            if value < 255:
                packets.append(ogg[offset : offset + size])
                offset += size
                size = 0
        offset += size
        yield granule, packets
    if offset == 0:
        raise ValueError("not Ogg")


def _waveform(sizes: list[int], duration_s: float) -> bytes:
    points = max(1, min(_WAVEFORM_POINTS, round(duration_s * _POINTS_PER_S)))
    if not sizes:
        return bytes(points)
    loudest = max(sizes)
    chunks = [sizes[i * len(sizes) // points : (i + 1) * len(sizes) // points] for i in range(points)]
    return bytes(round(255 * max(chunk, default=0) / loudest) for chunk in chunks)

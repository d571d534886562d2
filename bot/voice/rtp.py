"""RTP as Discord sends it (RFC 3550): the header in the clear, and what surrounds the media inside the encrypted part.

Pure functions over bytes. Anything may arrive on a UDP port, so a refusal is a value, not an exception.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

OPUS_PAYLOAD_TYPE: Final = 120
_VERSION: Final = 2
_FIXED: Final = struct.Struct(">BBHII")
_EXTENSION: Final = struct.Struct(">HH")
NONCE_BYTES: Final = 4
HALF_SEQUENCE: Final = 1 << 15
HALF_TIMESTAMP: Final = 1 << 31
"""Half of what sequence numbers and timestamps count to before they begin anew."""
TAG_BYTES: Final = 16
MIN_DATAGRAM_BYTES: Final = _FIXED.size + TAG_BYTES + NONCE_BYTES
"""Less cannot hold a header, a seal and a nonce."""


class RtpHeader(NamedTuple):
    sequence: int
    """16 bits, one a packet; wraps after 21.8 min."""
    timestamp: int
    """32 bits at 48 kHz; wraps after 24.9 h."""
    ssrc: int
    clear_bytes: int
    """How much of the datagram stays unencrypted and is the seal's associated data."""
    extension_bytes: int
    """Length of the header extension's body, which begins the encrypted part."""
    padded: bool


def is_audio(datagram: bytes) -> bool:
    """Whether the datagram claims to be RTP version 2 with Discord's Opus payload type."""
    return len(datagram) >= 2 and datagram[0] >> 6 == _VERSION and datagram[1] & 0x7F == OPUS_PAYLOAD_TYPE


def ssrc_of(datagram: bytes) -> int:
    """The SSRC of a datagram of at least `MIN_DATAGRAM_BYTES`: enough to ask for consent before anything else."""
    return int.from_bytes(datagram[8:12], "big")


def after(number: int, other: int, half: int) -> int:
    """How far `number` lies after `other`, counted modulo 2 · `half`: at least −`half`, and less than `half`."""
    return (number - other + half) % (2 * half) - half


def sequence_of(datagram: bytes) -> int:
    """The sequence number of a datagram of at least `MIN_DATAGRAM_BYTES`."""
    return int.from_bytes(datagram[2:4], "big")


def parse_header(datagram: bytes) -> RtpHeader | None:
    """The header, or None when the datagram is no RTP packet that could carry a sealed payload."""
    size = len(datagram)
    if size < MIN_DATAGRAM_BYTES:
        return None
    first, _, sequence, timestamp, ssrc = _FIXED.unpack_from(datagram)
    if first >> 6 != _VERSION:
        return None
    clear_bytes = _FIXED.size + 4 * (first & 0x0F)
    extension_bytes = 0
    if first & 0x10:
        if clear_bytes + _EXTENSION.size > size:
            return None
        extension_bytes = 4 * _EXTENSION.unpack_from(datagram, clear_bytes)[1]
        clear_bytes += _EXTENSION.size
    if clear_bytes + TAG_BYTES + NONCE_BYTES > size:
        return None
    return RtpHeader(sequence, timestamp, ssrc, clear_bytes, extension_bytes, bool(first & 0x20))


def media_of(header: RtpHeader, opened: bytes) -> bytes | None:
    """The media in a decrypted payload, without extension and padding; b"" for padding alone; None when malformed.

    Padding left on hides the trailer by which DAVE marks its frames, and the frame then passes for an unencrypted one.
    """
    end = len(opened)
    if header.padded:
        padding = opened[-1] if opened else 0
        if padding == 0 or padding > end:
            return None
        end -= padding
    if header.extension_bytes > end:
        return None
    return opened[header.extension_bytes : end]

"""Both encryptions, extension and padding off a packet, or the reason why not, counted."""

from __future__ import annotations

from typing import Protocol

from . import dave, rtp
from .counters import ReceiveCounters
from .dave import DaveSession, Refusal
from .hold import Packet
from .rtp import RtpHeader
from .speaker import Stream
from .transport import Opener


class MediaKeys(Protocol):
    """What opens the connection's media now; asked for each packet, because all of it changes in a call."""

    def transport(self) -> tuple[str, bytes] | None:
        """Mode and key; None before the server has told them."""

    def dave(self) -> tuple[DaveSession | None, int]:
        """The DAVE session and the protocol version."""


class PacketOpener:
    """Opens packets in place: afterwards they hold header and payload instead of the datagram."""

    def __init__(self, counters: ReceiveCounters) -> None:
        self._counters = counters
        self._opener = Opener()

    def open(self, packet: Packet, mode: str, key: bytes) -> RtpHeader | None:
        """Take the transport's encryption off; the packet's header, or None when the packet is dropped."""
        header = rtp.parse_header(packet.datagram)
        if header is None:
            self._counters.dropped_malformed += 1
            return None
        opened = self._opener.open(packet.datagram, header, mode, key)
        if opened is None:
            self._counters.dropped_transport += 1
            return None
        media = rtp.media_of(header, opened)
        if media is None:
            self._counters.dropped_bad_payload += 1
            return None
        packet.header, packet.payload, packet.datagram = header, media, b""
        return header

    def decrypt(
        self, packet: Packet, header: RtpHeader, stream: Stream, session: DaveSession | None, version: int
    ) -> bytes | Refusal | None:
        """End-to-end decryption: the Opus packet, empty for padding alone, or why not yet; None for a duplicate."""
        key = header.sequence << 32 | header.timestamp
        if key in stream.heard:
            self._counters.dropped_duplicate += 1
            return None
        if not packet.payload:
            return b""
        result = dave.decrypt(session, version, packet.user_id, packet.payload)
        if result and not isinstance(result, Refusal):
            self._counters.decrypted += 1
            stream.remember(key)
        return result

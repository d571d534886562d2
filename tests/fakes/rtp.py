"""Datagrams as Discord's voice server sends them, made from parts."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt

from bot.voice.transport import AES256_GCM, XCHACHA20

KEY = bytes(range(32))


@dataclass(kw_only=True)
class RtpSender:
    """One stream. `packet()` moves sequence and timestamp on by one packet of 20 ms unless told otherwise."""

    ssrc: int
    mode: str = XCHACHA20
    key: bytes = KEY
    sequence: int = 0
    timestamp: int = 0
    nonce: int = field(default=0)

    def packet(
        self,
        media: bytes,
        *,
        extension: bytes = b"",
        csrcs: int = 0,
        padding: int = 0,
        payload_type: int = 120,
        marker: bool = False,
    ) -> bytes:
        assert len(extension) % 4 == 0
        first = 0x80 | (0x20 if padding else 0) | (0x10 if extension else 0) | csrcs
        header = struct.pack(
            ">BBHII", first, payload_type | (0x80 if marker else 0), self.sequence, self.timestamp, self.ssrc
        )
        header += bytes(4 * csrcs)
        if extension:
            header += struct.pack(">HH", 0xBEDE, len(extension) // 4)
        tail = bytes(padding - 1) + bytes([padding]) if padding else b""
        datagram = self.seal(header, extension + media + tail)
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + 960) & 0xFFFFFFFF
        return datagram

    def skip(self, packets: int = 1) -> None:
        """Speak packets that are lost on the way."""
        self.sequence = (self.sequence + packets) & 0xFFFF
        self.timestamp = (self.timestamp + 960 * packets) & 0xFFFFFFFF

    def pause(self, samples_48k: int) -> None:
        """Be silent: the timestamps go on, the sequence numbers do not."""
        self.timestamp = (self.timestamp + samples_48k) & 0xFFFFFFFF

    def seal(self, header: bytes, payload: bytes) -> bytes:
        self.nonce += 1
        counter = self.nonce.to_bytes(4, "big")
        if self.mode == AES256_GCM:
            sealed = AESGCM(self.key).encrypt(counter + bytes(8), payload, header)
        else:
            sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(payload, header, counter + bytes(20), self.key)
        return header + sealed + counter

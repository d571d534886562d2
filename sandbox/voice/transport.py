"""RTP as Discord uses it: header, extension and padding, and the encryption between a client and the server.

In the ``rtpsize`` modes the fixed header, the CSRCs and the four bytes that announce an extension stay clear and are
authenticated; everything behind them, the extension's body and the padding included, is encrypted. The last four bytes
of the datagram are the nonce.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt as _open_xchacha,
)
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_encrypt as _seal_xchacha,
)
from nacl.exceptions import CryptoError

Mode = Literal["aead_aes256_gcm_rtpsize", "aead_xchacha20_poly1305_rtpsize"]
MODES: Final[tuple[Mode, ...]] = ("aead_aes256_gcm_rtpsize", "aead_xchacha20_poly1305_rtpsize")

OPUS_PAYLOAD_TYPE: Final = 120
FIXED_HEADER_BYTES: Final = 12
NONCE_BYTES: Final = 4
TAG_BYTES: Final = 16
_HEADER = struct.Struct(">BBHII")
_EXTENSION = struct.Struct(">HH")
_ONE_BYTE_EXTENSIONS: Final = 0xBEDE


class BadPacket(ValueError):
    """A datagram that is no RTP packet of ours, or whose encryption does not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rtp:
    """One RTP packet, its payload as it is between transport encryption and end-to-end encryption."""

    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    payload_type: int = OPUS_PAYLOAD_TYPE
    extension: bytes = b""
    """The extension's body, a multiple of four bytes; nothing when there is none."""
    padding: int = 0
    """Bytes of RTP padding after the payload, 0 to 255."""
    sources: tuple[int, ...] = ()
    """Contributing sources (CSRC) in the header, at most 15."""

    def split(self) -> tuple[bytes, bytes]:
        """The clear part and the part to encrypt."""
        first = 0x80 | (0x20 if self.padding else 0) | (0x10 if self.extension else 0) | len(self.sources)
        clear = _HEADER.pack(first, self.payload_type, self.sequence, self.timestamp, self.ssrc)
        clear += b"".join(source.to_bytes(4, "big") for source in self.sources)
        if self.extension:
            clear += _EXTENSION.pack(_ONE_BYTE_EXTENSIONS, len(self.extension) // 4)
        tail = bytes(self.padding - 1) + bytes([self.padding]) if self.padding else b""
        return clear, self.extension + self.payload + tail


class _Aead(Protocol):
    def seal(self, plain: bytes, clear: bytes, nonce: bytes) -> bytes: ...
    def open(self, sealed: bytes, clear: bytes, nonce: bytes) -> bytes: ...


class _Aes256Gcm:
    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes, clear: bytes, nonce: bytes) -> bytes:
        return self._cipher.encrypt(nonce + bytes(8), plain, clear)

    def open(self, sealed: bytes, clear: bytes, nonce: bytes) -> bytes:
        try:
            return self._cipher.decrypt(nonce + bytes(8), sealed, clear)
        except InvalidTag:
            raise BadPacket("transport decryption failed") from None


class _XChaCha20Poly1305:
    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, plain: bytes, clear: bytes, nonce: bytes) -> bytes:
        return _seal_xchacha(plain, clear, nonce + bytes(20), self._key)

    def open(self, sealed: bytes, clear: bytes, nonce: bytes) -> bytes:
        try:
            return _open_xchacha(sealed, clear, nonce + bytes(20), self._key)
        except CryptoError:
            raise BadPacket("transport decryption failed") from None


_CIPHERS: Final[dict[Mode, Callable[[bytes], _Aead]]] = {
    "aead_aes256_gcm_rtpsize": _Aes256Gcm,
    "aead_xchacha20_poly1305_rtpsize": _XChaCha20Poly1305,
}


class Transport:
    """Transport encryption of one connection; both ends hold one with the same key, and each counts its own nonces."""

    def __init__(self, mode: Mode, key: bytes | None = None) -> None:
        self.mode = mode
        self.key = secrets.token_bytes(32) if key is None else key
        self._aead = _CIPHERS[mode](self.key)
        self._nonce = secrets.randbits(24)

    def seal(self, packet: Rtp) -> bytes:
        """The datagram for `packet`."""
        clear, plain = packet.split()
        self._nonce = (self._nonce + 1) & 0xFFFFFFFF
        nonce = self._nonce.to_bytes(NONCE_BYTES, "big")
        return clear + self._aead.seal(plain, clear, nonce) + nonce

    def open(self, datagram: bytes) -> Rtp:
        """The packet in `datagram`, extension and padding told apart from the payload.

        Raises:
            BadPacket: too short, not RTP, or not encrypted with this key.
        """
        clear, extension_bytes = _clear_part(datagram)
        body = datagram[len(clear) : -NONCE_BYTES]
        plain = self._aead.open(body, clear, datagram[-NONCE_BYTES:])
        if extension_bytes > len(plain):
            raise BadPacket("an extension longer than the packet")
        payload, padding = plain[extension_bytes:], 0
        if clear[0] & 0x20:
            padding = payload[-1] if payload else 0
            if not 0 < padding <= len(payload):
                raise BadPacket("padding longer than the packet")
            payload = payload[:-padding]
        _, kind, sequence, timestamp, ssrc = _HEADER.unpack_from(clear)
        return Rtp(
            sequence=sequence,
            timestamp=timestamp,
            ssrc=ssrc,
            payload=payload,
            payload_type=kind & 0x7F,
            extension=plain[:extension_bytes],
            padding=padding,
            sources=struct.unpack_from(f">{clear[0] & 0x0F}I", clear, FIXED_HEADER_BYTES),
        )


def ssrc_of(datagram: bytes) -> int | None:
    """The sender's SSRC of what looks like RTP; None for anything else."""
    if len(datagram) < FIXED_HEADER_BYTES + TAG_BYTES + NONCE_BYTES or datagram[0] >> 6 != 2:
        return None
    return int.from_bytes(datagram[8:12], "big")


def _clear_part(datagram: bytes) -> tuple[bytes, int]:
    if ssrc_of(datagram) is None:
        raise BadPacket("not an encrypted RTP packet")
    size = FIXED_HEADER_BYTES + 4 * (datagram[0] & 0x0F)
    extension_bytes = 0
    if datagram[0] & 0x10:
        size += _EXTENSION.size
        if size > len(datagram):
            raise BadPacket("cut off in the header")
        extension_bytes = 4 * int.from_bytes(datagram[size - 2 : size], "big")
    if size + TAG_BYTES + NONCE_BYTES > len(datagram):
        raise BadPacket("cut off in the header")
    return datagram[:size], extension_bytes

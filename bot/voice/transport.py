"""The transport's encryption, between Discord's voice server and us: the two AEAD modes Discord has not retired.

In both the RTP header is associated data and the datagram's last four bytes begin the nonce, which zeros fill up. The
key is asked for with each packet: it changes with each connection, and a cached one makes a client deaf after a move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as open_xchacha
from nacl.exceptions import CryptoError

from .rtp import NONCE_BYTES, RtpHeader

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError:  # discord.py does not bring it along; then XChaCha20, which every voice server offers, has to do
    AESGCM, InvalidTag = None, CryptoError  # type: ignore[assignment,misc]

XCHACHA20: Final = "aead_xchacha20_poly1305_rtpsize"
AES256_GCM: Final = "aead_aes256_gcm_rtpsize"
KEY_BYTES: Final = 32
_Open = Callable[[bytes, bytes, bytes], bytes]
"""Nonce as sent, sealed part, clear part → what was sealed."""
_XCHACHA_FILL: Final = bytes(24 - NONCE_BYTES)
_GCM_FILL: Final = bytes(12 - NONCE_BYTES)


def _xchacha(key: bytes) -> _Open:
    return lambda nonce, sealed, clear: open_xchacha(sealed, clear, nonce + _XCHACHA_FILL, key)


def _gcm(key: bytes) -> _Open:
    decrypt = AESGCM(key).decrypt
    return lambda nonce, sealed, clear: decrypt(nonce + _GCM_FILL, sealed, clear)


_CIPHERS: Final[Mapping[str, Callable[[bytes], _Open]]] = {XCHACHA20: _xchacha} | (
    {AES256_GCM: _gcm} if AESGCM is not None else {}
)
MODES: Final = tuple(_CIPHERS)
"""The modes that can be opened here. The voice server names those it offers, the one it likes best first."""


class Opener:
    """Takes the transport's encryption off. The cipher is made anew whenever the key or the mode is another one."""

    def __init__(self) -> None:
        self._mode = ""
        self._key = b""
        self._open: _Open | None = None

    def open(self, datagram: bytes, header: RtpHeader, mode: str, key: bytes) -> bytes | None:
        """The decrypted payload (extension body, media, padding); None when the seal is broken or the mode unknown."""
        if key != self._key or mode != self._mode:
            make = _CIPHERS.get(mode)
            self._open = make(key) if make is not None and len(key) == KEY_BYTES else None
            self._mode, self._key = mode, key
        if self._open is None:
            return None
        end = header.clear_bytes
        try:
            return self._open(datagram[-NONCE_BYTES:], datagram[end:-NONCE_BYTES], datagram[:end])
        except (CryptoError, InvalidTag):
            return None


def seal_gcm(header: bytes, payload: bytes, nonce: int, key: bytes) -> bytes:
    """A datagram in AES-256-GCM mode, which discord.py cannot make itself (it knows XChaCha20 only)."""
    counter = nonce.to_bytes(NONCE_BYTES, "big")
    return header + AESGCM(key).encrypt(counter + _GCM_FILL, payload, header) + counter

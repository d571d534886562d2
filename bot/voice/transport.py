"""The transport's encryption, between Discord's voice server and us: the two AEAD modes Discord has not retired.

In both the RTP header is associated data and the datagram's last four bytes begin the nonce, which zeros fill up. The
key comes with every call: it changes with each connection, and a cached one is how a client goes deaf after a move.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as open_xchacha
from nacl.exceptions import CryptoError

from .rtp import NONCE_BYTES, RtpHeader

XCHACHA20: Final = "aead_xchacha20_poly1305_rtpsize"
AES256_GCM: Final = "aead_aes256_gcm_rtpsize"
KEY_BYTES: Final = 32
_XCHACHA_FILL: Final = bytes(24 - NONCE_BYTES)
_GCM_FILL: Final = bytes(12 - NONCE_BYTES)


def _xchacha(sealed: bytes, clear: bytes, nonce: bytes, key: bytes) -> bytes:
    return open_xchacha(sealed, clear, nonce + _XCHACHA_FILL, key)


def _gcm(sealed: bytes, clear: bytes, nonce: bytes, key: bytes) -> bytes:
    return AESGCM(key).decrypt(nonce + _GCM_FILL, sealed, clear)


_OPEN: Final[dict[str, Callable[[bytes, bytes, bytes, bytes], bytes]]] = {XCHACHA20: _xchacha, AES256_GCM: _gcm}
MODES: Final = tuple(_OPEN)


def open_datagram(datagram: bytes, header: RtpHeader, *, mode: str, key: bytes) -> bytes | None:
    """The decrypted payload (extension body, media, padding), or None when the seal is broken or the mode unknown."""
    opener = _OPEN.get(mode)
    if opener is None or len(key) != KEY_BYTES:
        return None
    clear = datagram[: header.clear_bytes]
    try:
        return opener(datagram[header.clear_bytes : -NONCE_BYTES], clear, datagram[-NONCE_BYTES:], key)
    except (CryptoError, InvalidTag):
        return None


def seal_gcm(header: bytes, payload: bytes, nonce: int, key: bytes) -> bytes:
    """A datagram in AES-256-GCM mode, which discord.py cannot make itself (it knows XChaCha20 only)."""
    counter = nonce.to_bytes(NONCE_BYTES, "big")
    return header + AESGCM(key).encrypt(counter + _GCM_FILL, payload, header) + counter

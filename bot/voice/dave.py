"""DAVE, the end-to-end encryption between the people of a call: one packet in, media or the reason why not out.

The session belongs to the connection and is replaced at every reconnect, so it is asked for at each packet. davey's
only exception is `ValueError`, and its kinds differ in a word of the text; a panic in its Rust code arrives as a
`BaseException` of its own. Nothing of a session may be logged: its `repr` tells secrets.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Protocol

import davey

from ser_engine.opus import SILENCE

MARKER: Final = b"\xfa\xfa"
"""The last two bytes of every frame that DAVE encrypted."""
_AUDIO: Final = davey.MediaType.audio
_MIN_TRAILER_BYTES: Final = 8 + 1 + 1 + len(MARKER)
"""Truncated tag, nonce, size and marker: what the size before the marker counts at the least."""


class Refusal(Enum):
    """Why a packet could not be decrypted now; a later epoch's keys may still do it."""

    UNENCRYPTED = "unencrypted"
    NO_KEY = "no_key"
    NOT_IN_GROUP = "not_in_group"
    OTHER = "other"
    PANIC = "panic"


_KINDS: Final = (
    ("UnencryptedWhenPassthroughDisabled", Refusal.UNENCRYPTED),
    ("NoValidCryptorFound", Refusal.NO_KEY),
    ("NoDecryptorForUser", Refusal.NOT_IN_GROUP),
)


class DaveSession(Protocol):
    """The part of `davey.DaveSession` that receiving needs."""

    def decrypt(self, user_id: int, media_type: davey.MediaType, packet: bytes) -> bytes: ...


def is_panic(error: BaseException) -> bool:
    """Whether `error` is a panic in a Rust library: pyo3's own class, which it exports under no importable name."""
    return type(error).__name__ == "PanicException" and type(error).__module__.startswith("pyo3")


def classify(error: ValueError) -> Refusal:
    text = str(error)
    for word, refusal in _KINDS:
        if word in text:
            return refusal
    return Refusal.OTHER


def looks_encrypted(payload: bytes) -> bool:
    """Whether a frame ends as DAVE's frames do; a plain Opus packet does so once in a million."""
    return payload.endswith(MARKER) and len(payload) > 2 and _MIN_TRAILER_BYTES <= payload[-3] <= len(payload)


def decrypt(session: DaveSession | None, version: int, user_id: int, payload: bytes) -> bytes | Refusal:
    """The Opus packet inside `payload`, or why it cannot be had yet.

    Silence passes unencrypted always; everything passes as it is while the call runs at version 0, except frames that
    carry DAVE's marker, which a call brings along for a while after a downgrade.
    """
    if payload == SILENCE:
        return payload
    if version == 0 and not looks_encrypted(payload):
        return payload
    if session is None:
        return Refusal.NOT_IN_GROUP if version else payload
    try:
        return session.decrypt(user_id, _AUDIO, payload)
    except ValueError as error:
        return classify(error)
    except BaseException as error:
        if is_panic(error):
            return Refusal.PANIC
        raise

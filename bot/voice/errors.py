"""What the voice layer can refuse, as one tree.

    VoiceError
    ├── IncompatibleLibrary   discord.py or davey is not the version whose private parts this layer knows
    └── CannotJoin            the call could not be joined; `reason` says why

Nothing that a packet or a gateway message contains is ever raised: those are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from .states import Reason


class VoiceError(Exception):
    """Base of all errors of the voice layer."""

    code: ClassVar[str] = "voice_error"
    retryable: ClassVar[bool] = False


class IncompatibleLibrary(VoiceError):
    code = "incompatible_library"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("Undertone cannot hear calls with the libraries installed here: " + "; ".join(problems))
        self.problems = tuple(problems)


class CannotJoin(VoiceError):
    code = "cannot_join"
    retryable = True

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason

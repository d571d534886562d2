"""How much of a recording is taken on. One place: sentences, doors and documents fill these in."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeLimits:
    """How much of a stranger's file is taken on."""

    max_bytes: int = 25 * 1024 * 1024
    max_duration_s: float = 600.0
    """Of sound; pauses do not count."""
    max_decode_s: float = 60.0

    @property
    def in_words(self) -> str:
        return f"up to {self.megabytes} MB and {self.minutes} minutes"

    @property
    def megabytes(self) -> str:
        return f"{self.max_bytes / 2**20:.0f}"

    @property
    def minutes(self) -> str:
        return f"{self.max_duration_s / 60:g}"


DEFAULT_LIMITS: Final = DecodeLimits()
"""What every door takes."""
NO_LIMITS: Final = DecodeLimits(max_bytes=sys.maxsize, max_duration_s=math.inf, max_decode_s=math.inf)
"""For one's own files on one's own machine."""

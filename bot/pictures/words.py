"""What is written in the summary picture, in the language of who sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bot.pictures.palette import tone

MAX_SPEAKERS: Final = 16
"""As many as are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    title: str = "How it sounded"
    facts: str = ""
    foot: str = "How it sounds, not how anybody feels. Stronger colour: surer. Hatched: unclear."
    more: str = ""
    """Said when there are more speakers than are drawn."""
    tones: Mapping[str, str] = field(default_factory=dict)
    """Words for labels, where the palette's are not meant."""

    def tone(self, label: str) -> str:
        return self.tones.get(label, tone(label).word)


ENGLISH: Final = Words()

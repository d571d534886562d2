"""The repository's own real clips, decoded once a process."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ser_engine.audio import decode
from ser_engine.types import Pcm

CLIPS = Path(__file__).resolve().parents[2] / "sandbox" / "clips"


def clip_paths() -> list[Path]:
    """All forty, sorted by name."""
    return sorted(CLIPS.glob("*.flac"))


@cache
def clip(path: Path) -> Pcm:
    return decode(path.read_bytes(), filename=path.name)

"""The recordings that come with the sandbox: actors of CREMA-D, and one of them as a voice message.

The clips and their licence are in ``clips/``; what an actor was asked to sound like is in ``clips.csv``.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "clips"
INTENTIONS: Final = {"ANG": "angry", "DIS": "disgusted", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    path: Path
    actor: str
    intended: str
    """What the actor was asked to sound like, a word of `INTENTIONS`."""
    duration_s: float


@cache
def recordings() -> tuple[Recording, ...]:
    with (FOLDER / "clips.csv").open(encoding="utf-8", newline="") as lines:
        return tuple(
            Recording(
                path=FOLDER / row["file"],
                actor=row["actor"],
                intended=INTENTIONS[row["intended"]],
                duration_s=float(row["duration_s"]),
            )
            for row in csv.DictReader(lines)
        )


def as_voice_message(path: Path) -> bytes:
    """An audio file as phones send a voice message: Ogg Opus, 48 kHz mono. Blocking; call it in a thread."""
    import av  # only when somebody sends one

    container = io.BytesIO()
    with av.open(container, "w", format="ogg") as out, av.open(str(path)) as source:
        stream = out.add_stream("libopus", rate=48_000, layout="mono")
        resampler = av.AudioResampler(format="s16", layout="mono", rate=48_000)
        for frame in [*source.decode(audio=0), None]:
            for block in resampler.resample(frame):
                out.mux(stream.encode(block))
        out.mux(stream.encode(None))
    return container.getvalue()

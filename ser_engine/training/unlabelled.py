"""What a model makes of recordings that have no label: ordinary speech, in which nobody acts, and sounds.

`undertone evaluate` on a folder whose table has no label. There is no right answer; there is a wrong one: an emotion,
named as clear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ser_engine.recognizer import Recognizer
from ser_engine.segmenter import segment_pcm
from ser_engine.summary import summarise
from ser_engine.training.material import read_samples, recordings
from ser_engine.training.metrics import rounded
from ser_engine.training.recipes import Progress
from ser_engine.training.report import table
from ser_engine.training.tables import read_table
from ser_engine.types import Prediction

_GROUPS: Final = ("corpus", "kind")
"""Columns that may name what a recording belongs to; the first that is there counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    path: Path
    group: str


def has_labels(folder: Path) -> bool:
    """Whether the table of `folder` names a label for each recording. Raises CorpusError."""
    return "label" in read_table(folder).columns


def read_unlabelled(folder: Path) -> list[Recording]:
    """The recordings of `folder`. Raises CorpusError."""
    whole = (folder if folder.is_dir() else folder.parent).resolve().name  # not that of its folder audio
    return [
        Recording(path=path, group=next((row[name] for name in _GROUPS if row.get(name)), whole))
        for path, row in recordings(folder)
    ]


def measure_unlabelled(model: Recognizer, clips: Sequence[Recording], progress: Progress) -> dict[str, Any]:
    """By group and over all: recordings, windows, and the shares of them that are called clear with an emotion.

    Raises CorpusError when a recording cannot be read.
    """
    progress.stage(f"{model.info.name}, without labels", len(clips))
    counts: dict[str, dict[str, int]] = {}
    for recording in clips:
        windows = segment_pcm(read_samples(recording.path))
        answers = model.predict(windows, {})
        summary = summarise(list(zip(windows, answers, strict=True))) if windows else None
        for group in (recording.group, "all"):
            found = counts.setdefault(group, dict.fromkeys(("files", "windows", "files_clear", "windows_clear"), 0))
            found["files"] += 1
            found["windows"] += len(windows)
            found["files_clear"] += summary is not None and _names_an_emotion(summary)
            found["windows_clear"] += sum(_names_an_emotion(answer) for answer in answers)
        progress.advance()
    result: dict[str, Any] = rounded(
        {
            group: {
                "files": found["files"],
                "windows": found["windows"],
                "files_clear": found["files_clear"] / max(1, found["files"]),
                "windows_clear": found["windows_clear"] / max(1, found["windows"]),
            }
            for group, found in sorted(counts.items())
        }
    )
    return result


def to_markdown(found: dict[str, dict[str, Any]]) -> str:
    """A table of `measure_unlabelled`, of one model."""
    clear = "called clear with an emotion"
    return table(
        ("recordings", "files", clear, "windows", clear),
        [
            (
                *(group, str(entry["files"]), f"{entry['files_clear']:.1%}"),
                *(str(entry["windows"]), f"{entry['windows_clear']:.1%}"),
            )
            for group, entry in found.items()
        ],
    )


def _names_an_emotion(answer: Prediction) -> bool:
    return not answer.unclear and answer.emotion != "Neutral"

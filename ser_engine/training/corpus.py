"""A folder of labelled recordings: CREMA-D as it is published here, or one's own.

The folder holds a table (`manifest.csv`, `labels.csv`, or the only CSV in it) and the audio, beside it or in `audio/`.
A row is a recording. Columns, with CREMA-D's names in brackets: `file`, `label` (`intended`), `speaker` (`actor`);
optional are `split`, `sex`, `age`, `sentence`, `level`, `flag` (a row with one is left out) and `votes_anger`,
`votes_happy`, … (how many listeners chose each emotion).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ser_engine.audio import decode
from ser_engine.errors import CorpusError, EngineError
from ser_engine.training.tables import RecordingsRow, RecordingsTable, read_table
from ser_engine.types import Pcm

LABELS: Final = ("Angry", "Happy", "Sad", "Disgust", "Neutral")
"""Every emotion there is a name for. The old app's four come first, in its order."""

_SPELLINGS: Final = {
    "Angry": ("angry", "anger", "ang", "a"),
    "Happy": ("happy", "happiness", "joy", "hap", "h"),
    "Sad": ("sad", "sadness", "s"),
    "Disgust": ("disgust", "disgusted", "dis", "d"),
    "Neutral": ("neutral", "neu", "calm", "n"),
}
_LABEL_OF: Final = {spelling: label for label, spellings in _SPELLINGS.items() for spelling in spellings}
_VOTE_COLUMNS: Final = {
    "votes_anger": "Angry",
    "votes_happy": "Happy",
    "votes_sad": "Sad",
    "votes_disgust": "Disgust",
    "votes_neutral": "Neutral",
    "votes_fear": "Fear",
}
_OLDEST: Final = 130
_LONGEST_COUNT: Final = 9
"""In digits; Python makes no number of thousands."""
SPLITS: Final = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One recording and what is known about it."""

    path: Path
    speaker: str
    label: str
    """One of `LABELS`: what the speaker meant."""
    split: str | None = None
    """``train``, ``validation`` or ``test``; None where the table does not say."""
    votes: Mapping[str, int] = field(default_factory=dict)
    """How many listeners heard each emotion, the five of `LABELS` and Fear; empty where nobody was asked."""
    sex: str | None = None
    age: int | None = None
    sentence: str | None = None
    level: str | None = None

    def read(self) -> Pcm:
        """The samples, 16 kHz mono. Raises CorpusError naming the file."""
        try:
            return decode(self.path.read_bytes(), filename=self.path.name)
        except (OSError, EngineError) as error:
            raise CorpusError(f"{self.path} cannot be used: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Labelled recordings, in the table's order."""

    name: str
    clips: tuple[Clip, ...]
    left_out: int = 0
    """Rows with a flag."""

    @property
    def speakers(self) -> tuple[str, ...]:
        return tuple(sorted({clip.speaker for clip in self.clips}))

    def with_labels(self, labels: Iterable[str]) -> Corpus:
        """Only the clips that carry one of `labels`."""
        wanted = set(labels)
        return Corpus(
            name=self.name,
            clips=tuple(clip for clip in self.clips if clip.label in wanted),
            left_out=self.left_out,
        )

    def of_speakers(self, speakers: Iterable[str]) -> Corpus:
        """Only the clips of `speakers`."""
        wanted = set(speakers)
        return Corpus(
            name=self.name,
            clips=tuple(clip for clip in self.clips if clip.speaker in wanted),
            left_out=self.left_out,
        )


def read_corpus(folder: Path) -> Corpus:
    """Read the table of `folder` (or the CSV that `folder` names) and check that every recording is there.

    Raises CorpusError in words: no table, a missing column, an unknown label, a missing file, the same file twice, a
    speaker in two splits, nothing left.
    """
    table = read_table(folder, "file", "label", "speaker")
    kept = [row for row in table.rows if not row.values.get("flag")]
    clips = tuple(_clip(table, row) for row in kept)
    corpus = Corpus(name=table.path.parent.resolve().name, clips=clips, left_out=len(table.rows) - len(kept))
    _check(table.path, corpus)
    return corpus


def _clip(table: RecordingsTable, row: RecordingsRow) -> Clip:
    where, values = row.where, row.values
    if not values["file"] or not values["speaker"]:
        raise CorpusError(f"{where}: file and speaker must not be empty.")
    label = _LABEL_OF.get(values["label"].lower())
    if label is None:
        raise CorpusError(f"{where}: {values['label']!r} is not a label; known are {', '.join(LABELS)}.")
    split = values.get("split", "").lower() or None
    if split is not None and split not in SPLITS:
        raise CorpusError(f"{where}: {split!r} is not a split; known are {', '.join(SPLITS)}.")
    return Clip(
        path=table.recording(row),
        speaker=values["speaker"],
        label=label,
        split=split,
        votes=_votes(values, where),
        sex=values.get("sex") or None,
        age=_count(values.get("age"), where, "age", most=_OLDEST),
        sentence=values.get("sentence") or None,
        level=values.get("level") or None,
    )


def _votes(values: Mapping[str, str], where: str) -> dict[str, int]:
    found = {label: _count(values.get(column), where, column) for column, label in _VOTE_COLUMNS.items()}
    return {label: count for label, count in found.items() if count is not None}


def _count(text: str | None, where: str, column: str, most: int = 10_000) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > _LONGEST_COUNT or int(text) > most:
        raise CorpusError(f"{where}: {column} must be a whole number, 0 to {most}, or empty, not {text!r}.")
    return int(text)


def _check(table: Path, corpus: Corpus) -> None:
    if not corpus.clips:
        raise CorpusError(f"{table} names no recording.")
    twice = [path for path, count in Counter(clip.path for clip in corpus.clips).items() if count > 1]
    if twice:
        raise CorpusError(f"{table} names {twice[0].name} more than once; a recording has one label.")
    stated = [clip for clip in corpus.clips if clip.split is not None]
    if stated and len(stated) < len(corpus.clips):
        raise CorpusError(f"{table} states a split for some rows and not for others; state it for all or for none.")
    splits: dict[str, str | None] = {}
    for clip in stated:
        if splits.setdefault(clip.speaker, clip.split) != clip.split:
            raise CorpusError(
                f"{table} puts speaker {clip.speaker} into two splits ({splits[clip.speaker]} and {clip.split}). A "
                "network that has heard a voice in training knows it again, and every figure is inflated."
            )

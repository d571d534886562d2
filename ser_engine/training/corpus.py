"""A folder of labelled recordings: CREMA-D as it is published here, or one's own.

The folder holds a table (`manifest.csv`, `labels.csv`, or the only CSV in it) and the audio, beside it or in `audio/`.
A row is a recording. Columns, with CREMA-D's names in brackets: `file`, `label` (`intended`), `speaker` (`actor`);
optional are `split`, `sex`, `age`, `sentence`, `level`, `flag` (a row with one is left out) and `votes_anger`,
`votes_happy`, … (how many listeners chose each emotion).
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ser_engine.audio import decode
from ser_engine.errors import CorpusError, EngineError
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
_TABLES: Final = ("manifest.csv", "labels.csv")
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
    table = _find_table(folder)
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, dialect=_dialect(table))
            columns = _columns(table, reader.fieldnames or ())
            rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError as error:
        raise CorpusError(f"{table} is not in UTF-8; save it again as CSV UTF-8.") from error
    except (OSError, csv.Error) as error:
        raise CorpusError(f"{table} cannot be read as a CSV file: {error}.") from error
    clips, left_out = [], 0
    for number, row in rows:
        values = {name: (row.get(column) or "").strip() for name, column in columns.items()}
        if values.get("flag"):
            left_out += 1
            continue
        clips.append(_clip(table, number, values))
    corpus = Corpus(name=table.parent.resolve().name, clips=tuple(clips), left_out=left_out)
    _check(table, corpus)
    return corpus


def _find_table(folder: Path) -> Path:
    if folder.is_file():
        return folder
    if not folder.is_dir():
        raise CorpusError(f"There is no corpus folder {folder}.")
    for name in _TABLES:
        if (folder / name).is_file():
            return folder / name
    found = sorted(folder.glob("*.csv"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise CorpusError(
            f"{folder} has no table. Put a CSV file with the columns file, label and speaker beside the recordings."
        )
    raise CorpusError(f"{folder} has {len(found)} CSV files; name the right one manifest.csv, or give its own path.")


def _dialect(table: Path) -> type[csv.Dialect]:
    """Comma, semicolon or tab: spreadsheets differ by country."""
    with table.open(encoding="utf-8-sig") as stream:
        first = stream.readline()
    dialect: type[csv.Dialect] = csv.excel
    for separator in (";", "\t"):
        if separator in first and "," not in first:
            dialect = type("dialect", (csv.excel,), {"delimiter": separator})
    return dialect


def _columns(table: Path, header: Iterable[str]) -> dict[str, str]:
    """What we call a column → what the table calls it."""
    present = {name.strip().lower(): name for name in header if name}
    synonyms = {"file": ("file", "path", "filename"), "label": ("label", "intended", "emotion")}
    synonyms |= {"speaker": ("speaker", "actor", "person")}
    columns = {}
    for ours, theirs in synonyms.items():
        match = next((present[name] for name in theirs if name in present), None)
        if match is None:
            raise CorpusError(f"{table} has no column {ours!r}; it needs file, label and speaker.")
        columns[ours] = match
    optional = ("split", "sex", "age", "sentence", "level", "flag", *_VOTE_COLUMNS)
    return columns | {name: present[name] for name in optional if name in present}


def _clip(table: Path, number: int, values: Mapping[str, str]) -> Clip:
    where = f"{table}, line {number}"
    if not values["file"] or not values["speaker"]:
        raise CorpusError(f"{where}: file and speaker must not be empty.")
    label = _LABEL_OF.get(values["label"].lower())
    if label is None:
        raise CorpusError(f"{where}: {values['label']!r} is not a label; known are {', '.join(LABELS)}.")
    split = values.get("split", "").lower() or None
    if split is not None and split not in SPLITS:
        raise CorpusError(f"{where}: {split!r} is not a split; known are {', '.join(SPLITS)}.")
    return Clip(
        path=_audio(table, values["file"], where),
        speaker=values["speaker"],
        label=label,
        split=split,
        votes=_votes(values, where),
        sex=values.get("sex") or None,
        age=_count(values.get("age"), where, "age", most=_OLDEST),
        sentence=values.get("sentence") or None,
        level=values.get("level") or None,
    )


def _audio(table: Path, file: str, where: str) -> Path:
    for folder in (table.parent, table.parent / "audio"):
        if (folder / file).is_file():
            return folder / file
    raise CorpusError(f"{where}: there is no recording {file} in {table.parent} or its folder audio.")


def _votes(values: Mapping[str, str], where: str) -> dict[str, int]:
    found = {label: _count(values.get(column), where, column) for column, label in _VOTE_COLUMNS.items()}
    return {label: count for label, count in found.items() if count is not None}


def _count(text: str | None, where: str, column: str, most: int = 10_000) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or int(text) > most:
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

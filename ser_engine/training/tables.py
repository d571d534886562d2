"""The table of a folder of recordings: a CSV file in UTF-8, with whatever spreadsheets put between the columns.

It is `manifest.csv`, `labels.csv`, the only CSV in the folder, or named itself. The recordings lie beside it or in
`audio/`. Upper and lower case in the names of columns do not matter, and three of them have further names.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ser_engine.errors import CorpusError

_TABLES: Final = ("manifest.csv", "labels.csv")
_ALSO_CALLED: Final = {
    "file": ("path", "filename"),
    "label": ("intended", "emotion"),
    "speaker": ("actor", "person"),
}
_STATED: Final = re.compile('"?sep=([,;|\t])"?', re.IGNORECASE)
"""The line with which a table tells Excel what stands between its columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingsRow:
    """What the table says of one recording."""

    where: str
    """The table and the line, for an error message."""
    values: Mapping[str, str]
    """By the column's name in lower case, without the spaces around; what is left out is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingsTable:
    path: Path
    columns: frozenset[str]
    rows: tuple[RecordingsRow, ...]

    def recording(self, row: RecordingsRow) -> Path:
        """The file of `row`. Raises CorpusError when it is not there."""
        file = row.values["file"]
        for folder in (self.path.parent, self.path.parent / "audio"):
            with suppress(OSError):  # a name may be longer than any file's: quotes that are never closed make it so
                if file and (folder / file).is_file():
                    return folder / file
        if not file:
            raise CorpusError(f"{row.where}: file must not be empty.")
        raise CorpusError(f"{row.where}: there is no recording {file} in {self.path.parent} or its folder audio.")


def read_table(folder: Path, *needed: str) -> RecordingsTable:
    """The table of `folder`, or the CSV file that `folder` is. Raises CorpusError in words, also when a column that is
    `needed` is missing."""
    path = folder
    try:
        path = _find(folder, needed)
        dialect, stated = _dialect(path)
        with path.open(newline="", encoding="utf-8-sig") as stream:
            if stated:
                stream.readline()
            reader = csv.DictReader(stream, dialect=dialect)
            columns = _columns(reader.fieldnames or ())
            lines = [(reader.line_num + stated, line) for line in reader]
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path} is not in UTF-8; save it again as CSV UTF-8.") from error
    except (OSError, csv.Error) as error:
        raise CorpusError(f"{path} cannot be read as a CSV file: {error}.") from error
    rows = tuple(
        RecordingsRow(
            where=f"{path}, line {number}",
            values={ours: (line.get(theirs) or "").strip() for ours, theirs in columns.items()},
        )
        for number, line in lines
    )
    if missing := [name for name in needed if name not in columns]:
        raise CorpusError(f"{path} has no column {missing[0]!r}; it needs {_listed(needed)}.")
    return RecordingsTable(path=path, columns=frozenset(columns), rows=rows)


def _find(folder: Path, needed: Sequence[str]) -> Path:
    if folder.is_file():
        return folder
    if not folder.is_dir():
        raise CorpusError(f"There is no corpus folder {folder}.")
    for name in _TABLES:
        if (folder / name).is_file():
            return folder / name
    found = sorted(one for one in folder.iterdir() if one.suffix.lower() == ".csv" and not one.name.startswith("."))
    if len(found) == 1:
        return found[0]
    if not found:
        columns = f" with the columns {_listed(needed)}" if needed else ""
        raise CorpusError(f"{folder} has no table. Put a CSV file{columns} beside the recordings.")
    raise CorpusError(f"{folder} has {len(found)} CSV files; name the right one manifest.csv, or give its own path.")


def _listed(columns: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(columns[:-1]), columns[-1])))


def _dialect(table: Path) -> tuple[type[csv.Dialect], bool]:
    """Comma, semicolon or tab: spreadsheets differ by country. And whether a line of its own says so (`sep=;`)."""
    with table.open(encoding="utf-8-sig") as stream:
        first = stream.readline()
    said = _STATED.fullmatch(first.rstrip("\r\n"))
    separator = said[1] if said else next((one for one in ";\t" if one in first and "," not in first), ",")
    return type("dialect", (csv.excel,), {"delimiter": separator}), said is not None


def _columns(header: Iterable[str]) -> dict[str, str]:
    """What we call a column → what the table calls it."""
    present = {name.strip().lower(): name for name in header if name}
    for ours, others in _ALSO_CALLED.items():
        also = next((present[name] for name in others if name in present), None)
        if also is not None:
            present.setdefault(ours, also)
    return present

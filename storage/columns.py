"""Windows as columns: two hours of talk have 12,000, and a report looks at all of them before it says a word.

`Windows` is a sequence of `WindowRecord`, and what sums over many of them takes its columns instead: a column is one
numpy array. A record is only made for who asks for one. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain, repeat
from typing import Any, Final, TypeVar, overload

import numpy as np
import numpy.typing as npt

from storage.records import WindowRecord

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windows(Sequence[WindowRecord]):
    """Some windows, in the order they were given; a slice of them is `Windows` too."""

    participant_id: Integers
    start_s: Floats
    end_s: Floats
    speech_ratio: Floats
    gap_ratio: Floats
    emotion: Integers
    """Places in `emotions`."""
    confidence: Floats
    unclear: Bools
    reason: Integers
    """Places in `reasons`."""
    engine: Integers
    """Places in `engines`."""
    probabilities: Floats
    """A row a window, a column for each of `labels`; not a number where a label has none."""
    emotions: tuple[str, ...]
    reasons: tuple[str | None, ...]
    engines: tuple[str | None, ...]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, records: Sequence[WindowRecord]) -> Windows:
        """The same windows as columns."""
        if isinstance(records, Windows):
            return records
        emotions, emotion = coded([record.emotion for record in records])
        reasons, reason = coded([record.reason for record in records])
        engines, engine = coded([record.engine for record in records])
        labels = tuple(dict.fromkeys(label for record in records for label in record.probabilities))
        rows = [[record.probabilities.get(label, np.nan) for label in labels] for record in records]
        return cls(
            participant_id=np.array([record.participant_id for record in records], np.int64),
            start_s=np.array([record.start_s for record in records], np.float64),
            end_s=np.array([record.end_s for record in records], np.float64),
            speech_ratio=np.array([record.speech_ratio for record in records], np.float64),
            gap_ratio=np.array([record.gap_ratio for record in records], np.float64),
            emotion=emotion,
            confidence=np.array([record.confidence for record in records], np.float64),
            unclear=np.array([record.unclear for record in records], np.bool_),
            reason=reason,
            engine=engine,
            probabilities=np.array(rows, np.float64).reshape(len(rows), len(labels)),
            emotions=emotions,
            reasons=reasons,
            engines=engines,
            labels=labels,
        )

    @classmethod
    def joined(cls, parts: Sequence[Windows]) -> Windows:
        """All windows of the parts, one part after the other."""
        if not parts:
            return cls.of(())
        tables = [[getattr(part, table) for table in _TABLES] for part in parts]
        if any(some != tables[0] for some in tables):
            whole = {table: _all(getattr(part, table) for part in parts) for table in _TABLES}
            parts = [part._under(**whole) for part in parts]
        columns: dict[str, Any] = {name: np.concatenate([getattr(p, name) for p in parts]) for name in _COLUMNS}
        return replace(parts[0], **columns)

    def _under(self, *, labels: tuple[str, ...], **tables: Any) -> Windows:
        """The same with other tables, which hold all of this one's."""
        probabilities = np.full((len(self), len(labels)), np.nan)
        probabilities[:, [labels.index(label) for label in self.labels]] = self.probabilities
        coded: dict[str, Any] = {
            column: _places(getattr(self, table), tables[table])[getattr(self, column)]
            for column, table in _CODED.items()
        }
        return replace(self, probabilities=probabilities, labels=labels, **coded, **tables)

    @property
    def speech_s(self) -> Floats:
        """Seconds of speech in each."""
        return (self.end_s - self.start_s) * self.speech_ratio

    def take(self, which: Integers | Bools | slice) -> Windows:
        """Those at some places, or those that a mask marks."""
        return replace(self, **{name: getattr(self, name)[which] for name in _COLUMNS})

    def __len__(self) -> int:
        return len(self.start_s)

    @overload
    def __getitem__(self, at: int) -> WindowRecord: ...
    @overload
    def __getitem__(self, at: slice) -> Windows: ...
    def __getitem__(self, at: int | slice) -> WindowRecord | Windows:
        if isinstance(at, slice):
            return self.take(at)
        place = range(len(self))[at]
        return next(iter(self.take(slice(place, place + 1))))

    def __iter__(self) -> Iterator[WindowRecord]:
        """Fills the records' slots by hand: the constructor of a frozen dataclass takes longer than the database."""
        records: list[WindowRecord] = list(map(object.__new__, repeat(WindowRecord, len(self))))
        for name in WindowRecord.__slots__:
            setter = getattr(WindowRecord, name).__set__  # a slot's own, which a frozen class does not close
            for _ in map(setter, records, self._values(name)):
                pass
        return iter(records)

    def _values(self, name: str) -> list[Any]:
        values: list[Any] = getattr(self, name).tolist()
        if name in _CODED:
            return list(map(getattr(self, _CODED[name]).__getitem__, values))
        if name != "probabilities":
            return values
        if not np.isnan(self.probabilities).any():
            return [dict(zip(self.labels, row, strict=True)) for row in values]
        return [{k: v for k, v in zip(self.labels, row, strict=True) if v == v} for row in values]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        return f"Windows({list(self)!r})"


_CODED: Final = {"emotion": "emotions", "reason": "reasons", "engine": "engines"}
"""Columns of places, and the tables they point into."""
_TABLES: Final = (*_CODED.values(), "labels")
_COLUMNS: Final = tuple(field.name for field in fields(Windows) if field.name not in _TABLES)


def coded(values: Sequence[T]) -> tuple[tuple[T, ...], Integers]:
    """The different values in the order they are met, and for each value its place among them."""
    table = tuple(dict.fromkeys(values))
    places = {value: place for place, value in enumerate(table)}
    return table, np.fromiter(map(places.__getitem__, values), np.int64, len(values))


def _all(tables: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(tables)))


def _places(old: Sequence[Any], new: Sequence[Any]) -> Integers:
    return np.array([new.index(value) for value in old], np.int64)

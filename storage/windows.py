"""Windows on their way into the database and out of it. Two hours of talk have 12,000: a page waits for them, and so
does everybody else.

They are read piece by piece, so that the loop is never kept for long, and made into records column by column: the
constructor of a frozen dataclass would take longer than the database. Probabilities are half of the work, and are left
out for those who only want to know what it sounded like.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any, Final

from sqlalchemy import Integer, func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from storage import schema
from storage.records import WindowRecord

_AT_ONCE: Final = 1_000
_PROBABILITIES: Final = "probabilities"
_PLAIN: Final = tuple(name for name in WindowRecord.__slots__ if name != _PROBABILITIES)
_UNITS: Final = {
    "start_s": schema.Milliseconds.a_unit,
    "end_s": schema.Milliseconds.a_unit,
    **dict.fromkeys(("speech_ratio", "gap_ratio", "confidence"), schema.TenThousandths.a_unit),
}
"""How many of what is stored make one of what is meant."""
_NONE: Final[dict[str, float]] = {}
_STEPS: Final = schema.TenThousandths.a_unit
_ABSENT: Final = 0xFFFF

Columns = dict[str, list[Any]]


def packed(probabilities: Mapping[str, float], labels: Sequence[str]) -> bytes:
    """Two bytes a label, in ten-thousandths. What is none of the session's labels is left out: no page shows it."""
    steps = (round(probabilities[label] * _STEPS) if label in probabilities else _ABSENT for label in labels)
    return struct.pack(f"<{len(labels)}H", *steps)


def unpacked(blobs: Sequence[bytes], labels: Sequence[str]) -> list[dict[str, float]]:
    """What `packed` was given, to four digits."""
    steps = struct.unpack(f"<{len(blobs) * len(labels)}H", b"".join(blobs))
    return [
        {label: step / _STEPS for label, step in zip(labels, some, strict=True) if step != _ABSENT}
        for some in zip(*[iter(steps)] * len(labels), strict=True)
    ]


def window_row(window: WindowRecord, labels: Sequence[str]) -> dict[str, Any]:
    """The values of a window's row."""
    plain = {name: getattr(window, name) for name in _PLAIN}
    return plain | {_PROBABILITIES: packed(window.probabilities, labels)}


async def read_windows(
    db: AsyncSession,
    session_id: str,
    *,
    probabilities: bool,
    participant_id: int | None = None,
    begin_s: float | None = None,
    end_s: float | None = None,
) -> Columns:
    """The columns of a session's windows in order of their start; `window_records` makes them into records.

    `begin_s` and `end_s` choose those that begin between them, and `participant_id` those of one person.
    """
    names = (*_PLAIN, _PROBABILITIES) if probabilities else _PLAIN
    columns: dict[str, Any] = {name: getattr(schema.StoredWindow, name) for name in names}
    query = (
        select(*(type_coerce(column, Integer) if name in _UNITS else column for name, column in columns.items()))
        .join(schema.Participant, schema.Participant.id == schema.StoredWindow.participant_id)
        .where(schema.Participant.session_id == session_id)
        .order_by(schema.StoredWindow.start_s, schema.StoredWindow.id)
    )
    if participant_id is not None:
        query = query.where(schema.StoredWindow.participant_id == participant_id)
    if begin_s is not None:
        query = query.where(schema.StoredWindow.start_s >= begin_s)
    if end_s is not None:
        query = query.where(schema.StoredWindow.start_s <= end_s)
    found: Columns = {name: [] for name in names}
    async for some in (await db.stream(query)).partitions(_AT_ONCE):
        for name, values in zip(names, zip(*some, strict=True), strict=True):
            found[name].extend(values)
    return found


async def count_windows(db: AsyncSession, session_id: str) -> int:
    participants = select(schema.Participant.id).filter_by(session_id=session_id)
    query = select(func.count()).select_from(schema.StoredWindow)
    return await db.scalar(query.where(schema.StoredWindow.participant_id.in_(participants))) or 0


async def last_end_s(db: AsyncSession, session_id: str) -> float:
    """Where the last window of a session ends; 0 when there is none."""
    participants = select(schema.Participant.id).filter_by(session_id=session_id)
    query = select(func.max(schema.StoredWindow.end_s))
    return await db.scalar(query.where(schema.StoredWindow.participant_id.in_(participants))) or 0.0


def window_records(columns: Columns, labels: Sequence[str]) -> list[WindowRecord]:
    """The records of what `read_windows` read. CPU-bound for long sessions, so call it in a thread."""
    count = len(columns[_PLAIN[0]])
    records: list[WindowRecord] = list(map(object.__new__, repeat(WindowRecord, count)))
    for name in _PLAIN:
        unit = _UNITS.get(name)
        _fill(records, name, columns[name] if unit is None else [value / unit for value in columns[name]])
    stored = columns.get(_PROBABILITIES)
    _fill(records, _PROBABILITIES, [_NONE] * count if stored is None else unpacked(stored, labels))
    return records


def _fill(records: list[WindowRecord], name: str, values: list[Any]) -> None:
    setter = getattr(WindowRecord, name).__set__  # a slot's own, which a frozen class does not close
    for _ in map(setter, records, values):
        pass

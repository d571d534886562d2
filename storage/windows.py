"""Reading a session's windows. Two hours of talk have 12,000: a page waits for them, and so does everybody else.

They are read piece by piece, so that the loop is never kept for long, and made into records column by column: the
constructor of a frozen dataclass would take longer than the database. Probabilities are half of the work, and are left
out for those who only want to know what it sounded like.
"""

from __future__ import annotations

import json
from itertools import repeat
from typing import Any, Final

from sqlalchemy import Text, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from storage import schema
from storage.records import WindowRecord

_AT_ONCE: Final = 1_000
_PROBABILITIES: Final = "probabilities"
_PLAIN: Final = tuple(name for name in WindowRecord.__slots__ if name != _PROBABILITIES)
_NONE: Final[dict[str, float]] = {}

Columns = dict[str, list[Any]]


async def read_windows(
    db: AsyncSession,
    session_id: str,
    *,
    probabilities: bool,
    begin_s: float | None = None,
    end_s: float | None = None,
) -> Columns:
    """The columns of a session's windows in order of their start; `window_records` makes them into records.

    `begin_s` and `end_s` choose those that begin between them.
    """
    wanted: list[Any] = [getattr(schema.StoredWindow, name) for name in _PLAIN]
    if probabilities:
        wanted.append(type_coerce(schema.StoredWindow.probabilities, Text))
    query = (
        select(*wanted)
        .where(schema.StoredWindow.session_id == session_id)
        .order_by(schema.StoredWindow.start_s, schema.StoredWindow.id)
    )
    if begin_s is not None:
        query = query.where(schema.StoredWindow.start_s >= begin_s)
    if end_s is not None:
        query = query.where(schema.StoredWindow.start_s <= end_s)
    names = (*_PLAIN, _PROBABILITIES)[: len(wanted)]
    columns: Columns = {name: [] for name in names}
    async for some in (await db.stream(query)).partitions(_AT_ONCE):
        for name, values in zip(names, zip(*some, strict=True), strict=True):
            columns[name].extend(values)
    return columns


def window_records(columns: Columns) -> list[WindowRecord]:
    """The records of what `read_windows` read. CPU-bound for long sessions, so call it in a thread."""
    count = len(columns[_PLAIN[0]])
    records: list[WindowRecord] = list(map(object.__new__, repeat(WindowRecord, count)))
    for name in _PLAIN:
        _fill(records, name, columns[name])
    if (stored := columns.get(_PROBABILITIES)) is not None:
        _fill(records, _PROBABILITIES, json.loads(f"[{','.join(stored)}]"))  # one parse instead of thousands
    else:
        _fill(records, _PROBABILITIES, [_NONE] * count)
    return records


def _fill(records: list[WindowRecord], name: str, values: list[Any]) -> None:
    setter = getattr(WindowRecord, name).__set__  # a slot's own, which a frozen class does not close
    for _ in map(setter, records, values):
        pass

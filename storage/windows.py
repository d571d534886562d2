"""Windows on their way into the database and out of it. Two hours of talk have 12,000: a page waits for them.

The database puts each of their columns together into one text, outside of Python, and hands over a single row. As
tuples they would cost twice as much, and hold up everybody else on the event loop.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from sqlalchemy import Integer, ScalarSelect, String, cast, func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from storage import schema
from storage.columns import Floats, Windows, coded
from storage.records import WindowRecord

_PROBABILITIES: Final = "probabilities"
_PLAIN: Final = tuple(name for name in WindowRecord.__slots__ if name != _PROBABILITIES)
_STEPS: Final = schema.TenThousandths.a_unit
_ABSENT: Final = 0xFFFF
_COMMA: Final = ","
_LINE: Final = "\n"


class StoredWindows(NamedTuple):
    """The columns of some windows, each as one text. Their order is the database's, the same in every column."""

    id: str
    participant_id: str
    start_s: str
    end_s: str
    speech_ratio: str
    gap_ratio: str
    confidence: str
    unclear: str
    emotion: str
    reason: str
    """Empty lines where there is none."""
    engine: str
    """Likewise."""
    probabilities: str
    """Hexadecimal digits of what `packed` made."""


_NUMBERS: Final = StoredWindows._fields[:8]


def packed(probabilities: Mapping[str, float], labels: Sequence[str]) -> bytes:
    """Two bytes a label, in ten-thousandths. What is none of the session's labels is left out: no page shows it."""
    steps = (round(probabilities[label] * _STEPS) if label in probabilities else _ABSENT for label in labels)
    return struct.pack(f"<{len(labels)}H", *steps)


def window_row(window: WindowRecord, labels: Sequence[str]) -> dict[str, Any]:
    """The values of a window's row."""
    plain = {name: getattr(window, name) for name in _PLAIN}
    return plain | {_PROBABILITIES: packed(window.probabilities, labels)}


async def read_windows(db: AsyncSession, session_id: str, *, participant_id: int | None = None) -> StoredWindows | None:
    """A session's windows, or those of one person in it; `windows_of` reads them. None: there are none."""
    row, postgres = schema.StoredWindow, db.get_bind().dialect.name == "postgresql"
    flag = cast(row.unclear, Integer)
    numbers = [flag if name == "unclear" else type_coerce(getattr(row, name), Integer) for name in _NUMBERS]
    as_text = cast if postgres else type_coerce  # SQLite does it by itself
    hexadecimal = func.encode(row.probabilities, "hex") if postgres else func.hex(row.probabilities)
    query = (
        select(
            *(func.aggregate_strings(as_text(number, String), _COMMA) for number in numbers),
            func.aggregate_strings(row.emotion, _LINE),
            func.aggregate_strings(func.coalesce(row.reason, ""), _LINE),
            func.aggregate_strings(func.coalesce(row.engine, ""), _LINE),
            func.aggregate_strings(hexadecimal, ""),
        )
        .join(schema.Participant, schema.Participant.id == schema.StoredWindow.participant_id)
        .where(schema.Participant.session_id == session_id)
    )
    if participant_id is not None:
        query = query.where(schema.StoredWindow.participant_id == participant_id)
    found = (await db.execute(query)).one()
    return None if found[0] is None else StoredWindows._make(found)


def count_windows(session_id: str) -> ScalarSelect[int]:
    """The number of a session's windows, for a query."""
    participants = select(schema.Participant.id).filter_by(session_id=session_id)
    query = select(func.count()).select_from(schema.StoredWindow)
    return query.where(schema.StoredWindow.participant_id.in_(participants)).scalar_subquery()


async def last_end_s(db: AsyncSession, session_id: str) -> float:
    """Where the last window of a session ends; 0 when there is none."""
    participants = select(schema.Participant.id).filter_by(session_id=session_id)
    query = select(func.max(schema.StoredWindow.end_s))
    return await db.scalar(query.where(schema.StoredWindow.participant_id.in_(participants))) or 0.0


def windows_of(stored: StoredWindows | None, labels: Sequence[str]) -> Windows:
    """What `read_windows` read, in order of start. Takes a while for long sessions, so call it in a thread."""
    if stored is None:
        return Windows.of(())
    number = {name: np.fromstring(getattr(stored, name), np.int64, sep=_COMMA) for name in _NUMBERS}
    emotions, emotion = coded(stored.emotion.split(_LINE))
    reasons, reason = coded(stored.reason.split(_LINE))
    engines, engine = coded(stored.engine.split(_LINE))
    found = Windows(
        participant_id=number["participant_id"],
        start_s=number["start_s"] / schema.Milliseconds.a_unit,
        end_s=number["end_s"] / schema.Milliseconds.a_unit,
        speech_ratio=number["speech_ratio"] / _STEPS,
        gap_ratio=number["gap_ratio"] / _STEPS,
        emotion=emotion,
        confidence=number["confidence"] / _STEPS,
        unclear=number["unclear"] != 0,
        reason=reason,
        engine=engine,
        probabilities=unpacked(bytes.fromhex(stored.probabilities), len(emotion), len(labels)),
        emotions=emotions,
        reasons=tuple(one or None for one in reasons),
        engines=tuple(one or None for one in engines),
        labels=tuple(labels),
    )
    return found.take(np.lexsort((number["id"], number["start_s"])))


def unpacked(blobs: bytes, windows: int, labels: int) -> Floats:
    """What `packed` was given, to four digits: a row a window, not a number where a label has none."""
    steps = np.frombuffer(blobs, "<u2").reshape(windows, labels)
    return np.where(steps == _ABSENT, np.nan, steps / _STEPS)

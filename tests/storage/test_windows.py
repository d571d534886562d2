"""Windows in the database: small, equal to what was put in to four digits, and carried over from before."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from math import isnan
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import JSON, Connection, MetaData, column, create_engine, select, table, text

from storage import SessionRecord, Storage
from storage.identity import Identity
from storage.windows import packed, unpacked
from tests.fakes.records import window
from tests.storage.conftest import KEY, move, on_sqlite

pytestmark = pytest.mark.integration

LABELS = ("Angry", "Happy", "Sad", "Disgust", "Neutral")
MOST_BYTES = 80
"""What a window may take with its index."""


@given(st.lists(st.dictionaries(st.sampled_from(LABELS), st.floats(0, 1)), max_size=5))
def test_probabilities_come_back_to_four_digits(given: list[dict[str, float]]) -> None:
    back = _back(given)
    assert [list(one) for one in back] == [[label for label in LABELS if label in one] for one in given]
    for one, other in zip(given, back, strict=True):
        assert other == pytest.approx(one, abs=5.1e-5)


def test_what_has_four_digits_comes_back_as_it_was() -> None:
    for step in range(10_001):
        share = step / 10_000
        assert _back([{"Angry": share}]) == [{"Angry": share}]


def test_a_label_that_the_session_does_not_have_is_left_out() -> None:
    assert _back([{"Bored": 0.5, "Sad": 0.25}]) == [{"Sad": 0.25}]


def _back(given: list[dict[str, float]]) -> list[dict[str, float]]:
    rows = unpacked(b"".join(packed(one, LABELS) for one in given), len(given), len(LABELS)).tolist()
    return [{label: share for label, share in zip(LABELS, row, strict=True) if not isnan(share)} for row in rows]


@on_sqlite
@pytest.mark.parametrize("engine", [None, "fast"])
async def test_a_window_takes_few_bytes(
    storage: Storage, session: SessionRecord, tmp_path: Path, engine: str | None
) -> None:
    """Four people talk in turn, as in a session: their rows lie between one another's."""
    people = [await storage.include_participant(session.id, user) for user in range(4)]
    before = _bytes(tmp_path / "undertone.db")
    count = 8_000
    for at in range(0, count, 500):
        some = [window(people[n % 4].id, 3.0 * (n // 4), engine=engine) for n in range(at, at + 500)]
        assert await storage.add_windows(session.id, some) == 500
    taken = (_bytes(tmp_path / "undertone.db") - before) / count
    five_labels = taken + 2 * (len(LABELS) - len(session.labels))
    assert five_labels <= MOST_BYTES


def _bytes(path: Path) -> int:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        query = "SELECT (SELECT page_size FROM pragma_page_size) * (SELECT page_count FROM pragma_page_count)"
        size: int = connection.scalar(text(query)) or 0
    engine.dispose()
    return size


OLD: list[dict[str, Any]] = [
    {
        **{"participant_id": 1, "start_s": 0.0, "end_s": 3.0, "speech_ratio": 0.9, "gap_ratio": 0.0},
        **{"emotion": "Angry", "confidence": 0.8123, "unclear": False, "reason": None},
        "probabilities": {"Angry": 0.8123, "Happy": 0.1877},
    },
    {
        **{"participant_id": 2, "start_s": 1.25, "end_s": 2.105, "speech_ratio": 0.512, "gap_ratio": 0.25},
        **{"emotion": "Happy", "confidence": 0.5, "unclear": True, "reason": "unsure"},
        "probabilities": {"Angry": 0.5, "Happy": 0.5},
    },
]
"""Windows as they were kept before."""


async def test_windows_of_before_are_carried_over_and_back(database_url: str) -> None:
    await move(database_url, command.upgrade, "0002", after=_old_rows)
    storage = await Storage.open(database_url, key=KEY)
    report = await storage.report("s")
    await storage.close()
    assert report is not None
    found = [asdict(window) for participant in report.participants for window in participant.windows]
    assert found == [{**old, "engine": None} for old in OLD]

    rows: list[dict[str, Any]] = []
    await move(
        *(database_url, command.downgrade, "0002"),
        after=lambda c: rows.extend(dict(row) for row in c.execute(select(_WINDOWS).order_by("id")).mappings()),
    )
    assert [{name: row[name] for name in OLD[0]} for row in rows] == OLD
    assert {row["session_id"] for row in rows} == {"s"}
    again = await Storage.open(database_url, key=KEY)
    assert await again.report("s") == report
    await again.close()


_COLUMNS = (column(name, JSON() if name == "probabilities" else None) for name in ("id", "session_id", *OLD[0]))
_WINDOWS = table("windows", *_COLUMNS)


def _old_rows(connection: Connection) -> None:
    """A session of two people, as the second schema kept it."""
    tables = MetaData()
    tables.reflect(connection)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    session = {"id": "s", "guild_id": 1, "channel_id": 2, "state": "ended", "started_at": at, "ended_at": at}
    session |= {"model": "default", "model_version": "abc", "labels": ["Angry", "Happy"], "counters": {}}
    connection.execute(tables.tables["sessions"].insert(), [session])
    for number in (1, 2):
        person = {"id": number, "session_id": "s", "number": number, "user_hash": str(number), "included_at": at}
        person["user_sealed"] = Identity(KEY).seal(number)
        connection.execute(tables.tables["participants"].insert(), [person])
    connection.execute(tables.tables["windows"].insert(), [{"session_id": "s", **row} for row in OLD])

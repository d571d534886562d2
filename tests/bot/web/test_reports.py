"""Held reports: read once for many pages, and never shown after what is in them was deleted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from bot.web.reports import MAX_REPORTS, Held, Reports
from storage.records import Edition, SessionState
from storage.report import build_report
from tests.fakes import records

pytestmark = pytest.mark.unit

ENDED = Edition(state=SessionState.ENDED, ended_at=records.STARTED, people=((1, None), (2, None)), windows=9, moments=1)
LIVE = replace(ENDED, state=SessionState.LIVE, ended_at=None)


class Desk:
    """A store whose edition the test sets, and a clock."""

    def __init__(self, edition: Edition | None = ENDED) -> None:
        self.edition = edition
        self.now = 100.0
        self.reads = 0
        self.reports = Reports(monotonic=lambda: self.now)

    async def get(self, session_id: str = "a") -> Held | None:
        async def edition() -> Edition | None:
            return self.edition

        async def read() -> Held | None:
            self.reads += 1
            await asyncio.sleep(0)
            return Held(report=build_report(records.session(), [], [], []), last_event_id=self.reads)

        return await self.reports.get(session_id, edition, read)


async def test_many_pages_at_once_cost_one_reading() -> None:
    desk = Desk()
    found = await asyncio.gather(*(desk.get() for _ in range(200)))
    assert desk.reads == 1
    assert len(set(map(id, found))) == 1


@pytest.mark.parametrize(
    "changed",
    [
        replace(ENDED, windows=8),
        replace(ENDED, windows=10),
        replace(ENDED, people=((2, None),)),
        replace(ENDED, people=((1, records.STARTED), (2, None))),
        replace(ENDED, moments=0),
    ],
)
async def test_it_is_read_anew_when_the_rows_are_others(changed: Edition) -> None:
    desk = Desk()
    await desk.get()
    desk.edition = changed
    await desk.get()
    assert desk.reads == 2


async def test_a_deleted_session_is_gone_at_once() -> None:
    desk = Desk()
    await desk.get()
    desk.edition = None
    assert await desk.get() is None
    desk.edition = ENDED
    await desk.get()
    assert desk.reads == 2


@pytest.mark.parametrize(
    ("changed", "later_s", "reads"),
    [
        (replace(LIVE, windows=12, moments=2), 4.0, 1),  # grown: the page takes the rest from the events
        (replace(LIVE, windows=12), 6.0, 2),
        (replace(LIVE, windows=3), 1.0, 2),  # somebody's were deleted
        (replace(LIVE, people=((2, None),)), 1.0, 2),
        (replace(LIVE, people=((1, records.STARTED), (2, None))), 1.0, 2),
        (ENDED, 1.0, 2),
    ],
)
async def test_of_a_running_session_it_may_be_some_seconds_old(changed: Edition, later_s: float, reads: int) -> None:
    desk = Desk(LIVE)
    first = await desk.get()
    desk.edition = changed
    desk.now += later_s
    second = await desk.get()
    assert desk.reads == reads
    assert (first is second) is (reads == 1)


async def test_few_are_held_and_long_ones_even_fewer() -> None:
    desk = Desk(replace(ENDED, windows=9))
    for number in range(MAX_REPORTS + 1):
        await desk.get(str(number))
    await desk.get("1")
    assert desk.reads == MAX_REPORTS + 1
    await desk.get("0")
    assert desk.reads == MAX_REPORTS + 2
    desk.edition = replace(ENDED, windows=30_000)
    await desk.get("long")
    await desk.get("longer")
    await desk.get("long")
    assert desk.reads == MAX_REPORTS + 5


async def test_an_answer_is_made_once_for_each_kind() -> None:
    held = await Desk().get()
    assert held is not None
    made: list[str] = []

    def make(kind: str) -> bytes:
        made.append(kind)
        return kind.encode()

    for kind in ("named", "shared", "named", "shared"):
        assert await held.answer(kind, partial(make, kind)) == kind.encode()
    assert made == ["named", "shared"]


async def test_an_answer_that_could_not_be_made_is_made_anew() -> None:
    held = await Desk().get()
    assert held is not None
    tries = iter([MemoryError(), None])

    def make() -> str:
        if (error := next(tries)) is not None:
            raise error
        return "made"

    with pytest.raises(MemoryError):
        await held.answer("key", make)
    assert await held.answer("key", make) == "made"
    assert await held.answer("key", make) == "made"

"""The live bus: what was missed is told, the slow are dropped, nothing grows without bound."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from bot.listening.follower import LiveEvent
from bot.listening.live import LiveBus, TooManyFollowers
from tests.fakes.listening import told_live

pytestmark = pytest.mark.unit


async def _collect(bus: LiveBus, session_id: str, last_id: int | None) -> list[LiveEvent]:
    return [event async for event in told_live(bus, session_id, last_id)]


def _publish(bus: LiveBus, count: int, session_id: str = "a") -> None:
    for number in range(count):
        bus.publish(session_id, "window", {"n": number})


def _end(bus: LiveBus, session_id: str = "a") -> None:
    bus.publish(session_id, "state", {"state": "ended", "link": None, "reason": "stopped"})


async def test_a_follower_gets_every_event_in_order_and_the_end() -> None:
    bus = LiveBus()
    follower = asyncio.create_task(_collect(bus, "a", 0), name="follower")
    await asyncio.sleep(0)
    _publish(bus, 3)
    await asyncio.sleep(0)
    _end(bus)
    events = await follower
    assert [event.id for event in events] == [1, 2, 3, 4]
    assert [event.kind for event in events] == ["window", "window", "window", "state"]


async def test_sessions_do_not_hear_each_other() -> None:
    bus = LiveBus()
    _publish(bus, 2, "a")
    _publish(bus, 1, "b")
    _end(bus, "b")
    assert [event.id for event in await _collect(bus, "b", 0)] == [1, 2]


async def test_a_reconnect_gets_what_it_missed_and_goes_on() -> None:
    bus = LiveBus()
    _publish(bus, 5)
    follower = asyncio.create_task(_collect(bus, "a", 3), name="follower")
    await asyncio.sleep(0)
    _publish(bus, 1)
    _end(bus)
    assert [event.id for event in await follower] == [4, 5, 6, 7]


async def test_a_reconnect_after_the_end_still_gets_the_end() -> None:
    bus = LiveBus()
    _publish(bus, 2)
    _end(bus)
    assert [event.kind for event in await _collect(bus, "a", 2)] == ["state"]


async def test_what_is_no_longer_held_is_said() -> None:
    bus = LiveBus(history=3)
    _publish(bus, 10)
    _end(bus)
    events = await _collect(bus, "a", 2)
    assert [event.kind for event in events] == ["reset"]
    assert events[0].id == 11
    assert bus.counters()["forgotten"] == 8


async def test_an_id_of_an_earlier_process_resets() -> None:
    bus = LiveBus()
    _publish(bus, 2)
    _end(bus)
    assert [event.kind for event in await _collect(bus, "a", 400)] == ["reset"]


async def test_a_slow_follower_is_dropped_and_counted_and_the_others_go_on() -> None:
    bus = LiveBus(backlog=4)
    slow = told_live(bus, "a", 0)
    async with aclosing(slow):
        first = asyncio.create_task(anext(slow), name="slow")
        await asyncio.sleep(0)
        bus.publish("a", "window", {})
        await first
        _publish(bus, 4)
        quick = asyncio.create_task(_collect(bus, "a", 0), name="quick")
        await asyncio.sleep(0)
        _publish(bus, 1)
        with pytest.raises(StopAsyncIteration):
            await anext(slow)
    assert bus.counters()["slow_dropped"] == 1
    _end(bus)
    assert len(await quick) == 7


async def test_followers_are_bounded() -> None:
    bus = LiveBus(max_followers=1)
    first = asyncio.create_task(_collect(bus, "a", 0), name="first")
    await asyncio.sleep(0)
    with pytest.raises(TooManyFollowers):
        await _collect(bus, "a", 0)
    assert bus.counters()["refused"] == 1
    bus.close_all()
    await first


async def test_ended_sessions_are_forgotten_oldest_first() -> None:
    bus = LiveBus(max_ended=2)
    for session_id in ("a", "b", "c"):
        _publish(bus, 1, session_id)
        _end(bus, session_id)
    _publish(bus, 1, "running")
    assert [bus.knows(session_id) for session_id in ("a", "b", "c", "running")] == [False, True, True, True]


async def test_a_page_that_leaves_before_the_first_event_leaves_nothing() -> None:
    bus = LiveBus()
    follower = asyncio.create_task(_collect(bus, "a", 0), name="follower")
    await asyncio.sleep(0)
    follower.cancel()
    with pytest.raises(asyncio.CancelledError):
        await follower
    assert not bus.knows("a")


async def test_a_deleted_session_ends_and_leaves_nothing() -> None:
    bus = LiveBus()
    _publish(bus, 3)
    follower = asyncio.create_task(_collect(bus, "a", None), name="follower")
    await asyncio.sleep(0)
    bus.forget("a")
    assert await follower == []
    assert not bus.knows("a")


@pytest.mark.parametrize("seen", [0, 1, 2, 3])
@pytest.mark.parametrize("since", [0, 1, 5])
async def test_a_page_from_before_something_was_forgotten_reads_anew(seen: int, since: int) -> None:
    bus = LiveBus()
    _publish(bus, 3)
    before = bus.last_id("a")
    bus.forget("a")
    _publish(bus, since)
    assert bus.last_id("a") > before
    with bus.follow("a", seen) as follower:
        assert [event.kind for event in await follower.next(0) or ()] == ["reset"]
    # One that reads the report now misses nothing, and is told nothing twice.
    known = bus.last_id("a")
    with bus.follow("a", known) as follower:
        _publish(bus, 1)
        assert [(event.id, event.kind) for event in await follower.next() or ()] == [(known + 1, "window")]


async def test_a_page_that_leaves_after_something_was_forgotten_leaves_nothing() -> None:
    bus = LiveBus()
    _publish(bus, 3)
    bus.forget("a")
    with bus.follow("b", bus.last_id("b")) as follower:
        assert await follower.next(0) == []
    assert not bus.knows("b")


async def test_what_was_forgotten_elsewhere_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.listening.live.LATE_ROWS_S", 0.0)
    here, there = LiveBus(), LiveBus()
    here.tell = lambda session_id, series, event: there.take(session_id, series, event.id, event.kind, event.data)
    _publish(here, 5)
    for bus in (here, there):
        bus.forget("a")
    _publish(here, 4)
    with there.follow("a", 2) as follower:
        assert "reset" in [event.kind for event in await follower.next() or ()]
    await asyncio.sleep(0.01)


async def test_events_of_another_process_come_in_with_their_numbers() -> None:
    here, there = LiveBus(), LiveBus()
    here.tell = lambda session_id, series, event: there.take(session_id, series, event.id, event.kind, event.data)
    _publish(here, 3)
    follower = asyncio.create_task(_collect(there, "a", 1), name="follower")
    await asyncio.sleep(0)
    _publish(here, 1)
    _end(here)
    assert [(event.id, event.kind) for event in await follower] == [
        (2, "window"),
        (3, "window"),
        (4, "window"),
        (5, "state"),
    ]
    assert there.counters()["gaps"] == 0


async def test_a_page_reads_anew_when_something_was_lost_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.listening.live.LATE_ROWS_S", 0.01)
    bus = LiveBus()
    bus.take("a", 1, 1, "window", {"n": 1})
    with bus.follow("a", 1) as follower:
        bus.take("a", 1, 1, "window", {"n": 1})  # heard before
        bus.take("a", 1, 4, "window", {"n": 4})
        bus.take("a", 1, 6, "window", {"n": 6})
        found = await follower.next()
        assert [(event.id, event.kind) for event in found or ()] == [(3, "reset"), (4, "window"), (6, "window")]
        # What was lost may have been on its way to the database, so the page reads once more when it is surely there.
        later = await follower.next(5)
        assert [(event.id, event.kind) for event in later or ()] == [(6, "reset")]
    assert bus.counters()["gaps"] == 2
    with bus.follow("a", 2) as late:  # a page that comes back for what is not held
        assert [event.kind for event in await late.next() or ()] == ["reset"]


async def test_numbers_that_begin_anew_elsewhere_are_followed() -> None:
    bus = LiveBus()
    for number in (1, 2, 3):
        bus.take("a", 7, number, "window", {"n": number})
    with bus.follow("a") as follower:
        bus.take("a", 8, 1, "window", {"n": 1})
        assert [event.id for event in await follower.next() or ()] == [1]


async def test_the_end_that_is_said_for_a_dead_process_ends_the_stream() -> None:
    bus = LiveBus()
    bus.take("a", 7, 1, "window", {"n": 1})
    follower = asyncio.create_task(_collect(bus, "a", 1), name="follower")
    await asyncio.sleep(0)
    bus.take("a", 0, 0, "state", {"state": "interrupted"})
    bus.take("a", 7, 2, "window", {"n": 2})
    assert [(event.id, event.kind) for event in await follower] == [(2, "state")]

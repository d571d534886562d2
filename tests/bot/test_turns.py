"""Whose analysis comes next."""

from __future__ import annotations

import asyncio

import pytest

from bot.errors import NotPossible
from bot.turns import AT_ONCE, LONG_AT_ONCE, MAX_WAITING, PER_S, USES, Turns
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.unit


async def test_a_short_clip_does_not_wait_for_other_peoples_long_ones() -> None:
    turns, end = Turns(FakeClock()), asyncio.Event()
    running: list[int] = []

    async def long(person: int) -> None:
        async with turns.turn(person, long=True):
            running.append(person)
            await end.wait()

    async with asyncio.TaskGroup() as tasks:
        for person in range(10):
            tasks.create_task(long(person))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(running) == LONG_AT_ONCE < AT_ONCE
        async with turns.turn(99, long=False):  # would never come, were every place taken
            pass
        end.set()
    assert len(running) == 10
    assert turns.waiting == 0


async def test_a_person_has_one_analysis_at_a_time() -> None:
    turns, at_once, most = Turns(FakeClock()), 0, 0

    async def clip() -> None:
        nonlocal at_once, most
        async with turns.turn(1, long=False):
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0)
            at_once -= 1

    await asyncio.gather(*(clip() for _ in range(5)))
    assert most == 1


async def test_three_uses_a_minute_for_each_person() -> None:
    clock = FakeClock()
    turns = Turns(clock)
    for _ in range(USES):
        turns.admit(1)
    with pytest.raises(NotPossible, match="try again in 60 s"):
        turns.admit(1)
    turns.admit(2)
    await clock.advance(PER_S)
    turns.admit(1)
    assert turns.counters() == {"begun": 0, "refused_too_many": 1, "refused_full": 0, "waiting": 0}


async def test_what_waits_is_bounded() -> None:
    turns = Turns(FakeClock())
    turns.waiting = MAX_WAITING
    with pytest.raises(NotPossible, match="wait already"):
        async with turns.turn(1, long=False):
            pass
    assert turns.counters()["refused_full"] == 1

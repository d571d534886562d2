"""Another program takes all cores for three seconds: two real ones that spin, started here and ended by their ids."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from bot.voice import reader
from lab.service_cost import staged, totals, watch_lag
from sandbox import Sandbox
from tests.fakes.backend import FakeBackend
from tests.fakes.conversation import conversation
from tests.fakes.settings import keep_addresses
from tests.fakes.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

BUSY_S: Final = 3.0
FITS_S: Final = 1.5
"""So much of each speaker is kept while this machine does not get to it."""
PEOPLE: Final = 6
ON_THE_WAY: Final = 15 * PEOPLE
"""Packets between the two processes when each counts: 0.3 s, besides those of the time between both counts."""
AFTERWARDS: Final = 50
"""Looks at the event loop after it was kept busy: a second, and more where it is still late."""
TOO_BUSY: Final = "this machine is too busy to hear everybody"


@contextlib.asynccontextmanager
async def hogs() -> AsyncIterator[None]:
    """A program for each core, which does nothing but take it."""
    spin = "print(flush=True)\nwhile True: pass"
    programs = []
    try:
        for _ in range(os.cpu_count() or 2):
            one = await asyncio.create_subprocess_exec(sys.executable, "-c", spin, stdout=asyncio.subprocess.PIPE)
            programs.append(one)
        for one in programs:
            assert one.stdout is not None
            await one.stdout.readline()  # it spins from here on
        yield
    finally:
        for one in programs:
            one.kill()
            await one.wait()


async def test_what_fits_one_and_a_half_seconds_a_speaker_is_heard_while_others_take_both_cores() -> None:
    lags: list[float] = []
    async with staged(PEOPLE, 1, {}, say=lambda _: None, backend=FakeBackend()) as (_, sessions, ask):
        (session,) = sessions
        await until(lambda: totals(sessions)["frames"] >= 25 * PEOPLE)
        link: Any = session.call._link
        watching = asyncio.create_task(watch_lag(lags), name="lag")
        asked_s = asyncio.get_running_loop().time()
        said, before = await ask(), totals(sessions)
        apart_s = asyncio.get_running_loop().time() - asked_s
        async with hogs():
            await asyncio.sleep(BUSY_S)
        calm = len(lags)
        await until(lambda: len(lags) > calm + AFTERWARDS and not link.receiver._backlog)  # what waited is worked off
        asked_s = asyncio.get_running_loop().time()
        said, after = await ask() - said, totals(sessions)
        apart_s += asyncio.get_running_loop().time() - asked_s
        watching.cancel()
        lost = sum(after[name] - before[name] for name in ("dropped_overflow", "missed_socket"))
        heard = after["frames"] - before["frames"]
        overloaded = session.call.reason.code == "overloaded"
    assert said["sent"] > 50 * PEOPLE  # the others talked meanwhile
    if max(lags) < FITS_S and reader.granted_bytes() >= PEOPLE * FITS_S * 50 * 1_280:
        assert lost == 0
    if not lost:
        assert abs(heard - said["sent"]) <= ON_THE_WAY + 50 * PEOPLE * apart_s
    assert overloaded == (lost > 0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
async def test_what_a_busy_machine_loses_is_said_in_the_panel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speech: list[bytes]
) -> None:
    """The system gives the socket room for three packets, so that what is not read at once is lost."""
    keep_addresses(monkeypatch)
    async with (
        Sandbox(rate_limits=False) as sandbox,
        conversation(sandbox, tmp_path) as talk,
    ):
        await talk.hears(speech[:10])
        assert not talk.was_shown(TOO_BUSY)
        near = talk.link._reader._socket
        assert near is not None
        near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        others = [talk.sandbox.speaker(talk.sandbox.add_person(f"Person {n}"), pace=0.05) for n in range(4)]
        async with contextlib.AsyncExitStack() as stack:
            for other in others:
                await stack.enter_async_context(other)
                await other.join(talk.sandbox.voice_channel.id)
            async with hogs():
                talking = [asyncio.create_task(one.say_packets(speech), name="talks") for one in (*others, talk.anna)]
                await asyncio.gather(*talking)
                await talk.shows(TOO_BUSY)
        assert talk.session.counters()["missed_socket"] > 0
        assert not talk.session.ending

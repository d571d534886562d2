"""`undertone soak`: people in the loopback Discord talk, come and go, while the bot's connection is cut and moved.

It ends with what was spoken, lost and heard, and with what this process holds on to. That is the bot's: the loopback
Discord and its people have one of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

import click
from rich.console import Console

from bot.cli.options import Number
from lab.soak_ledger import Ledger
from lab.soak_line import Told, soak_line
from lab.soak_report import Report, cost_table, memory_mb, table
from lab.soak_stage import Listener, logged_in_client, measure_packets

WARM_UP_S: Final = 20.0
"""Memory is measured from here on, when everything has been used once."""
CALM_S: Final = (2.0, 6.0)
"""Between two things that happen to ten people. Each of the others has to follow a change of the group, so that more
people need more calm: by the square of their number."""
SETTLE_S: Final = 20.0
IN_FLIGHT_S: Final = 2.0
"""What was spoken so shortly before a cut may still be on its way, and goes down with the connection."""
CODES: Final = (4006, 4009)
"""Close codes after which only a new connection helps."""
RESUMABLE_CODES: Final = (1006, 4015)
_AT_REST: Final = ("listening", "failed", "closed")
"""What the link is when no connection is being made."""
OF_ITS_OWN: Final = "connections lost without a cut (a busy machine)"


@click.command()
@click.option("--minutes", default=1.0, show_default=True, type=Number(0.1, 24 * 60), help="How long.")
@click.option("--speakers", default=10, show_default=True, type=click.IntRange(1, 40), help="How many people talk.")
@click.option(
    "--pace",
    default=1.0,
    show_default=True,
    type=Number(1.0, 20.0),
    help="Seconds that a second of speech takes; more than 1 where the machine cannot carry so many people at once.",
)
@click.option("--seed", default=None, type=int, help="The same things happen in the same order again.")
@click.option("--packets", is_flag=True, help="Measure what a packet costs instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def soak(minutes: float, speakers: int, pace: float, seed: int | None, packets: bool, as_json: bool) -> None:
    """Let simulated speakers join, leave, cut and move at random, and account for every frame."""
    if packets:
        cost = measure_packets()
        if as_json:
            click.echo(json.dumps(asdict(cost) | {"rest_us": cost.rest_us}))
        else:
            Console().print(cost_table(cost))
        return
    say = _quiet if as_json else _progress
    report = asyncio.run(run(minutes=minutes, speakers=speakers, pace=pace, seed=seed, say=say))
    if as_json:
        body = asdict(report) | {"passed": report.passed, "growth_mb_an_hour": round(report.growth_mb_an_hour, 1)}
        click.echo(json.dumps(body))
    else:
        Console().print(table(report))
    if not report.passed:
        raise SystemExit(1)


def _quiet(_: str) -> None:
    """Nothing is said."""


def _progress(text: str) -> None:
    click.echo(text, err=True)


async def run(
    *, minutes: float, speakers: int, pace: float = 1.0, seed: int | None = None, say: Callable[[str], None]
) -> Report:
    """The soak; its report."""
    report = Report(minutes=minutes, speakers=speakers, pace=pace)
    tasks, threads = len(asyncio.all_tasks()), threading.active_count()
    try:
        async with _Soak(report, random.Random(seed), say) as work:  # noqa: S311 - chances, no secrets
            await work.run(minutes * 60)
    except Exception as error:  # noqa: BLE001 - whatever ended it, the table says so and shows how far it came
        report.failure = f"{type(error).__name__}: {error}"
    await asyncio.get_running_loop().shutdown_default_executor()
    await asyncio.sleep(0.1)
    report.tasks = (tasks, len(asyncio.all_tasks()))
    report.threads = (threads, threading.active_count())
    return report


class _Soak:
    """A client, a link in the voice channel of the loopback Discord, and the line to it and its people."""

    def __init__(self, report: Report, chance: random.Random, say: Callable[[str], None]) -> None:
        self._report = report
        self._chance = chance
        self._say = say
        self._stack = contextlib.AsyncExitStack()
        self._ledger = Ledger()
        self._heard: deque[tuple[float, int, bytes]] = deque()
        """What came out, until it is told what was spoken until then."""
        self._lost: set[tuple[int, int]] = set()
        self._gave_up: str | None = None
        """What the link said when it failed."""
        self._cutting = False
        self._coming_back: asyncio.Task[None] | None = None
        """Runs after the link lost its connection of its own accord, until everybody is in one epoch again."""

    async def __aenter__(self) -> _Soak:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        from bot.voice import connect

        report, seed = self._report, self._chance.randrange(1 << 30)
        self._line = await self._stack.enter_async_context(soak_line(report.speakers, report.pace, seed, self._told))
        client = await self._stack.enter_async_context(logged_in_client(self._line))
        self.link = await connect(
            client.get_channel(self._line.channel_id),
            sink=Listener(),
            consent=lambda _: True,
            on_state=self._note_state,
            tap=lambda user_id, packet: self._heard.append((time.monotonic(), user_id, packet)),
        )
        self._stack.push_async_callback(self.link.close)
        await self._line.ask("settle")

    def _note_state(self, state: Any, reason: Any) -> None:
        if state == "failed":
            self._gave_up = str(reason)
        elif state == "reconnecting" and not self._cutting and self._coming_back is None:
            self._ledger.away(time.monotonic() - IN_FLIGHT_S)
            self._coming_back = asyncio.create_task(self._come_back(), name="soak-come-back")

    async def _come_back(self) -> None:
        """A busy machine's link may lose its connection although nobody cut it: that is said in the report."""
        happened = self._report.happened
        happened[OF_ITS_OWN] = happened.get(OF_ITS_OWN, 0) + 1
        try:
            await self._hears_again()
        finally:
            self._ledger.back(time.monotonic())
            self._coming_back = None

    async def _hears_again(self) -> None:
        """Until everybody is in one epoch with the connection that there is. On a busy machine the keys of a new one
        may come so late that the link gives it up for another one."""
        counters = self.link.counters
        while True:
            while self.link.state not in _AT_REST:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
            connections = counters.reconnects
            await self._line.ask("settle")
            if counters.reconnects == connections and self.link.state in _AT_REST:
                return

    def _told(self, told: Told) -> None:
        """Nothing is heard before it was spoken: what was heard until then can be judged now."""
        for one in told.spoken:
            self._ledger.spoke(one.user_id, one.packet, (one.ssrc, one.sequence), one.at_s)
        self._lost.update(told.lost)
        while self._heard and self._heard[0][0] <= told.until_s:
            _, user_id, packet = self._heard.popleft()
            self._ledger.heard(user_id, packet)

    async def run(self, seconds: float) -> None:
        """Let everything happen for so long; the report is complete afterwards."""
        report, began_s = self._report, time.monotonic()
        end_s = began_s + seconds
        warm_s = began_s + min(WARM_UP_S, seconds / 3)
        await self._line.ask("talk")
        said_s = began_s
        try:
            while time.monotonic() < end_s and self._gave_up is None:
                calm_s = self._chance.uniform(*CALM_S) * max(1.0, (report.speakers / 10) ** 2)
                await asyncio.sleep(min(calm_s, max(0.1, end_s - time.monotonic())))
                if self._coming_back is not None:
                    await self._coming_back
                if time.monotonic() < end_s and self._gave_up is None:
                    await self._line.ask("wait_for_bot")
                    await self._happen()
                self._settle()
                now_s = time.monotonic()
                if not report.memory_start_mb and now_s >= warm_s:
                    report.memory_start_mb, warm_s = memory_mb(), now_s
                if now_s - said_s > 60:
                    said_s = now_s
                    self._say(f"{(now_s - began_s) / 60:.0f} min: {dict(self._ledger.sums)}, {memory_mb():.0f} MB")
            if self._coming_back is not None:
                await self._coming_back
            await self._line.ask("quiet")
            await asyncio.sleep(2.0)
            await self._line.ask("settle")
        finally:
            self._sum_up(warm_s)

    def _sum_up(self, since_s: float) -> None:
        """Complete the report, however the soak ended."""
        report, counters = self._report, self.link.counters
        report.failure = self._gave_up
        self._settle(0.0)
        report.memory_end_mb, report.measured_s = memory_mb(), time.monotonic() - since_s
        report.sums, report.counters = dict(self._ledger.sums), counters.as_dict()
        # Reordered by more than the jitter buffer waits: the receiver knows how many, the ledger which are missing.
        late = min(report.sums.get("unexplained", 0), counters.dropped_late + counters.dropped_stray)
        report.sums["too_late"] = late
        report.sums["unexplained"] = report.sums.get("unexplained", 0) - late
        busy = counters.dropped_overflow + counters.missed_socket  # what this machine did not get to
        report.sums["too_busy"] = min(report.sums["unexplained"], busy)
        report.sums["unexplained"] -= report.sums["too_busy"]
        report.reconnects, report.resumes = counters.reconnects, counters.resumes
        report.slowest_slice_ms = self.link.slowest_s * 1000

    # -- what happens -----------------------------------------------------------------------------------------------

    async def _happen(self) -> None:
        kinds: tuple[tuple[int, str, Callable[[], Any]], ...] = (
            (3, "leaves and joins", self._leave_and_join),
            (3, "reconnects of a speaker", self._reconnect_speaker),
            (2, "mutes in mid-word", self._mute),
            (2, "cuts that are resumed", self._cut_and_resume),
            (2, "cuts", self._cut),
            (1, "resumes refused", self._refuse_resume),
            (1, "changes of region (4022)", self._change_region),
            (2, "moves to another voice server", self._move),
            (3, "changes of the wire", self._change_wire),
            (1, "late words on speakers or epochs", self._be_late),
        )
        _, name, what = self._chance.choices(kinds, weights=[weight for weight, _, _ in kinds])[0]
        happened = self._report.happened
        happened[name] = happened.get(name, 0) + 1
        await what()

    @property
    def _someone(self) -> int:
        return self._chance.randrange(self._report.speakers)

    async def _leave_and_join(self) -> None:
        await self._line.ask("leave_and_join", person=self._someone, away_s=self._chance.uniform(0.1, 2.0))

    async def _reconnect_speaker(self) -> None:
        await self._line.ask("reconnect", person=self._someone, cut=self._chance.random() < 0.5)

    async def _mute(self) -> None:
        await self._line.ask("mute", person=self._someone)

    async def _cut(self) -> None:
        await self._away("close", code=self._chance.choice(CODES))

    async def _cut_and_resume(self) -> None:
        """Nothing may be missed: the same session goes on, and so do its packets. Where a new one was made after all,
        because the machine was too slow, what was said meanwhile may be."""
        counters, began_s = self.link.counters, time.monotonic()
        before, connections = counters.resumes, counters.reconnects
        cutting = asyncio.ensure_future(self._line.ask("close", code=self._chance.choice(RESUMABLE_CODES)))
        async with asyncio.timeout(60.0):
            while counters.resumes == before and counters.reconnects == connections:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        await cutting
        await self._line.ask("settle")
        if counters.resumes == before:
            self._ledger.away(began_s - IN_FLIGHT_S)
            self._ledger.back(time.monotonic())

    async def _refuse_resume(self) -> None:
        await self._away("refuse_resume", code=self._chance.choice(RESUMABLE_CODES))

    async def _change_region(self) -> None:
        await self._away("change_region")

    async def _move(self) -> None:
        await self._away("move")

    async def _change_wire(self) -> None:
        chance = self._chance.random
        await self._line.ask(
            "change_wire",
            seed=self._chance.randrange(1 << 30),
            loss=0.03 * chance(),
            duplicate=0.1 * chance(),
            reorder=0.05 * chance(),
            extension=chance(),
            padding=chance(),
            padding_burst=0.02 * chance(),
            foreign=0.05 * chance(),
            garbage=0.05 * chance(),
        )

    async def _be_late(self) -> None:
        late_s = (0.0, 0.4)
        await self._line.ask("be_late", speaking_s=self._chance.choice(late_s), commit_s=self._chance.choice(late_s))

    async def _away(self, what: str, **details: Any) -> None:
        """Cut the bot's connection and wait until it hears again."""
        counters, before = self.link.counters, self.link.counters.reconnects
        began_s, self._cutting = time.monotonic(), True
        self._ledger.away(began_s - IN_FLIGHT_S)
        cutting = asyncio.ensure_future(self._line.ask(what, **details))
        try:
            async with asyncio.timeout(60.0):
                while not (counters.reconnects > before and self.link.is_connected()):
                    if self._gave_up is not None:
                        return
                    await asyncio.sleep(0.01)
        finally:
            await asyncio.gather(cutting, return_exceptions=True)
        took_s, connections = time.monotonic() - began_s, counters.reconnects
        self._report.slowest_return_s = max(self._report.slowest_return_s, took_s)
        await self._hears_again()
        if again := counters.reconnects - connections:
            self._report.happened[OF_ITS_OWN] = self._report.happened.get(OF_ITS_OWN, 0) + again
        self._ledger.back(time.monotonic())
        self._cutting = False

    def _settle(self, patience_s: float = SETTLE_S) -> None:
        self._ledger.settle(self._lost, time.monotonic() - patience_s)
        if len(self._lost) > 20_000:
            self._lost.clear()

"""`undertone soak`: ten people in the loopback Discord talk, come and go, while their connections are cut and moved at
random. It ends with what was spoken, lost and heard, and with what the process holds on to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict
from typing import Any, Final

import click
from rich.console import Console

from lab.soak_ledger import Ledger, numbered
from lab.soak_report import Report, cost_table, memory_mb, table
from lab.soak_stage import Listener, logged_in_client, measure_packets, speech_packets

WARM_UP_S: Final = 20.0
"""Memory is measured from here on, when everything has been used once."""
CALM_S: Final = (2.0, 6.0)
"""Between two things that happen to ten people. Each of the others has to follow a change of the group, so that more
people need more calm: by the square of their number."""
SETTLE_S: Final = 20.0
PATIENCE_S: Final = 10.0
IN_FLIGHT_S: Final = 2.0
"""What was spoken so shortly before a cut may still be on its way, and goes down with the connection."""
SPEECH_PACKETS: Final = (25, 150)
CODES: Final = (4006, 4009)
"""Close codes after which only a new connection helps."""
RESUMABLE_CODES: Final = (1006, 4015)


@click.command()
@click.option("--minutes", default=1.0, show_default=True, type=click.FloatRange(0.1, 24 * 60), help="How long.")
@click.option("--speakers", default=10, show_default=True, type=click.IntRange(1, 40), help="How many people talk.")
@click.option(
    "--pace",
    default=1.0,
    show_default=True,
    type=click.FloatRange(1.0, 20.0),
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
    """A sandbox, a client, a link in its voice channel, and people."""

    def __init__(self, report: Report, chance: random.Random, say: Callable[[str], None]) -> None:
        self._report = report
        self._chance = chance
        self._say = say
        self._stack = contextlib.AsyncExitStack()
        self._ledger = Ledger()
        self._lost: set[tuple[int, int]] = set()
        self._number = 0
        self._gave_up: str | None = None
        """What the link said when it failed."""
        self._busy: set[int] = set()
        """Speakers to whom something is happening."""

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
        from sandbox import Sandbox
        from sandbox.voice import VoiceSettings

        # A busy machine's people are slow, but nobody's keys are changed before they have the new ones.
        patient = VoiceSettings(ready_timeout_s=PATIENCE_S, commit_timeout_s=PATIENCE_S)
        self._sandbox = await self._stack.enter_async_context(Sandbox(rate_limits=False, voice_settings=patient))
        client = await self._stack.enter_async_context(logged_in_client(self._sandbox))
        self._speech = await asyncio.to_thread(lambda: list(speech_packets()))
        self._people = []
        for number in range(self._report.speakers):
            user = self._sandbox.add_person(f"Speaker {number + 1}")
            person = self._sandbox.speaker(
                user,
                pace=self._report.pace,
                on_spoken=lambda frame: self._ledger.spoke(
                    frame.user_id, frame.opus, (frame.ssrc, frame.sequence), time.monotonic()
                ),
            )
            self._people.append(await self._stack.enter_async_context(person))
            await person.join(self._sandbox.voice_channel.id)
        self.link = await connect(
            client.get_channel(self._sandbox.voice_channel.id),
            sink=Listener(),
            consent=lambda _: True,
            on_state=self._note_state,
            tap=self._ledger.heard,
        )
        self._stack.push_async_callback(self.link.close)
        await self._settled()

    def _note_state(self, state: Any, reason: Any) -> None:
        if state == "failed":
            self._gave_up = str(reason)

    @property
    def _bot_id(self) -> int:
        return int(self._sandbox.bot.id)

    async def run(self, seconds: float) -> None:
        """Let everything happen for so long; the report is complete afterwards."""
        report, began_s = self._report, time.monotonic()
        end_s = began_s + seconds
        warm_s = began_s + min(WARM_UP_S, seconds / 3)
        talking = [
            asyncio.create_task(self._talk(person), name=f"soak-talk-{index}")
            for index, person in enumerate(self._people)
        ]
        said_s = began_s
        try:
            while time.monotonic() < end_s and self._gave_up is None:
                calm_s = self._chance.uniform(*CALM_S) * max(1.0, (report.speakers / 10) ** 2)
                await asyncio.sleep(min(calm_s, max(0.1, end_s - time.monotonic())))
                # On a busy machine the bot may be on its way back by itself.
                if time.monotonic() < end_s and self._sandbox.voice.connection(self._bot_id) is not None:
                    await self._happen()
                self._settle()
                for task in talking:
                    if task.done():
                        task.result()
                now_s = time.monotonic()
                if not report.memory_start_mb and now_s >= warm_s:
                    report.memory_start_mb, warm_s = memory_mb(), now_s
                if now_s - said_s > 60:
                    said_s = now_s
                    self._say(f"{(now_s - began_s) / 60:.0f} min: {dict(self._ledger.sums)}, {memory_mb():.0f} MB")
        finally:
            for task in talking:
                task.cancel()
            await asyncio.gather(*talking, return_exceptions=True)
            await asyncio.sleep(2.0)
            self._sum_up(warm_s)

    def _sum_up(self, since_s: float) -> None:
        """Complete the report, however the soak ended."""
        report = self._report
        report.failure = self._gave_up
        self._settle(0.0)
        report.memory_end_mb, report.measured_s = memory_mb(), time.monotonic() - since_s
        report.sums, report.counters = dict(self._ledger.sums), self.link.counters.as_dict()
        # Reordered by more than the jitter buffer waits: the receiver knows how many, the ledger which are missing.
        late = min(
            report.sums.get("unexplained", 0), self.link.counters.dropped_late + self.link.counters.dropped_stray
        )
        report.sums["too_late"] = late
        report.sums["unexplained"] = report.sums.get("unexplained", 0) - late
        # What this machine did not get to: the layer counts it, and so does the loopback Discord.
        counters, calls = self.link.counters, self._sandbox.voice.calls.values()
        busy = counters.dropped_overflow + counters.missed_socket + sum(call.counters["missed"] for call in calls)
        report.sums["too_busy"] = min(report.sums["unexplained"], busy)
        report.sums["unexplained"] -= report.sums["too_busy"]
        report.reconnects, report.resumes = counters.reconnects, counters.resumes
        report.slowest_slice_ms = self.link.slowest_s * 1000

    # -- talking ----------------------------------------------------------------------------------------------------

    async def _talk(self, person: Any) -> None:
        """Speak now and then, for as long as the soak lasts."""
        chance = random.Random(self._chance.random())  # noqa: S311 - chances, no secrets
        while True:
            await asyncio.sleep(chance.uniform(0.3, 3.0))
            if person.user_id in self._busy or person.channel_id is None:
                continue
            start = chance.randrange(len(self._speech))
            count = chance.randint(*SPEECH_PACKETS)
            with contextlib.suppress(RuntimeError, TimeoutError, ConnectionError):  # taken away in mid-word
                await person.say_packets(self._numbered(start, count), silence_frames=chance.choice((0, 5)))
            person.spoken.clear()

    def _numbered(self, start: int, count: int) -> Iterator[bytes]:
        for index in range(start, start + count):
            self._number += 1
            yield numbered(self._speech[index % len(self._speech)], self._number)

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

    async def _leave_and_join(self) -> None:
        person = self._chance.choice(self._people)
        async with self._something_happens_to(person):
            await person.leave()
            await asyncio.sleep(self._chance.uniform(0.1, 2.0))
            await person.join(self._sandbox.voice_channel.id)
            await self._settled()

    async def _reconnect_speaker(self) -> None:
        person = self._chance.choice(self._people)
        async with self._something_happens_to(person):
            await person.reconnect(cut=self._chance.random() < 0.5)
            await self._settled()

    async def _mute(self) -> None:
        self._chance.choice(self._people).mute()

    async def _cut(self) -> None:
        code = self._chance.choice(CODES)
        await self._away(lambda: self._sandbox.voice.close(self._bot_id, code))

    async def _cut_and_resume(self) -> None:
        """Nothing may be missed: the same session goes on, and so do its packets. Where a new one was made after all,
        because the machine was too slow, what was said meanwhile may be."""
        counters, began_s = self.link.counters, time.monotonic()
        before, connections = counters.resumes, counters.reconnects
        cutting = asyncio.ensure_future(self._sandbox.voice.close(self._bot_id, self._chance.choice(RESUMABLE_CODES)))
        async with asyncio.timeout(60.0):
            while counters.resumes == before and counters.reconnects == connections:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        await cutting
        await self._settled()
        if counters.resumes == before:
            self._ledger.away(began_s - IN_FLIGHT_S)
            self._ledger.back(time.monotonic())

    async def _refuse_resume(self) -> None:
        self._sandbox.voice.faults(self._bot_id).refuse_resumes = 1
        code = self._chance.choice(RESUMABLE_CODES)
        await self._away(lambda: self._sandbox.voice.close(self._bot_id, code))

    async def _change_region(self) -> None:
        await self._away(lambda: self._sandbox.end_call(region_changed=True))

    async def _move(self) -> None:
        await self._away(lambda: self._sandbox.seating.move_voice_server(self._sandbox.bot))

    async def _change_wire(self) -> None:
        from sandbox.voice import WirePlan

        chance = self._chance.random
        plan = WirePlan(
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
        self._sandbox.voice.faults(self._bot_id).wire.use(plan)

    async def _be_late(self) -> None:
        faults = self._sandbox.voice.faults(self._bot_id)
        faults.speaking_delay_s = self._chance.choice((0.0, 0.4))
        faults.commit_delay_s = self._chance.choice((0.0, 0.4))

    @contextlib.asynccontextmanager
    async def _something_happens_to(self, person: Any) -> AsyncIterator[None]:
        self._busy.add(person.user_id)
        person.mute()
        await asyncio.sleep(0.1)  # what is on its way to the server would go down with the connection
        try:
            yield
        finally:
            self._busy.discard(person.user_id)

    async def _away(self, cut: Callable[[], Any]) -> None:
        """Cut the bot's connection and wait until it hears again."""
        counters, before = self.link.counters, self.link.counters.reconnects
        began_s = time.monotonic()
        self._ledger.away(began_s - IN_FLIGHT_S)
        cutting = asyncio.ensure_future(cut())
        try:
            async with asyncio.timeout(60.0):
                while not (counters.reconnects > before and self.link.is_connected()):
                    if self._gave_up is not None:
                        return
                    await asyncio.sleep(0.01)
        finally:
            await asyncio.gather(cutting, return_exceptions=True)
        took_s = time.monotonic() - began_s
        self._report.slowest_return_s = max(self._report.slowest_return_s, took_s)
        await self._settled()
        self._ledger.back(time.monotonic())

    async def _settled(self) -> None:
        await self._sandbox.voice.settled(self._sandbox.voice_channel.id, timeout_s=60.0)
        await asyncio.sleep(0.6)  # a late commit, and the word that it counts

    def _settle(self, patience_s: float = SETTLE_S) -> None:
        lost = self._sandbox.voice.faults(self._bot_id).wire.lost
        self._lost.update((packet.ssrc, packet.sequence) for packet in lost)
        lost.clear()
        self._ledger.settle(self._lost, time.monotonic() - patience_s)
        if len(self._lost) > 20_000:
            self._lost.clear()

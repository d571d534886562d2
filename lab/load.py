"""`undertone load`: how many people a machine carries. The loopback Discord runs in one process, the service in this
one, its workers in theirs; nothing leaves the machine, and it ends by itself.

Everybody talks all the time, with the real clips that the repository carries. They begin spread over the length of a
window, as people do; `--at-once` lets them begin in the same instant, so that all their windows end together: the worst
case, which no call is. Of each window it is noted when the voice layer gave the session its last packet, when its event
was published and when its row was stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import click

from bot.cli.options import Number
from bot.listening.hearing import Recognition
from bot.listening.intake import Intake
from bot.service import Service
from lab.processes import Processes
from lab.service_cost import LOST, WARM_UP_S, Crowd, staged, totals, watch_lag
from lab.soak_stage import MOST_SERVERS
from ser_engine.errors import EngineError
from ser_engine.types import SAMPLE_RATE_HZ, WINDOW_S
from storage.records import WindowRecord
from storage.store import Storage

MOST_MS: Final = 700.0
"""What 95 of 100 windows must need at the most, to the event, for so many people to count as carried …"""
MOST_MISSING: Final = 0.01
"""… with no window dropped and this share of what was said not heard."""
KEPT_PACKETS: Final = 2_000
FIRST_PEOPLE: Final = 8
PRECISION: Final = 0.08


class NobodyHeard(RuntimeError):
    """There are too few windows to say anything of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Milliseconds are from a window's last packet."""

    people: int
    servers: int
    seconds: float
    spread_s: float
    """Within how long of each other they began to talk."""
    windows: int
    event_ms: tuple[float, float]
    """Median, and what 95 of 100 need at the most."""
    row_ms: tuple[float, float]
    degraded: int
    """Windows that the faster model answered."""
    lag_p99_ms: float
    missing: float
    """Share of what people said that was not heard, for whatever reason."""
    unsaid: int = 0
    """Packets that people could not send in time, because the loopback Discord was too slow."""
    lost: dict[str, int] = field(default_factory=dict)
    """Of the service's own making."""
    processes: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Cores used, and MB of memory (proportional), by process."""

    @property
    def carried(self) -> bool:
        return self.event_ms[1] <= MOST_MS and self.missing <= MOST_MISSING and not any(self.lost.values())


class Watch:
    """Notes of every window when its last packet came, its event was published and its row was stored."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.on = False
        self.event_s: list[float] = []
        self.row_s: list[float] = []
        self._now = now
        self._packets: dict[tuple[int, str], list[tuple[int, float]]] = {}
        self._waiting: dict[tuple[str, int, float], float] = {}

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """The three places are looked at within this block."""
        frame, add, store = Intake.frame, Recognition._add, Storage.add_results

        def framed(intake: Intake, one: Any) -> None:
            held = self._packets.setdefault((id(intake), one.speaker), [])
            held.append((one.t_samples, self._now()))
            del held[:-KEPT_PACKETS]
            frame(intake, one)

        def added(heard: Recognition, window: Any, *rest: Any) -> None:
            participant = heard._people.participant(int(window.speaker))
            came = self._came(heard._intake, window.speaker, window.end_s)
            if participant is not None and came is not None and self.on:
                self._waiting[(heard._session_id, participant.id, window.start_s)] = came
            add(heard, window, *rest)
            if came is not None and self.on:
                self.event_s.append(self._now() - came)

        async def stored(storage: Storage, results: Any) -> int:
            found = await store(storage, results)
            for session_id, one in results:
                if not isinstance(one, WindowRecord):
                    continue
                if (came := self._waiting.pop((session_id, one.participant_id, one.start_s), None)) is not None:
                    self.row_s.append(self._now() - came)
            return found

        with contextlib.ExitStack() as stack:
            for owner, name, made in (
                (Intake, "frame", framed),
                (Recognition, "_add", added),
                (Storage, "add_results", stored),
            ):
                stack.callback(setattr, owner, name, getattr(owner, name))
                setattr(owner, name, made)
            yield

    def _came(self, intake: Intake, speaker: str, end_s: float) -> float | None:
        """When the last packet of what ends at `end_s` came."""
        end = round(end_s * SAMPLE_RATE_HZ)
        return next((at for t, at in reversed(self._packets.get((id(intake), speaker), [])) if t < end), None)


@click.command()
@click.option("--people", default=20, show_default=True, type=click.IntRange(1, 400), help="How many talk.")
@click.option(
    "--servers",
    default=4,
    show_default=True,
    type=click.IntRange(1, MOST_SERVERS),
    help="In how many servers: no more begin in a minute.",
)
@click.option("--minutes", default=1.0, show_default=True, type=Number(0.05, 600), help="How long.")
@click.option("--model", help="Name or path of the model; as the settings say otherwise.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 16), help="Inference processes.")
@click.option("--at-once", is_flag=True, help="All begin in the same instant, not spread over a window's 3 s.")
@click.option("--find", is_flag=True, help="Look for the most people that are carried, from few to --people.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line a try.")
def load(
    people: int,
    servers: int,
    minutes: float,
    model: str | None,
    workers: int,
    at_once: bool,
    find: bool,
    as_json: bool,
) -> None:
    """Let people talk all the time in the loopback Discord, and say what becomes of it. They begin spread over a
    window's 3 s, as people do; with --at-once in the same instant, so that all their windows end together: the worst
    case. With --find: how many of them this machine carries, with 95 of 100 windows answered within 700 ms, and none
    dropped."""
    say = functools.partial(click.echo, err=True)
    spread_s = 0.0 if at_once else WINDOW_S

    def tried(many: int) -> Load:
        run = measure(many, min(servers, many), minutes * 60, model=model, workers=workers, spread_s=spread_s, say=say)
        try:
            one = asyncio.run(run)
        except (EngineError, NobodyHeard) as error:
            raise click.ClickException(str(error)) from error
        click.echo(json.dumps(asdict(one) | {"carried": one.carried}) if as_json else written(one))
        return one

    if not find:
        tried(people)
        return
    most = found(people, lambda many: tried(many).carried)
    click.echo(json.dumps({"carried": most}) if as_json else f"Carried: {most} people")


def found(limit: int, carried: Callable[[int], bool]) -> int:
    """The largest number up to `limit` that is carried, within 8 %: doubled until one is not, then halved between."""
    good, bad, many = 0, limit + 1, min(FIRST_PEOPLE, limit)
    while True:
        if carried(many):
            good = many
        else:
            bad = many
        if good == limit or bad - good <= max(1, good * PRECISION):
            return good
        many = min(limit, good * 2) if bad > limit and good else (good + bad) // 2


async def measure(
    people: int,
    servers: int,
    seconds: float,
    *,
    model: str | None = None,
    workers: int = 1,
    spread_s: float = WINDOW_S,
    say: Callable[[str], None],
    **service: Any,
) -> Load:
    """Let so many people talk in so many servers for so long; they begin within `spread_s` of each other. `service` is
    handed to the service as it is."""
    watch = Watch(asyncio.get_running_loop().time)
    values = {"workers": workers, **({"model": model} if model else {})}
    with watch.watching():
        say(f"{people} people talk for {seconds:g} s …")
        async with staged(people, servers, values, say=say, spread_s=spread_s, **service) as (running, sessions, ask):
            await asyncio.sleep(WARM_UP_S + spread_s)
            stated = {"people": people, "servers": servers, "spread_s": spread_s}
            return await _observed(running, sessions, ask, watch, seconds, stated)


async def _observed(
    service: Service, sessions: Any, ask: Crowd, watch: Watch, seconds: float, stated: dict[str, Any]
) -> Load:
    """What becomes of it; `stated` goes into the result as it is."""
    lags: list[float] = []
    loop = asyncio.get_running_loop()
    watching = asyncio.create_task(watch_lag(lags), name="lag")
    said, before = await ask(), totals(sessions)
    processes, began_s = Processes(), loop.time()
    watch.on = True
    await asyncio.sleep(seconds)
    watch.on = False
    took_s, used = loop.time() - began_s, processes.used()
    said, after = await ask() - said, totals(sessions)
    watching.cancel()
    heard = after["frames"] - before["frames"]
    await service.writer.flush()  # the rows of the last windows
    return Load(
        **stated,
        seconds=took_s,
        windows=len(watch.event_s),
        event_ms=_middle_and_late(watch.event_s),
        row_ms=_middle_and_late(watch.row_s),
        degraded=after["windows_degraded"] - before["windows_degraded"],
        lag_p99_ms=_middle_and_late(lags, 99)[1],
        missing=max(0.0, 1 - heard / max(1, said["sent"])),
        unsaid=said["unsent"],
        lost={name: after[name] - before[name] for name in LOST},
        processes={name: (cpu_s / took_s, memory_mb) for name, (cpu_s, memory_mb) in used.items()},
    )


def _middle_and_late(seconds: list[float], late: int = 95) -> tuple[float, float]:
    """Median and percentile, ms. Raises NobodyHeard where there is nothing."""
    if len(seconds) < 2:
        raise NobodyHeard("Hardly a window was heard in that time. Let them talk longer: --minutes 1.")
    return statistics.median(seconds) * 1e3, statistics.quantiles(seconds, n=100)[late - 1] * 1e3


def written(one: Load) -> str:
    """For people."""
    lines = [
        f"{one.people} people talk all the time in {one.servers} servers, for {one.seconds:.0f} s: "
        + ("carried" if one.carried else "NOT carried"),
        f"  they began {f'spread over {one.spread_s:g} s' if one.spread_s else 'in the same instant'}",
        f"  {one.windows} windows, {one.degraded} of them answered by the faster model",
        f"  from the last packet to the event: half within {one.event_ms[0]:.0f} ms, 95 of 100 within "
        f"{one.event_ms[1]:.0f} ms; to the row: {one.row_ms[0]:.0f} ms, {one.row_ms[1]:.0f} ms",
        f"  event loop: 99 of 100 times less than {one.lag_p99_ms:.1f} ms late",
        f"  not heard: {one.missing:.2%}; of the service's own making: {one.lost}",
        f"  not said, because the loopback Discord was too slow: {one.unsaid}",
    ]
    lines += [f"  {cores:5.2f} cores, {mb:5.0f} MB  {name}" for name, (cores, mb) in one.processes.items()]
    return "\n".join(lines)

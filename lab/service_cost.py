"""What a voice packet costs in the whole service: the loopback Discord in one process, the service in another.

The layer alone is not what an operator pays for: there are sessions, segmenting, queues and recognition around it. The
cost is the processor time of the service's main process, all its threads together, for each packet that was heard. The
recognising workers are processes of their own and are not in it. It is measured first as it is. The parts are measured
afterwards with a clock around each, so they are a little dearer.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import ssl
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp
import click

from bot.listening.intake import Intake
from bot.listening.manager import StartRequest
from bot.listening.session import ListeningSession
from bot.service import Service
from bot.settings import load_settings
from bot.voice import dave, reader
from bot.voice.opening import PacketOpener
from ser_engine import opus
from ser_engine.backends.base import InferenceBackend
from ser_engine.backends.process import deaf_to_signals
from ser_engine.loading import loaded
from ser_engine.types import WINDOW_S

WARM_UP_S: Final = 5.0
PARTS_S: Final = 5.0
"""The parts are measured for at least so long."""
LAG_STEP_S: Final = 0.02
READY_S: Final = 180.0
PACKETS_A_SECOND: Final = 50
LOST: Final = ("dropped_overflow", "missed_socket", "windows_dropped_queue_full", "predictions_lost")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCost:
    """Microseconds are the main process's processor time a packet."""

    people: int
    servers: int
    seconds: float
    packets: int
    """Heard while it was measured as it is."""
    total_us: float
    parts_us: dict[str, float]
    lag_p99_ms: float
    """How late the event loop came to what was due, 99 of 100 times at the most."""
    lag_max_ms: float
    missing: float
    """Share of what people said that was not heard, for whatever reason."""
    unsaid: int = 0
    """What people could not say in time, because the loopback Discord was too slow: it tells nothing of the service."""
    lost: dict[str, int] = field(default_factory=dict)
    """Of the service's own making."""

    @property
    def people_a_core(self) -> float:
        return 1e6 / self.total_us / PACKETS_A_SECOND


class Crowd(Protocol):
    """Asks the other process how much was said. The first time it lets its people talk, and is not answered."""

    async def __call__(self, *, answered: bool = True) -> Counter[str]: ...


async def measure_service(
    *,
    people: int,
    servers: int,
    seconds: float,
    model: str | None = None,
    backend: InferenceBackend | None = None,
    say: Callable[[str], None],
) -> ServiceCost:
    """Let so many people talk all the time, in so many servers, and measure for so long."""
    values = {"model": model} if model else {}
    async with staged(people, servers, values, say=say, backend=backend) as (_, sessions, ask):
        return await observe(sessions, ask, people, servers, seconds)


@contextlib.asynccontextmanager
async def staged(
    people: int,
    servers: int,
    values: Mapping[str, Any],
    *,
    say: Callable[[str], None],
    spread_s: float = WINDOW_S,
    **service: Any,
) -> AsyncIterator[tuple[Service, list[ListeningSession], Crowd]]:
    """The service with these settings, and a session in each of the other process's servers, where all talk.

    They begin within `spread_s` of each other. People who begin in the same instant end all their windows in the same
    instant, too, which no call does."""
    loaded()  # as `undertone run` does: no full collection holds the event loop up
    async with crowd(people, servers, spread_s) as (where, ask):
        say(f"{people} people sit in {servers} servers; the service starts …")
        with tempfile.TemporaryDirectory(prefix="undertone-") as folder:
            context = ssl.create_default_context(cadata=where["certificate"])
            plain = {"data_dir": Path(folder), "port": 0, "database_address": None, "log_level": "warning", **values}
            discord = {"discord_token": where["token"], "discord_api_base": where["api_base"]}
            settings = load_settings(env_file=None, **plain, **discord)
            connector = functools.partial(aiohttp.TCPConnector, limit=0, ssl=context)
            async with Service(settings, make_connector=connector, **service) as running:
                await running.discord_ready()
                sessions = [await listen(running, call) for call in where["calls"]]
                await ask(answered=False)
                say("They talk; it is measured …")
                yield running, sessions, ask


def told(people: int, servers: int, seconds: float, model: str | None, *, as_json: bool) -> str:
    """Measure, and put it into words."""
    say = functools.partial(click.echo, err=True)
    cost = asyncio.run(measure_service(people=people, servers=servers, seconds=seconds, model=model, say=say))
    if as_json:
        return json.dumps(asdict(cost) | {"people_a_core": cost.people_a_core})
    lines = [f"{cost.people} people talk all the time in {cost.servers} servers, for {cost.seconds:.0f} s"]
    lines += [f"  {cost.total_us:7.1f} µs a packet in the main process; a core hears {cost.people_a_core:.0f} people"]
    lines += [f"  {microseconds:7.1f} µs  {part}" for part, microseconds in cost.parts_us.items()]
    lines += [f"Event loop: 99 of 100 times less than {cost.lag_p99_ms:.1f} ms late, at most {cost.lag_max_ms:.1f} ms"]
    lines += [f"Not heard: {cost.missing:.2%}; of the service's own making: {cost.lost}"]
    lines += [f"Not said, because the loopback Discord was too slow: {cost.unsaid}"]
    return "\n".join(lines)


@contextlib.asynccontextmanager
async def crowd(people: int, servers: int, spread_s: float) -> AsyncIterator[tuple[dict[str, Any], Crowd]]:
    """The other process; where it is, and what lets its people talk and tells how much they said."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "lab.crowd", str(people), str(servers), str(spread_s))
    with deaf_to_signals():  # Ctrl-C is for this process; that one ends with its standard input
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=1 << 20)
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    stdin, stdout = process.stdin, process.stdout

    async def ask(*, answered: bool = True) -> Counter[str]:
        stdin.write(b"\n")
        return Counter(json.loads(await stdout.readline()) if answered else {})

    try:
        async with asyncio.timeout(READY_S):
            line = await stdout.readline()
        if not line:
            raise RuntimeError("the loopback Discord did not start")
        yield json.loads(line), ask
    finally:
        stdin.close()
        try:
            async with asyncio.timeout(10.0):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def listen(service: Service, call: dict[str, Any]) -> ListeningSession:
    """A session in which everybody is included."""
    client: Any = service.gateway.client
    channel: Any = None
    async with asyncio.timeout(30.0):
        while channel is None or not set(call["people"]) <= set(channel.voice_states):
            await asyncio.sleep(0.05)
            channel = client.get_channel(call["channel"])
    session = await service.sessions.start(
        StartRequest(
            guild_id=call["guild"],
            channel_id=call["channel"],
            channel=channel,
            started_by=call["people"][0],
            present=lambda: [(user_id, False) for user_id in call["people"]],
            asked_in=call["channel"],
        )
    )
    for number, user_id in enumerate(call["people"], start=1):
        await session.people.include(user_id, number)
    return session


async def observe(
    sessions: list[ListeningSession], ask: Crowd, people: int, servers: int, seconds: float
) -> ServiceCost:
    await asyncio.sleep(WARM_UP_S)
    lags: list[float] = []
    watching = asyncio.create_task(watch_lag(lags), name="lag")
    said, before = await ask(), totals(sessions)
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    cpu_s, took_s = time.process_time() - began_cpu_s, time.monotonic() - began_s
    said, after = await ask() - said, totals(sessions)
    watching.cancel()
    packets = after["frames"] - before["frames"]
    if not packets:
        raise RuntimeError("nobody was heard")
    return ServiceCost(
        people=people,
        servers=servers,
        seconds=took_s,
        packets=packets,
        total_us=cpu_s / packets * 1e6,
        parts_us=await parts(sessions, max(PARTS_S, seconds / 4)),
        lag_p99_ms=statistics.quantiles(lags, n=100)[98] * 1e3,
        lag_max_ms=max(lags) * 1e3,
        missing=max(0.0, 1 - packets / max(1, said["sent"])),
        unsaid=said["unsent"],
        lost={name: after[name] - before[name] for name in LOST},
    )


def totals(sessions: list[ListeningSession]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for session in sessions:
        sums.update(session.counters())
    return sums


async def watch_lag(lags: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + LAG_STEP_S
        await asyncio.sleep(LAG_STEP_S)
        lags.append(loop.time() - due_s)


async def parts(sessions: list[ListeningSession], seconds: float) -> dict[str, float]:
    """Microseconds a packet of each part, with a clock around it."""
    spent: dict[str, float] = defaultdict(float)
    with contextlib.ExitStack() as clocks:
        for owner, name, part in (
            (reader.SocketReader, "_readable", "layer"),
            (reader.SocketReader, "_read", "layer"),
            (reader.SocketReader, "slice", "layer"),
            (reader.SocketReader, "tick", "layer"),
            (reader.SocketReader, "catch_up", "layer"),
            (PacketOpener, "open", "transport decryption"),
            (dave, "decrypt", "DAVE"),
            (opus.Decoder, "append", "Opus to 16 kHz"),
            (Intake, "frame", "gathering and segmenting"),
            (Intake, "silence", "gathering and segmenting"),
        ):
            clocks.enter_context(clocked(owner, name, spent, part))
        before, process_s, thread_s = totals(sessions), time.process_time(), time.thread_time()
        await asyncio.sleep(seconds)
        thread_s = time.thread_time() - thread_s
        process_s, after = time.process_time() - process_s, totals(sessions)
    packets = after["frames"] - before["frames"]
    within = {name: took_s for name, took_s in spent.items() if name != "layer"}
    seen = within | {
        "socket, headers, consent, order, timeline": spent["layer"] - sum(within.values()),
        "sessions, panel, database, web": thread_s - spent["layer"],
        "threads (recognition's queues)": process_s - thread_s,
    }
    return {name: took_s / packets * 1e6 for name, took_s in seen.items()}


@contextlib.contextmanager
def clocked(owner: Any, name: str, spent: dict[str, float], part: str) -> Iterator[None]:
    """Time every call of `owner.name` within the block; one inside another of the same part counts once."""
    original, clock = getattr(owner, name), time.thread_time

    @functools.wraps(original)
    def timed(*args: Any, **kwargs: Any) -> Any:
        before_s, began_s = spent[part], clock()
        try:
            return original(*args, **kwargs)
        finally:
            spent[part] = before_s + clock() - began_s

    setattr(owner, name, timed)
    try:
        yield
    finally:
        setattr(owner, name, original)

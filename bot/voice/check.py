"""Joining a call for a minute and telling what was met there, in words that can be pasted into a bug report.

Nobody who works on this layer can try Discord itself, so the layer has to tell what it meets. The report holds
versions, codes, times and counters. It holds no id, no name, no key, no address and no audio: people's streams are
numbered in the order in which they were met, and what is decrypted is thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import davey
import discord

from ser_engine import opus
from ser_engine.types import PcmFrame

from . import compat
from .errors import CannotJoin
from .journal import Journal, StreamTimes
from .link import VoiceLink
from .states import ConsentGate, LinkState, Reason

CHECK_S: Final = 60.0
_LAG_STEP_S: Final = 0.05


class _Nobody:
    """Hears, and keeps nothing."""

    def frame(self, frame: PcmFrame) -> None: ...
    def silence(self, speaker: str, now_samples: int) -> None: ...


@dataclass(slots=True)
class _Lags:
    """How late the event loop came to what was due."""

    late_s: list[float]

    async def watch(self) -> None:
        while True:
            due_s = time.monotonic() + _LAG_STEP_S
            await asyncio.sleep(_LAG_STEP_S)
            self.late_s.append(max(0.0, time.monotonic() - due_s))

    def __str__(self) -> str:
        if not self.late_s:
            return "not measured"
        ordered = sorted(self.late_s)
        return f"99 of 100 below {ordered[int(len(ordered) * 0.99)] * 1e3:.0f} ms, most {ordered[-1] * 1e3:.0f} ms"


async def _watch_gateway(guild: discord.Guild, journal: Journal) -> None:
    """Note when the main gateway's connection ends, and how."""
    socket = compat.gateway_socket(guild)
    while True:
        await asyncio.sleep(_LAG_STEP_S)
        if (now := compat.gateway_socket(guild)) is not socket:
            code = getattr(socket, "close_code", None)
            journal.note("main_gateway_connected_anew", **({} if code is None else {"close_code": code}))
            socket = now


async def check_call(
    channel: discord.VoiceChannel | discord.StageChannel, *, consent: ConsentGate, seconds: float = CHECK_S
) -> str:
    """Join `channel` for so long, hear those who agreed, throw away what they say, and report.

    A call that cannot be joined is a report, too.

    Raises:
        IncompatibleLibrary: discord.py or davey is not the version that is known.
    """
    lags, states, failed = _Lags([]), list[str](), asyncio.Event()
    began_s = time.monotonic()

    def told(state: LinkState, reason: Reason) -> None:
        states.append(f"{time.monotonic() - began_s:7.1f} s  {state.value} ({reason.code})")
        if state is LinkState.FAILED:
            failed.set()

    compat.require()
    link = VoiceLink(channel, sink=_Nobody(), consent=consent, on_state=told)
    watching = [
        asyncio.create_task(lags.watch(), name="voice-check-lag"),
        asyncio.create_task(_watch_gateway(channel.guild, link.receiver.journal), name="voice-check-gateway"),
    ]
    lines = list[str]()
    try:
        await link.open()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await failed.wait()
    except CannotJoin as error:
        lines += [f"the call could not be joined: {error.reason.code}", ""]
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        lines += _of_link(link)
        await link.close()
    took = f"took {time.monotonic() - began_s:.0f} s; event loop lag: {lags}"
    return "\n".join(["Undertone call check", *_versions(), took, "", "States:", *states, "", *lines])


def _versions() -> Iterator[str]:
    found = []
    for package in ("undertone", "discord.py", "davey", "aiohttp", "numpy", "av"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    yield ", ".join(found)
    yield f"Python {platform.python_version()} on {sys.platform} {platform.machine()}, {opus.version()}"
    yield f"DAVE protocol {davey.DAVE_PROTOCOL_VERSION}"


def _of_link(link: VoiceLink) -> Iterator[str]:
    """What a link has to tell of itself."""
    transport, latency_s = link.transport(), link.latency_s
    latency = "not measured" if latency_s is None else f"{latency_s * 1e3:.0f} ms"
    yield f"voice gateway latency: {latency}; longest slice of packets: {link.slowest_s * 1e3:.1f} ms"
    yield f"transport: {transport[0] if transport else 'no key'}; DAVE version now: {link.dave()[1]}"
    counters = link.counters
    yield f"connections made anew: {counters.reconnects}; resumed: {counters.resumes}"
    yield from _of_journal(link.receiver.journal)
    yield ""
    yield "Counters (those that are not 0):"
    yield from (f"  {name}: {count}" for name, count in counters.as_dict().items() if count)


def _of_journal(journal: Journal) -> Iterator[str]:
    yield ""
    yield "What happened:"
    for entry in journal.entries:
        figures = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in entry.figures.items())
        yield f"{entry.at_s:7.1f} s  {entry.what.replace('_', ' ')}{': ' + figures if figures else ''}"
    yield ""
    yield "Op 5 (who speaks) against the first packet:"
    for number, times in enumerate(journal.streams, start=1):
        yield f"  stream {number}: {_told(times)}"
    if not journal.streams:
        yield "  nobody spoke"
    if journal.forgotten:
        yield f"  and {journal.forgotten} entries that found no room"


def _told(times: StreamTimes) -> str:
    if times.named_s is None:
        return "packets, and never named"
    if times.first_packet_s is None:
        return "named, and no packet"
    apart_s = times.first_packet_s - times.named_s
    return f"named {abs(apart_s):.2f} s {'before' if apart_s >= 0 else 'after'} its first packet"

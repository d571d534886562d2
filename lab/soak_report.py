"""What a soak ends with: its figures, whether they are good enough, and how they look."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from lab.packets import PacketCost


@dataclass(slots=True, kw_only=True)
class Report:
    """What the soak ends with."""

    minutes: float
    speakers: int
    pace: float = 1.0
    """Seconds that a second of speech took."""
    sums: dict[str, int] = field(default_factory=dict)
    happened: dict[str, int] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    reconnects: int = 0
    resumes: int = 0
    slowest_return_s: float = 0.0
    slowest_slice_ms: float = 0.0
    memory_start_mb: float = 0.0
    memory_end_mb: float = 0.0
    measured_s: float = 0.0
    tasks: tuple[int, int] = (0, 0)
    threads: tuple[int, int] = (0, 0)
    failure: str | None = None

    @property
    def growth_mb_an_hour(self) -> float:
        hours = self.measured_s / 3600
        return (self.memory_end_mb - self.memory_start_mb) / hours if hours else 0.0

    @property
    def passed(self) -> bool:
        return (
            self.failure is None
            and not self.sums.get("wrong")
            and not self.sums.get("unexplained")
            and self.sums.get("received", 0) > 0
            and self.tasks[0] == self.tasks[1]
            and self.threads[0] == self.threads[1]
        )


def table(report: Report) -> Table:
    """The report for people."""
    title = f"Soak: {report.speakers} speakers, {report.minutes:g} minutes, pace {report.pace:g}"
    sums, out = report.sums, Table(title=title)
    out.add_column("what")
    out.add_column("figure", justify="right")
    for name, figure in (
        ("frames spoken", f"{sums.get('spoken', 0):,}"),
        ("frames received", f"{sums.get('received', 0):,}"),
        ("lost on the wire (wanted)", f"{sums.get('lost_on_wire', 0):,}"),
        ("missed while reconnecting", f"{sums.get('missed_while_reconnecting', 0):,}"),
        ("came too late to be used", f"{sums.get('too_late', 0):,}"),
        ("missed because this machine was too busy", f"{sums.get('too_busy', 0):,}"),
        ("missed without a reason", f"{sums.get('unexplained', 0):,}"),
        ("wrong", f"{sums.get('wrong', 0):,}"),
        ("reconnects", f"{report.reconnects:,}"),
        ("resumes", f"{report.resumes:,}"),
        ("slowest return", f"{report.slowest_return_s:.2f} s"),
        ("longest slice of the event loop", f"{report.slowest_slice_ms:.1f} ms"),
        ("memory, start and end", f"{report.memory_start_mb:.1f} MB, {report.memory_end_mb:.1f} MB"),
        ("memory growth", f"{report.growth_mb_an_hour:.1f} MB an hour"),
        ("tasks, start and end", "{}, {}".format(*report.tasks)),
        ("threads, start and end", "{}, {}".format(*report.threads)),
        ("what happened", ", ".join(f"{count} {name}" for name, count in sorted(report.happened.items()))),
        ("verdict", "passed" if report.passed else f"failed{': ' + report.failure if report.failure else ''}"),
    ):
        out.add_row(name, figure)
    return out


def cost_table(cost: PacketCost) -> Table:
    """What a packet costs, for people."""
    parts = (
        ("socket", cost.socket_us),
        ("transport decryption", cost.transport_us),
        ("DAVE", cost.dave_us),
        ("Opus to 16 kHz", cost.opus_us),
        ("headers, consent, order, timeline", cost.rest_us),
        ("all of it", cost.total_us),
    )
    out = Table(title=f"A packet from the socket to samples ({cost.packets:,} packets)")
    out.add_column("step")
    out.add_column("µs", justify="right")
    out.add_column("share", justify="right")
    for name, microseconds in parts:
        out.add_row(name, f"{microseconds:.1f}", f"{microseconds / cost.total_us:.0%}")
    out.caption = f"slowest {cost.slowest_us:.0f} µs; a core hears {1e6 / cost.total_us / 50:.0f} people at once"
    return out


def memory_mb() -> float:
    """What the process holds in memory now; its peak where the system tells no more."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3

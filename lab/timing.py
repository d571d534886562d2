"""How long steps take, each in turn round after round: the measuring behind `undertone bench`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

OLD_WAY = "the old app's way"
SGEMM = "a large product of matrices"
SETTLE_S = 0.2
"""Threads of another process go on turning for a while after an answer, which is not the next answer's cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something to be timed; `call` does it once for `windows` windows. What runs in another process says itself how
    many seconds of processor time it took; of the rest this process's is taken."""

    name: str
    call: Callable[[], object]
    windows: int = 1
    elsewhere: bool = False
    flop: int = 0
    """Operations of the network's products, for a window; 0 where there is no floor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Of one step, for one window of 3 s."""

    name: str
    ms: float
    """Median of the processor time over the rounds."""
    best_ms: float
    windows_a_second: float
    """Of one core's processor time."""
    times_old: float
    """How many windows go into the processor time of one in the first step, the yardstick."""
    floor_ms: float | None = None
    """The network's products alone, at the rate of the step `SGEMM` in the same run."""

    @property
    def over_floor(self) -> float | None:
        return self.ms / self.floor_ms if self.floor_ms else None


def measure(steps: Sequence[Step], rounds: int, done: Callable[[], object] = lambda: None) -> list[Result]:
    """Time every step once a round, in turn, so that a busy moment falls on all of them alike. The first is the
    yardstick. Each is called once before it is timed: a service does one thing all the time, and what another step
    leaves in the processor's caches is not its concern."""
    times: dict[str, list[float]] = {step.name: [] for step in steps}
    for _ in range(rounds):
        for step in steps:
            step.call()
            if step.elsewhere:
                time.sleep(SETTLE_S)
            begun_s = time.process_time()
            said = step.call()
            took_s = float(str(said)) if step.elsewhere else time.process_time() - begun_s
            times[step.name].append(took_s * 1000 / step.windows)
        done()
    median = {name: statistics.median(taken) for name, taken in times.items()}
    rate = next((step.flop / median[step.name] for step in steps if step.name == SGEMM), None)
    return [
        Result(
            name=step.name,
            ms=median[step.name],
            best_ms=min(times[step.name]),
            windows_a_second=1000 / median[step.name],
            times_old=median[steps[0].name] / median[step.name],
            floor_ms=step.flop / rate if rate and step.flop else None,
        )
        for step in steps
    ]

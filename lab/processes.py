"""Processor time and memory of this process and of those it began, as Linux tells them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PROC: Final = Path("/proc")


class Processes:
    """From when it is made on. Empty where the system has no /proc."""

    def __init__(self) -> None:
        self._began = _cpu_s()

    def used(self) -> dict[str, tuple[float, float]]:
        """Seconds of processor time since, and MB of memory now (each shared page by how many share it), by process."""
        now = _cpu_s()
        return {
            f"{what} {pid}": (cpu_s - self._began.get((pid, what), 0.0), _memory_mb(pid))
            for (pid, what), cpu_s in sorted(now.items())
        }


def _cpu_s() -> dict[tuple[int, str], float]:
    me = os.getpid()
    found: dict[tuple[int, str], float] = {}
    for path in _PROC.glob("[0-9]*/stat"):
        try:
            pid, fields = int(path.parent.name), _text(path).rpartition(")")[2].split()
            if pid != me and int(fields[1]) != me:
                continue
            words = _text(path.parent / "cmdline")
        except OSError:  # it has ended meanwhile
            continue
        found[(pid, _what(pid == me, words))] = (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND
    return found


def _text(path: Path) -> str:
    """Programs and files may be called by bytes that are no text."""
    return os.fsdecode(path.read_bytes())


def _what(own: bool, words: str) -> str:
    if own:
        return "service"
    if "lab.crowd" in words:
        return "loopback Discord"
    return "worker" if "spawn_main" in words else "helper"


def _memory_mb(pid: int) -> float:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1e3 for line in lines if line.startswith("Pss:")), 0.0)

"""The table of `undertone bench`, for people and for a page that carries it between two marks."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from lab.bench import Result

BEGIN: Final = "<!-- written by `make bench`, from here … -->"
END: Final = "<!-- … to here -->"


def machine() -> str:
    """The processor, and what computes on it."""
    processor = platform.processor() or platform.machine()
    described = Path("/proc/cpuinfo")
    if described.is_file() and (found := re.search(r"model name\s*:\s*(.+)", described.read_text())):
        processor = found[1]
    names = ("numpy", "onnxruntime", "tensorflow-cpu")
    return f"{processor}; Python {platform.python_version()}, " + ", ".join(f"{n} {_version(n)}" for n in names)


def written(results: Sequence[Result], rounds: int, deviation: float) -> str:
    """All of it as a Markdown table."""
    lines = [
        f"{machine()}. One thread; medians over {rounds} rounds.",
        "",
        "| a window of 3 s | ms of processor time | windows a second | times the old way | over its floor |",
        "|---|---|---|---|---|",
    ]
    for one in results:
        floor = "" if one.over_floor is None else f"{one.over_floor:.1f} (of {one.floor_ms:.1f} ms)"
        figures = (f"{one.ms:.2f}", f"{one.windows_a_second:,.0f}", f"{one.times_old:.1f}", floor)
        lines.append(f"| {one.name} | {' | '.join(figures)} |")
    lines += ["", f"The 120 features differ from librosa's by {deviation:.1e} at most (0.002 is allowed)."]
    return "\n".join(lines)


def put(page: Path, table: str) -> None:
    """Write `table` between the marks of `page`. Raises ClickException where there are none."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise click.ClickException(f"{page} has no place for the table: {BEGIN} and {END}, each on a line of its own.")
    page.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return "absent"

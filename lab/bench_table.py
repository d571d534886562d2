"""The table of `undertone bench`, for people and for a page that carries it between two marks."""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bot.cli.options import write_whole

if TYPE_CHECKING:
    from lab.timing import Result

BEGIN: Final = "<!-- written by `make bench`, from here … -->"
END: Final = "<!-- … to here -->"


def machine(described: Path = Path("/proc/cpuinfo")) -> str:
    """The processor, with the instructions that decide how fast products of floats and of bytes are where the system
    says so, and what computes on it."""
    processor = platform.processor() or platform.machine()
    if described.is_file() and (found := re.search(r"model name\s*:\s*(.+)", text := described.read_text())):
        told = re.search(r"flags\s*:\s*(.+)", text)
        flags = told[1].split() if told else []
        floats = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
        bytes_too = "VNNI" if {"avx512_vnni", "avx_vnni"} & set(flags) else "no VNNI"
        processor = f"{found[1]} ({floats}, {bytes_too})" if flags else found[1]
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


def scaled(results: Sequence[Result], peak_windows_a_second: float = 830) -> str:
    """What a core carries of each model, and how many a million minutes of talk a day need in their peak."""
    four = {one.name.split("`")[1]: one for one in results if one.name.endswith(", batch 4")}
    rows: dict[str, Callable[[Result], str]] = {
        "ms of processor time a window of speech (batches of four, one thread)": lambda one: f"{one.ms:.1f}",
        "people who talk all the time, a core (a window each 3 s)": lambda one: f"{3 * one.windows_a_second:,.0f}",
        "minutes of talk a core and hour": lambda one: f"{180 * one.windows_a_second:,.0f}",
        f"cores that recognise {peak_windows_a_second:g} windows a second": lambda one: (
            f"{math.ceil(peak_windows_a_second / one.windows_a_second)}"
        ),
    }
    lines = [f"{machine()}.", "", f"| | {' | '.join(f'`{name}`' for name in four)} |", f"|---|{'---|' * len(four)}"]
    lines += [f"| {what} | {' | '.join(tell(one) for one in four.values())} |" for what, tell in rows.items()]
    return "\n".join(lines)


def put(page: Path, table: str) -> None:
    """Write `table` between the marks of `page`. Raises ClickException where there are none."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise click.ClickException(f"{page} has no place for the table: {BEGIN} and {END}, each on a line of its own.")
    write_whole(page, f"{before}{BEGIN}\n\n{table}\n\n{END}{after}")


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return "absent"

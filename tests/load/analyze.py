"""The memory and the processor time that `undertone analyze` takes for hours of talk.

    python -m tests.load.analyze                       # three hours, default engine; about as many minutes
    python -m tests.load.analyze --hours 1 --model seed

Not part of the gate. The recording is made of the clips of the sandbox, a second of silence between them; it is a file
of 16 kHz on a disk, and the command runs in a process of its own. The goal is 300 MB at the highest, whatever the
length; and an hour in 45 s of processor time with `default`, in 12 s with `fast`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import wave
from pathlib import Path
from typing import Final

import numpy as np

from ser_engine.types import SAMPLE_RATE_HZ
from tests.fakes.clips import clip, clip_paths

MOST_MB: Final = 300
TIMES: Final = {"default": 80, "fast": 300}
"""How much faster than real time a core is to be."""


def recording(path: Path, hours: float) -> None:
    """Talk of so many hours, written piece by piece."""
    pause = np.zeros(SAMPLE_RATE_HZ, np.float32)
    spoken = [(np.concatenate([clip(one), pause]) * 32767).astype("<i2").tobytes() for one in clip_paths()]
    left = round(hours * 3600 * SAMPLE_RATE_HZ) * 2
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        while left > 0:
            for one in spoken:
                file.writeframesraw(one[: max(0, left)])
                left -= len(one)


def measured(path: Path, model: str) -> tuple[float, float, int]:
    """Peak memory in MB, processor time in seconds, windows."""
    words = [sys.executable, "-m", "bot", "analyze", str(path), "--model", model, "--json"]
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(words, stdout=out)  # noqa: S603
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"It ended with {process.returncode}.")
        out.seek(0)
        windows = len(json.loads(out.read())["windows"])
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return used.ru_maxrss / unit, used.ru_utime + used.ru_stime, windows


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the memory of `undertone analyze` for a long recording.")
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "talk.wav"
        recording(path, options.hours)
        peak_mb, cpu_s, windows = measured(path, options.model)
    verdict = "reached" if peak_mb <= MOST_MB else "missed"
    sys.stdout.write(f"peak memory {peak_mb:.0f} MB (at most {MOST_MB}: {verdict})\n")
    times = options.hours * 3600 / cpu_s
    goal = TIMES.get(options.model)
    reached = "" if goal is None else f" (at least {goal}: {'reached' if times >= goal else 'missed'})"
    spent = f"{cpu_s:.0f} s of processor time: {times:.0f} times real time{reached}"
    sys.stdout.write(f"{options.hours:g} h, {windows} windows, {spent}\n")
    sys.exit(peak_mb > MOST_MB)


if __name__ == "__main__":
    main()

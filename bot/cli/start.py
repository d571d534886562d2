"""What takes the time between the command and being ready: `undertone doctor --start`.

    python -m bot.cli.start BEGAN      one start, measured from the Unix time BEGAN; prints its steps as JSON

Measured in a process of its own, against a Discord that is not there and a database that is empty.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from typing import Final

import click

from bot import recognition
from bot.settings import load_settings

NOBODY: Final = "http://127.0.0.1:9/api/v10"
"""Where no Discord answers: the pages and the recognition are up before one would."""
LISTED: Final = 10


def told(*, as_json: bool = False) -> str:
    """One start, in lines for people or as JSON. Raises ClickException with what the start said when there is none."""
    try:
        found = {"steps": steps(), "imports": imports()}
    except subprocess.CalledProcessError as error:
        raise click.ClickException((error.stderr.strip() or error.stdout.strip()).splitlines()[-1]) from error
    if as_json:
        return json.dumps(found)
    lines = [f"{seconds:6.2f} s  {name}" for name, seconds in found["steps"].items()]
    lines.append("\nOf the imports, measured in a start of their own (the clock slows them):")
    return "\n".join(lines + [f"{seconds:6.2f} s  {name}" for name, seconds in found["imports"].items()])


def steps() -> dict[str, float]:
    """Seconds by step of one start, in order; the last is their sum. Raises CalledProcessError when it cannot start."""
    found: dict[str, float] = json.loads(_child().stdout.splitlines()[-1])
    return found


def imports() -> dict[str, float]:
    """Seconds by imported package, the ten that take longest. Python's clock for them slows them all."""
    return _by_package(_child("-X", "importtime").stderr)


def _child(*options: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, *options, "-m", "bot.cli.start", str(time.time())]
    return subprocess.run(words, capture_output=True, text=True, check=True)  # noqa: S603  this very module


def _by_package(log: str) -> dict[str, float]:
    """Python's own lines, ``import time: self | cumulative | name``, summed by top-level package."""
    times: Counter[str] = Counter()
    for line in log.splitlines():
        own, _, rest = line.removeprefix("import time:").partition("|")
        if line.startswith("import time:") and own.strip().isdigit():
            times[rest.rpartition("|")[2].strip().partition(".")[0]] += int(own)
    return {name: microseconds / 1e6 for name, microseconds in times.most_common(LISTED)}


async def _start(began: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(
            data_dir=folder,
            database_address=None,
            port=0,
            discord_token="none",  # noqa: S106
            discord_api_base=NOBODY,
        )
        steps = {"Python and the settings": time.time() - began}
        warming, module = await recognition.begin(settings, "bot.service")
        steps["importing the service"] = time.time() - began - sum(steps.values())
        async with module.Service(settings, warming=warming) as service:
            ready = time.time() - began
            steps |= service.took
    return {**steps, "the rest": ready - sum(steps.values()), "ready": ready}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_start(float(sys.argv[1])))))  # noqa: T201  its answer

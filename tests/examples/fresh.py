"""`make example`: `examples/hear.py` in a fresh environment, with the project installed without its dependencies.

It needs a package index, so it is no test of the gate; `test_hear.py` runs the same example with the same packages.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from bot.voice import compat
from tests.examples.test_hear import ROOT, who_talks


def main() -> None:
    pinned = [f"{name}=={version}" for name, version in compat.PINNED.items()]
    needed = [one.replace("discord.py==", "discord.py[voice]==") for one in pinned] + ["av", "numpy"]
    with tempfile.TemporaryDirectory(prefix="undertone-") as place:
        folder = Path(place)
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        install = (str(python), "-m", "pip", "install", "--quiet")
        subprocess.run([*install, *needed], check=True)  # noqa: S603 - what the lines above made
        subprocess.run([*install, "--no-deps", str(ROOT)], check=True)  # noqa: S603
        print(asyncio.run(who_talks([str(python)], folder)))  # noqa: T201 - what the bot wrote


if __name__ == "__main__":
    main()

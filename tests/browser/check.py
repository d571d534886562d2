"""The pages in a real browser: what no test without one can see. ``make browser`` runs it; docs/http.md says more.

Each check has a name; it starts on a database of invented conversations and fails on the first thing that is wrong, on
anything in the console, and on a page that is wider than the screen.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.browser import channel, microphones, people, reports, running
from tests.browser.pictures import take
from tests.browser.stage import Stages

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
CHECKS = {
    check.__name__: check
    for check in (*reports.CHECKS, *running.CHECKS, *people.CHECKS, *microphones.CHECKS, *channel.CHECKS)
}


async def run(executable: str, wanted: list[str], pictures: Path | None) -> list[str]:
    """Run the checks; returns what was wrong."""
    playwright = importlib.import_module("playwright.async_api")
    wrong = []
    axe = AXE.read_text(encoding="utf-8") if AXE.is_file() else None
    with tempfile.TemporaryDirectory() as folder:
        async with (
            playwright.async_playwright() as tool,
            Stages(tool, executable=executable, folder=Path(folder), axe=axe) as stages,
        ):
            if pictures is not None:
                await take(stages.stage, pictures, wanted)
                return []
            for name in wanted:
                began = time.monotonic()
                try:
                    await CHECKS[name](stages.stage)
                except Exception as error:  # noqa: BLE001  # whatever it was, the other checks are run too
                    wrong.append(f"{name}: {''.join(traceback.format_exception(error)[-3:])}")
                verdict = "no" if wrong and wrong[-1].startswith(f"{name}:") else "ok"
                sys.stdout.write(f"{verdict}  {name}  {time.monotonic() - began:.1f} s\n")
                sys.stdout.flush()
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description="Open every page in Chromium and look for what is wrong.")
    parser.add_argument("checks", nargs="*", help=f"only these: {', '.join(CHECKS)}")
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="take pictures instead, of every page or of those named"
    )
    options = parser.parse_args()
    if not options.pictures and (unknown := [name for name in options.checks if name not in CHECKS]):
        parser.error(f"there is no check {unknown[0]}")
    executable = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if executable is None:
        sys.exit("No Chromium or Chrome was found on this machine.")
    wrong = asyncio.run(run(executable, options.checks or ([] if options.pictures else list(CHECKS)), options.pictures))
    if wrong:
        sys.exit("\n" + "\n\n".join(wrong))


if __name__ == "__main__":
    main()

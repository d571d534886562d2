"""A picture of every page: a minute, twenty minutes and two hours of talk, light and dark, wide and narrow."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.browser.stage import SCHEMES, SIZES, Stage


async def take(stage: Stage, folder: Path, wanted: list[str]) -> None:
    """The pictures whose names begin with one of `wanted`, or all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {"list": "/", "microphone": "/microphone", "about": "/about"}
    pages |= {f"report-{name}": f"/sessions/{stage.sessions[name]}" for name in ("minute", "twenty", "hours")}
    for name, path in pages.items():
        for scheme in SCHEMES:
            for size in SIZES:
                if wanted and not f"{name}-{size}-{scheme}".startswith(tuple(wanted)):
                    continue
                async with stage.page(path, size=size, scheme=scheme) as opened:
                    page = opened.page
                    if name.startswith("report"):
                        await page.locator("#closer").scroll_into_view_if_needed()
                        await page.wait_for_selector("#voice .line")
                        await page.evaluate("scrollTo(0, 0)")
                    if name == "microphone":
                        await page.locator("#mic-toggle").click()
                        await opened.until_text("#stats", "4 of 4")
                    file = folder / f"{name}-{size}-{scheme}.png"
                    await page.screenshot(path=file)
                    sys.stdout.write(f"{file}\n")

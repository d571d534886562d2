"""A picture of every page: a minute, twenty minutes and two hours of talk, light and dark, wide and narrow."""

from __future__ import annotations

import asyncio
import io
import re
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from tests.browser.channel import a_demo
from tests.browser.stage import SCHEMES, SIZES, Stage

DEMO_SIZE = (1440, 900)
DEMO_WINDOWS = 14
"""So much was heard when the demo is taken."""


async def take(stage: Stage, folder: Path, wanted: list[str]) -> None:
    """The pictures whose names begin with one of `wanted`, or all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    if not wanted or any("demo".startswith(name) for name in wanted):
        await _demo(stage, folder / "demo.png")
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
                    await _save(page, file)


async def _demo(stage: Stage, file: Path) -> None:
    """The simulated channel beside the live report, with the engine that is served."""
    width, height = DEMO_SIZE
    async with a_demo() as demo:
        context = await stage.browser.new_context(viewport={"width": width, "height": height})
        page = await context.new_page()
        await page.goto(demo.chat_url)
        await page.locator("#channels").get_by_text("general").first.click()
        report = page.frame_locator("#frame")
        windows = report.locator("[data-figure=clear]").filter(has_text=re.compile(rf"of ({_at_least(DEMO_WINDOWS)})$"))
        await windows.wait_for(state="attached", timeout=180_000)
        await page.get_by_text("How it sounds").first.wait_for(timeout=60_000)
        await _save(page, file)
        await context.close()


async def _save(page: Any, file: Path) -> None:
    await asyncio.to_thread(smaller, await page.screenshot(), file)
    sys.stdout.write(f"{file}\n")


def smaller(png: bytes, file: Path) -> None:
    """A screenshot with 256 colours: a third of its bytes, and nobody sees the difference."""
    with Image.open(io.BytesIO(png)) as picture:
        few = picture.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(file, optimize=True)


def _at_least(count: int) -> str:
    return "|".join(str(number) for number in range(count, 10 * count))

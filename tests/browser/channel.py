"""The simulated channel of the demo: readable and operable as the other pages are, also while its session ends."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bot.settings import load_settings
from lab.demo import Demo
from ser_engine.backends.base import InferenceBackend
from tests.browser.stage import SCHEMES, SIZES, Page, Stage
from tests.fakes.backend import FakeBackend

PANEL = "article.message:has(button:text-is('Stop'))"


@asynccontextmanager
async def a_demo(backend: InferenceBackend | None = None) -> AsyncIterator[Demo]:
    """The demo, with people who talk; without a model of its own unless a backend is given."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(None, data_dir=Path(folder))
        async with Demo(settings, web_port=0, chat_port=0, backend=backend) as demo:
            playing = asyncio.create_task(demo.play(), name="the demo talks")
            try:
                yield demo
            finally:
                playing.cancel()
                await asyncio.gather(playing, return_exceptions=True)


@asynccontextmanager
async def the_channel(stage: Stage, demo: Demo, *, size: str = "1280", scheme: str = "light") -> AsyncIterator[Page]:
    """Its page in a context of its own, in the voice channel; what the console complains of fails the check."""
    width, height = SIZES[size]
    context = await stage.browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = await context.new_page()
    opened = Page(page)
    page.on("console", opened.hear)
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    try:
        await page.goto(demo.chat_url)
        await page.get_by_text("Fireside").first.click()
        await page.wait_for_selector(PANEL)
        yield opened
        assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth"), "wider than the screen"
    finally:
        await context.close()
    assert not opened.complaints, opened.complaints


async def shows_the_simulated_channel(stage: Stage) -> None:
    """axe finds nothing; the buttons stand in one row; the panel stays in sight; the summary keeps its picture."""
    assert stage.axe, "axe-core is not installed; see docs/http.md"
    async with a_demo(await _started(FakeBackend())) as demo:
        for scheme in SCHEMES:
            for size in SIZES:
                async with the_channel(stage, demo, size=size, scheme=scheme) as opened:
                    await opened.page.evaluate(stage.axe)
                    found = await opened.page.evaluate(
                        "axe.run(document, {resultTypes: ['violations'], iframes: false})"
                    )
                    assert not found["violations"], (
                        scheme,
                        size,
                        [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found["violations"]],
                    )
        async with the_channel(stage, demo) as opened:
            page = opened.page
            buttons = page.locator(f"{PANEL} .row > *")
            assert len(tops := await _tops(buttons)) == 5
            assert len({round(top) for top in tops}) == 1, "not in one row"
            for _ in range(12):
                await page.fill("#entry", "Somebody writes, and the panel stays in sight.")
                await page.keyboard.press("Enter")
            await opened.until_text("#messages", "Somebody writes")
            (top,) = await _tops(page.locator(f"{PANEL} button:text-is('Stop')"))
            assert 0 < top < SIZES["1280"][1], "the panel was scrolled away"
            await page.select_option("#as", label="Mara")
            await page.locator(f"{PANEL} button:text-is('Stop')").click()
            await page.wait_for_selector(".embed img")

            async def whole() -> bool:
                loaded = "[...document.querySelectorAll('.embed img')].every((one) => one.complete && one.naturalWidth)"
                return bool(await page.evaluate(loaded))

            await opened.until(whole, "the summary's picture is not there")
            ended = page.frame_locator("#frame").locator("#live-state")
            await ended.filter(has_text="ended").wait_for(timeout=30_000)
            await page.locator("#channels").get_by_text("general").first.click()
            await page.get_by_text("Fireside").first.click()
            await opened.until(whole, "the summary's picture was lost")


async def _started(backend: FakeBackend) -> FakeBackend:
    await backend.start()
    return backend


async def _tops(found: Any) -> list[float]:
    """Where they stand on the screen, all at the same moment: the panel is drawn anew every few seconds."""
    return list(await found.evaluate_all("(all) => all.map((one) => one.getBoundingClientRect().top)"))


CHECKS = (shows_the_simulated_channel,)

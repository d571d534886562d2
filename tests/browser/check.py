"""The pages in a real browser: what no test without one can see. Not part of the gate; docs/http.md says how to run it.

Starts the web side over a database of its own and a backend without a model, opens every page in Chromium, and fails on
the first thing that is wrong: an error or a policy violation in the console, a page wider than the screen, a live event
that does not arrive, a microphone that is not heard.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import random
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web

from bot.listening.live import LiveBus
from bot.web.access import Access
from bot.web.app import create_app
from storage import MomentRecord, NewSession, SessionState, Storage, WindowRecord
from tests.fakes.backend import LABELS, FakeBackend
from tests.fakes.names import FakeNames

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
SIZES = {"wide": (1200, 900), "phone": (390, 800)}


def made_up_windows(participant_id: int, *, seed: int, seconds: float) -> list[WindowRecord]:
    """Talk that looks like talk: turns, changes of tone, some windows unclear."""
    rng = random.Random(seed)  # noqa: S311  # a picture, not a secret
    found, at_s, label = [], rng.uniform(0, 12), rng.choice(LABELS)
    while at_s < seconds:
        for _ in range(rng.randint(1, 6)):
            label = rng.choice(LABELS) if rng.random() < 0.3 else label
            confidence = min(0.96, max(0.3, rng.gauss(0.66, 0.17)))
            rest = (1 - confidence) / (len(LABELS) - 1)
            found.append(
                WindowRecord(
                    participant_id=participant_id,
                    start_s=at_s,
                    end_s=at_s + 3.0,
                    speech_ratio=rng.uniform(0.6, 1.0),
                    gap_ratio=0.0,
                    emotion=label,
                    confidence=confidence,
                    unclear=confidence < 0.42,
                    reason="unsure" if confidence < 0.42 else None,
                    probabilities={name: confidence if name == label else rest for name in LABELS},
                )
            )
            at_s += 3.0
        at_s += 1.5 + rng.expovariate(1 / 25)
    return found


async def _make_session(storage: Storage, *, seconds: float, people: int, live: bool) -> str:
    session = await storage.start_session(
        NewSession(guild_id=10, channel_id=20, started_by=1, model="default", model_version="0" * 12, labels=LABELS)
    )
    for user in range(100, 100 + people):
        person = await storage.include_participant(session.id, user)
        await storage.add_windows(session.id, made_up_windows(person.id, seed=user, seconds=seconds))
    await storage.add_moment(
        session.id, MomentRecord(at_s=seconds / 3, kind="mark", participant_id=None, text="the dragon is named")
    )
    if not live:
        await storage.end_session(session.id, state=SessionState.ENDED, reason="stopped", counters={})
    return session.id


@asynccontextmanager
async def _served(storage: Storage, bus: LiveBus) -> AsyncIterator[str]:
    backend = FakeBackend()
    await backend.start()
    names = FakeNames(
        people={100: "Marguerite", 101: "tomasz_b", 102: "Ayşe", 103: "Old Man River of the Long Nickname"},
        channels={20: "Story night"},
        guilds={10: "The Speaking Room"},
    )
    access = Access.configure(host="127.0.0.1", key=bytes(32), open_to_all=True)
    runner = web.AppRunner(create_app(storage=storage, backend=backend, bus=bus, access=access, names=names))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class _Visits:
    def __init__(self, browser: Any, base: str, folder: Path | None) -> None:
        self._browser = browser
        self._base = base
        self._folder = folder
        self.complaints: list[str] = []

    @asynccontextmanager
    async def page(
        self, path: str, *, size: str = "wide", scheme: str = "light", js: bool = True
    ) -> AsyncIterator[Any]:
        """Open a page; what its console complains of is kept."""
        width, height = SIZES[size]
        context = await self._browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=js
        )
        page = await context.new_page()

        def heard(message: Any) -> None:
            if message.type in ("error", "warning") and "422" not in message.text:  # silence is a 422, as it should be
                self.complaints.append(f"{path}: {message.text}")

        page.on("console", heard)
        page.on("pageerror", lambda error: self.complaints.append(f"{path}: {error}"))
        await page.goto(self._base + path)
        yield page
        if js and await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            self.complaints.append(f"{path}: wider than a {size} screen")
        if self._folder:
            name = path.strip("/").partition("/")[0] or "list"
            file = f"{name}-{size}-{scheme}{'' if js else '-nojs'}.png"
            await page.screenshot(path=self._folder / file, full_page=True)
        await context.close()


async def _check(browser: Any, storage: Storage, bus: LiveBus, base: str, folder: Path | None) -> list[str]:
    ended = await _make_session(storage, seconds=600, people=4, live=False)
    live = await _make_session(storage, seconds=40, people=2, live=True)
    visits = _Visits(browser, base, folder)
    for size in SIZES:
        for scheme in ("light", "dark"):
            for path in ("/", f"/sessions/{ended}", "/about"):
                async with visits.page(path, size=size, scheme=scheme):
                    pass
    async with visits.page(f"/sessions/{ended}", js=False) as page:
        await page.locator("#d-windows summary").click()
        assert await page.locator("#d-windows tbody tr").count() > 100, "the table is not readable without JavaScript"
    async with visits.page(f"/sessions/{live}") as page:
        before = await page.locator(".figures dd").nth(4).inner_text()
        person = (await storage.participants(live))[0]
        spoken = made_up_windows(person.id, seed=1, seconds=15)[0]
        await storage.add_windows(live, [replace(spoken, start_s=70.0, end_s=73.0)])
        bus.publish(live, "window", {"participant_id": person.id})
        await _until(lambda: _differs(page.locator(".figures dd").nth(4), before), "a live event did not arrive")
        await storage.end_session(live, state=SessionState.ENDED, reason="stopped", counters={})
        bus.publish(live, "state", {"state": "ended", "link": None, "reason": "stopped"})
        await page.wait_for_selector("#live-state", state="detached", timeout=10_000)
    async with visits.page("/microphone", size="phone") as page:
        await page.locator("#mic-toggle").click()
        await _until(lambda: _has(page.locator("#timeline li"), 2), "the microphone is not heard")
        assert await page.locator("#card-word").inner_text() != "nothing heard yet"
        await page.locator("#mic-toggle").click()
    return visits.complaints


async def _until(holds: Callable[[], Awaitable[bool]], otherwise: str) -> None:
    """Ask again and again from here: the pages' policy forbids a test to plant code that waits inside them."""
    for _ in range(150):
        if await holds():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(otherwise)


async def _differs(element: Any, before: str) -> bool:
    return bool(await element.inner_text() != before)


async def _has(elements: Any, count: int) -> bool:
    return bool(await elements.count() >= count)


async def _run(executable: str, folder: Path | None) -> list[str]:
    playwright = importlib.import_module("playwright.async_api")
    with tempfile.TemporaryDirectory() as place:
        storage = await Storage.open(f"sqlite:///{place}/check.db", key=bytes(32))
        bus = LiveBus()
        async with _served(storage, bus) as base, playwright.async_playwright() as tool:
            browser = await tool.chromium.launch(executable_path=executable, args=list(FLAGS))
            complaints = await _check(browser, storage, bus, base, folder)
            await browser.close()
        await storage.close()
    return complaints


def main() -> None:
    parser = argparse.ArgumentParser(description="Open every page in Chromium and look for what is wrong.")
    parser.add_argument("--screenshots", type=Path, help="folder for a picture of every page")
    options = parser.parse_args()
    executable = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if executable is None:
        sys.exit("No Chromium or Chrome was found on this machine.")
    if options.screenshots:
        options.screenshots.mkdir(parents=True, exist_ok=True)
    complaints = asyncio.run(_run(executable, options.screenshots))
    if complaints:
        sys.exit("\n".join(complaints))
    sys.stdout.write("The pages are well in a real browser.\n")


if __name__ == "__main__":
    main()

"""The web side as the browser check meets it: over a database of its own, with invented conversations and no model."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from aiohttp import web

from bot.listening.live import LiveBus
from bot.web.access import Access
from bot.web.app import create_app
from lab.seed import CROWD, MINUTE, TWENTY, TWO_HOURS, Plan, add
from storage import Storage
from tests.fakes.backend import FakeBackend
from tests.fakes.clips import clip, clip_paths
from tests.fakes.names import FakeNames

KEY: Final = bytes(range(32))
ENTRY_KEY: Final = "the key that undertone run prints"
SIZES: Final = {"1280": (1280, 900), "360": (360, 800)}
SCHEMES: Final = ("light", "dark")
LIVE: Final = Plan(minutes=0.7, people=2, live=True)
PLANS: Final = {"minute": MINUTE, "twenty": TWENTY, "hours": TWO_HOURS, "crowd": CROWD, "live": LIVE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a check stands on."""

    browser: Any
    base: str
    storage: Storage
    storage_url: str
    bus: LiveBus
    backend: FakeBackend
    sessions: dict[str, str]
    """Session ids by the names of `PLANS`."""
    speech: Path
    """A file of real speech, half a minute long."""
    open_sockets: Callable[[], Awaitable[None]]
    """Cut every connection that the pages hold, as a network does."""
    axe: str | None
    """axe-core's script, where it was installed."""

    @asynccontextmanager
    async def page(
        self, path: str, *, size: str = "1280", scheme: str = "light", js: bool = True, **more: Any
    ) -> AsyncIterator[Page]:
        """A page in a context of its own, opened with the key. What its console complains of fails the check."""
        width, height = SIZES[size]
        context = await self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            java_script_enabled=js,
            reduced_motion="reduce",
            **more,
        )
        page = await context.new_page()
        opened = Page(page)
        page.on("console", opened.hear)
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        try:
            await page.goto(f"{self.base}/?key={ENTRY_KEY}")
            await page.goto(self.base + path)
            await page.wait_for_load_state("networkidle" if "live" not in more else "load")
            yield opened
            if js:
                opened.wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
        finally:
            await context.close()
        assert not opened.complaints, opened.complaints
        assert not opened.wide, f"{path} is wider than a screen of {size}"


class Page:
    """Playwright's page, and what it complained of."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.wide = False

    def hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def expect(self, *words: str) -> None:
        """Forget complaints that belong to what the check does, such as a refused request."""
        self.complaints = [text for text in self.complaints if not any(word in text for word in words)]

    async def text(self, selector: str) -> str:
        return " ".join(str(await self.page.locator(selector).inner_text()).split())

    async def until(self, holds: Callable[[], Awaitable[Any]], otherwise: str) -> None:
        """Ask again and again from here: the pages' policy forbids a check to plant code that waits inside them."""
        for _ in range(300):
            if await holds():
                return
            await asyncio.sleep(0.1)
        raise AssertionError(otherwise)

    async def until_text(self, selector: str, wanted: str) -> None:
        async def there() -> bool:
            return wanted in await self.text(selector)

        await self.until(there, f"{selector} never says {wanted!r}, but {await self.text(selector)!r}")


class Stages:
    """``async with``: database, server and browser; `stage` is what the checks get."""

    def __init__(self, playwright: Any, *, executable: str, folder: Path, axe: str | None) -> None:
        self._playwright = playwright
        self._executable = executable
        self._folder = folder
        self._axe = axe
        self._stack = AsyncExitStack()
        self.stage: Stage

    async def __aenter__(self) -> Self:
        url = f"sqlite:///{self._folder / 'check.db'}"
        storage = await Storage.open(url, key=KEY)
        self._stack.push_async_callback(storage.close)
        sessions = {name: await add(storage, url, plan) for name, plan in PLANS.items()}
        backend, bus = FakeBackend(), LiveBus()
        await backend.start()
        access = Access.configure(host="127.0.0.1", key=KEY, entry_key=ENTRY_KEY)
        app = create_app(storage=storage, backend=backend, bus=bus, access=access, names=_names())
        runner = web.AppRunner(app)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        speech = _speech(self._folder / "speech.wav")
        browser = await self._playwright.chromium.launch(
            executable_path=self._executable,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-audio-capture={speech}",
            ],
        )
        self._stack.push_async_callback(browser.close)

        async def cut() -> None:
            for connection in list(runner.server.connections if runner.server else ()):
                connection.force_close()
                if connection.transport is not None:
                    connection.transport.abort()

        self.stage = Stage(
            browser=browser,
            base=f"http://127.0.0.1:{runner.addresses[0][1]}",
            storage=storage,
            storage_url=url,
            bus=bus,
            backend=backend,
            sessions=sessions,
            speech=speech,
            open_sockets=cut,
            axe=self._axe,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


def _names() -> FakeNames:
    people = ["Mara", "tomasz_b", "Ayşe", "Old Man River of the Long Nickname", "Ines", "רותם", "Theo", "Ravi"]
    return FakeNames(
        people=dict(enumerate(people, start=100)),
        channels={20: "Story night", 21: "Tavern", 22: "Language café"},
        guilds={10: "The Speaking Room"},
    )


def _speech(path: Path) -> Path:
    clips = [np.concatenate([clip(one), np.zeros(8_000, dtype=np.float32)]) for one in clip_paths()[:8]]
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((np.concatenate(clips) * 32767).astype("<i2").tobytes())
    return path

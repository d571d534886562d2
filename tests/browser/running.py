"""Checks of the report of a session that runs, and of one whose server was away."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from lab.seed import LABELS, STARTER_ID, add
from lab.talk import talk
from storage import SessionState
from tests.browser.reports import _report
from tests.browser.stage import LIVE, Page, Stage


async def follows_a_session_that_runs(stage: Stage) -> None:
    """Windows are appended and nothing is fetched again; focus stays; a cut connection loses nothing."""
    session_id = stage.sessions["live"]
    people = await stage.storage.participants(session_id)
    spoken = talk([people[0].id], LABELS, seconds=400, seed=3)
    windows = [replace(window, start_s=window.start_s + 100, end_s=window.end_s + 100) for window in spoken]

    async def say(count: int) -> None:
        for window in [windows.pop(0) for _ in range(count)]:
            await stage.storage.add_windows(session_id, [window])
            data = {name: getattr(window, name) for name in type(window).__slots__}
            stage.bus.publish(session_id, "window", data)

    async with stage.page(_report(stage, "live"), size="360") as opened:
        page, asked = opened.page, []
        await page.wait_for_selector("#strip .cells", state="attached")
        await opened.until_text("#live-state", "live")
        before = await _drawn(opened)
        page.on("request", lambda request: asked.append(request.url))
        await page.locator("#strip [role=slider]").nth(1).focus()
        await say(3)
        await opened.until(lambda: _shows(opened, before + 3), "nothing was appended")
        assert "over time" in await page.evaluate("document.activeElement.getAttribute('aria-label')"), "focus was lost"
        await stage.open_sockets()
        opened.expect("ERR_", "Failed to load")
        await say(3)
        await opened.until(lambda: _shows(opened, before + 6), "what was said while it was cut off is missing")
        opened.expect("ERR_", "Failed to load")
        assert not [url for url in asked if "chart.json" in url or url.endswith(session_id)], asked
        await stage.storage.end_session(session_id, state=SessionState.ENDED, reason="stopped", counters={})
        stage.bus.publish(session_id, "state", {"state": "ended", "link": None, "reason": "stopped"})
        await opened.until_text("#live-state", "ended")


async def keeps_focus_while_it_is_brought_up_to_date(stage: Stage) -> None:
    """The sentences, the moments and who may be chosen are made anew every few seconds."""
    session_id = await add(stage.storage, stage.storage_url, replace(LIVE, notes=((0.2, "a joke"),)))
    people = await stage.storage.participants(session_id)
    late = await stage.storage.include_participant(session_id, STARTER_ID + 5)

    async def said(of: int, at_s: float) -> None:
        window = replace(talk([of], LABELS, seconds=60, seed=3)[0], start_s=at_s, end_s=at_s + 3)
        await stage.storage.add_windows(session_id, [window])
        stage.bus.publish(session_id, "window", {name: getattr(window, name) for name in type(window).__slots__})

    async with stage.page(f"/sessions/{session_id}") as opened:
        page = opened.page
        await opened.until_text("#live-state", "live")
        await page.locator("#moments button").first.focus()
        before = await opened.text("#facts")
        await said(people[0].id, 70)

        async def anew() -> bool:
            return await opened.text("#facts") != before

        await opened.until(anew, "the facts are never brought up to date")
        assert await page.evaluate("document.activeElement.closest('#moments') !== null"), "the moment lost its focus"
        await page.locator("#voices button").first.focus()
        await said(late.id, 80)
        await opened.until(lambda: _has(page, "#voices button", 3), "who began to talk cannot be chosen")
        assert await page.evaluate("document.activeElement.closest('#voices') !== null"), "the voice lost its focus"


async def _has(page: Any, selector: str, count: int) -> bool:
    return bool(await page.locator(selector).count() == count)


async def comes_back_after_the_server_was_away(stage: Stage) -> None:
    """A proxy answers in its place, and the browser does not come back by itself after that."""
    session_id = await add(stage.storage, stage.storage_url, LIVE)
    async with stage.page(f"/sessions/{session_id}") as opened:
        page = opened.page
        await opened.until_text("#live-state", "live")
        refused: list[str] = []

        async def refuse(route: Any) -> None:
            refused.append(route.request.url)
            await route.fulfill(status=502, body="Bad Gateway")

        await page.clock.install()
        await page.route("**/chart.json", refuse)
        await page.route("**/events*", refuse)
        await stage.open_sockets()
        await opened.until_text("#live-state", "live · reconnecting")
        for times in (1, 2):
            await page.clock.fast_forward(20_000)
            await opened.until(partial(_asked, refused, times), "the report is not asked for again")
        await page.unroute_all()
        await page.clock.fast_forward(20_000)

        async def live() -> bool:
            return await opened.text("#live-state") == "live"

        await opened.until(live, "it does not come back")
        await stage.storage.end_session(session_id, state=SessionState.ENDED, reason="stopped", counters={})
        stage.bus.publish(session_id, "state", {"state": "ended", "link": None, "reason": "stopped"})
        await opened.until_text("#live-state", "ended")
        opened.expect("ERR_", "Failed to load", "EventSource")


async def _asked(urls: list[str], times: int) -> bool:
    return len([url for url in urls if url.endswith("chart.json")]) >= times


async def _drawn(opened: Page) -> int:
    """How many windows the strip shows as cells."""
    paths = await opened.page.locator("#strip .cells .area, #strip .cells .hatched").all()
    return sum([str(await path.get_attribute("d")).count("M") for path in paths])


async def _shows(opened: Page, windows: int) -> bool:
    return await _drawn(opened) == windows


CHECKS = (
    follows_a_session_that_runs,
    keeps_focus_while_it_is_brought_up_to_date,
    comes_back_after_the_server_was_away,
)

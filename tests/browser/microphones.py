"""Checks of the microphone page: a fake device, one that goes away, a server that goes away, a file that is dropped."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from bot.web import words
from bot.web.limits import MAX_MICROPHONES_PER_CLIENT
from tests.browser.stage import Page, Stage

GONE = """() => {
  const tracks = window.heardTracks;
  tracks.at(-1).stop();
  tracks.at(-1).dispatchEvent(new Event("ended"));
}"""
WATCH = """(() => {
  window.heardTracks = [];
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    window.askedFor = wanted.audio;
    if (window.refusal) throw new DOMException("", window.refusal);
    await window.answered;
    const stream = await ask(wanted);
    window.heardTracks.push(stream.getAudioTracks()[0]);
    return stream;
  };
})()"""


@asynccontextmanager
async def watched(stage: Stage, size: str = "1280") -> AsyncIterator[Page]:
    """The page with a microphone that can be refused, held back and taken away."""
    async with stage.page("/microphone", size=size) as opened:
        await opened.page.evaluate(WATCH)
        yield opened


async def hears_a_microphone(stage: Stage) -> None:
    """Windows arrive, the level moves, and after Stop it says stopped while the last answer stays."""
    async with watched(stage, size="360") as opened:
        page = opened.page
        await page.locator("#mic-toggle").click()
        await opened.until_text("#mic-status", "Listening.")
        await opened.until_text(".card-sure", "sure")
        asked = await page.evaluate("window.askedFor")
        assert [asked[name] for name in ("noiseSuppression", "echoCancellation", "autoGainControl")] == [False] * 3
        await page.wait_for_selector("#timeline .cells path")
        await opened.until_text("#stats", "Speech")
        word = await opened.text(".emotion-word")
        await page.locator("#mic-toggle").click()
        await opened.until_text("#mic-status", "Stopped")
        assert word in await opened.text(".emotion-word") or "sounds" in await opened.text(".emotion-word")
        assert await page.locator("#mic-toggle").inner_text() == "Start listening"


async def says_when_the_microphone_goes_away_and_comes_back(stage: Stage) -> None:
    async with watched(stage) as opened:
        page = opened.page
        await page.locator("#mic-toggle").click()
        await opened.until_text("#mic-status", "Listening.")
        await page.evaluate("window.refusal = 'NotFoundError'")
        await page.evaluate(GONE)
        await opened.until_text("#mic-status", "There is no microphone")
        await page.evaluate("window.refusal = null; navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
        await opened.until_text("#mic-status", "Listening.")


async def waits_for_a_microphone_that_another_program_holds(stage: Stage) -> None:
    """Nothing tells a page when it is free."""
    async with watched(stage) as opened:
        page = opened.page
        await page.evaluate("window.refusal = 'NotReadableError'")
        await page.locator("#mic-toggle").click()
        await opened.until_text("#mic-status", "Another program holds the microphone")
        await page.evaluate("window.refusal = null")
        await opened.until_text("#mic-status", "Listening.")


async def lets_go_of_a_microphone_that_comes_after_stop(stage: Stage) -> None:
    """Whoever answers the browser's question late may have pressed the button twice by then."""
    async with watched(stage) as opened:
        page = opened.page
        await page.evaluate("() => { window.answered = new Promise((answer) => { window.answer = answer; }); }")
        for _ in range(3):  # start, stop, start
            await page.locator("#mic-toggle").click()
        await page.evaluate("window.answer()")
        await opened.until_text("#mic-status", "Listening.")
        await page.locator("#mic-toggle").click()
        await opened.until_text("#mic-status", "Stopped")
        states = await page.evaluate("window.heardTracks.map((track) => track.readyState)")
        assert states == ["ended", "ended"], f"the page still hears: {states}"


async def says_what_the_server_says(stage: Stage) -> None:
    address = f"{stage.base}/microphone/stream"
    async with aiohttp.ClientSession() as http, stage.page("/microphone") as opened:
        others = [await http.ws_connect(address, autoping=True) for _ in range(MAX_MICROPHONES_PER_CLIENT)]
        await opened.page.locator("#mic-toggle").click()
        await opened.until_text("#mic-status", f"{words.MICROPHONES_FULL} Trying again")
        for other in others:
            await other.close()
        await opened.until_text("#mic-status", "Listening.")


async def says_when_the_server_goes_away_and_comes_back(stage: Stage) -> None:
    async with stage.page("/microphone") as opened:
        await opened.page.locator("#mic-toggle").click()
        await opened.until_text("#mic-status", "Listening.")
        await stage.open_sockets()
        await opened.until_text("#mic-status", "does not answer")
        await opened.until_text("#mic-status", "Listening.")
        opened.expect("WebSocket", "ERR_")


async def takes_a_file(stage: Stage) -> None:
    """Dropped or chosen, its windows said to pointer and keys; what cannot be read is refused in words."""
    async with stage.page("/microphone") as opened:
        page = opened.page
        sound = base64.b64encode(stage.speech.read_bytes()).decode()
        data = await page.evaluate_handle(
            """(text) => {
              const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
              const data = new DataTransfer();
              data.items.add(new File([bytes], "dropped.wav", { type: "audio/wav" }));
              return data;
            }""",
            sound,
        )
        await page.dispatch_event("#drop", "drop", {"dataTransfer": data})
        await opened.until_text("#file-status", "dropped.wav was analysed")
        assert "dropped.wav" in await opened.text(".card-when")
        shown = page.locator("#timeline svg")
        assert re.match(r"dropped\.wav: 0:0\d–0:0\d (sounds|unclear)", await shown.get_attribute("aria-label"))
        drawn = await page.locator("#timeline .cells path.area, #timeline .cells path.hatched").all()
        assert sum([str(await path.get_attribute("d")).count("M") for path in drawn]) >= 5, "not a cell a window"
        box = await shown.bounding_box()
        await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
        await opened.until_text("#timeline-line", "sure")
        await page.mouse.move(0, 0)
        slider = page.locator("#timeline [role=slider]")
        await slider.focus()
        first = await opened.text("#timeline-line")
        assert first.startswith("0:0")
        assert first == await slider.get_attribute("aria-valuetext")
        assert await page.locator("#timeline .strip-spot").is_visible()
        await page.keyboard.press("End")
        last = await opened.text("#timeline-line")
        assert last != first
        await page.keyboard.press("ArrowRight")
        assert await opened.text("#timeline-line") == last
        await page.keyboard.press("Home")
        assert await opened.text("#timeline-line") == first
        await page.keyboard.press("Tab")
        assert "one window" in await opened.text("#timeline-line")
        assert not await page.locator("#timeline .strip-spot").is_visible()
        await page.set_input_files("#file", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"})
        await opened.until_text("#file-status", "not a recording")
        opened.expect("400", "422")
        assert "JSON" not in await opened.text("#file-status")


CHECKS = (
    hears_a_microphone,
    says_when_the_microphone_goes_away_and_comes_back,
    waits_for_a_microphone_that_another_program_holds,
    lets_go_of_a_microphone_that_comes_after_stop,
    says_what_the_server_says,
    says_when_the_server_goes_away_and_comes_back,
    takes_a_file,
)

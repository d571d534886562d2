"""Checks of the report: reading it with eyes, keys, a screen reader, on paper and without scripts."""

from __future__ import annotations

import sys
from itertools import pairwise

from bot.web.export import as_html
from lab.seed import Plan, add
from tests.browser.stage import SCHEMES, SIZES, Page, Stage

MAX_NODES = 3_000
MAX_BYTES = 150_000
MOST_PAINT_S = 0.4
MOST_FRAME_MS = 20.0
FIRST_PAINT = """(performance.getEntriesByName("first-contentful-paint")[0].startTime
  - performance.getEntriesByType("navigation")[0].responseStart) / 1000"""


def _report(stage: Stage, name: str) -> str:
    return f"/sessions/{stage.sessions[name]}"


async def reads_at_any_length(stage: Stage) -> None:
    """Cells where a window is wide enough, bands where not; no label on the axis touches another; few elements."""
    for name, kind in (("minute", "cells"), ("twenty", "bands"), ("hours", "bands"), ("crowd", "bands")):
        for size in SIZES:
            async with stage.page(_report(stage, name), size=size) as opened:
                page = opened.page
                await page.wait_for_selector(f"#strip .{kind}", state="attached")
                assert await page.locator("#strip .track").count() == await page.locator(".speakers tbody tr").count()
                assert await page.evaluate("document.querySelectorAll('*').length") <= MAX_NODES
                boxes = [await label.bounding_box() for label in await page.locator("#strip .time").all()]
                assert len(boxes) >= 3
                for left, right in pairwise(boxes):
                    assert left["x"] + left["width"] < right["x"], f"{name} at {size}: labels of the axis touch"
                assert await page.locator("#strip .mark").count() == await page.locator("#moments li").count() <= 7


async def labels_every_time_of_the_axis(stage: Stage) -> None:
    """The first and the last label stand inside the picture, and must not push the next one out."""
    async with stage.page(_report(stage, "twenty")) as opened:
        page = opened.page
        for width in (500, 660, 900):
            await page.set_viewport_size({"width": width, "height": 700})

            async def labelled() -> bool:
                drawn = await page.locator("#strip .strip-picture").bounding_box()
                ticks, times = [await page.locator(f"#strip .{kind}").count() for kind in ("tick", "time")]
                return drawn is not None and drawn["width"] <= width and ticks == times >= 3  # noqa: B023

            await opened.until(labelled, f"at {width} pixels a time lacks its label")


async def shows_who_came_where_nothing_turned(stage: Stage) -> None:
    """No moment makes room above the strip then; the wedge of who came late is not cut off."""
    session_id = await add(stage.storage, stage.storage_url, Plan(minutes=0.5, people=2, seed=2))
    async with stage.page(f"/sessions/{session_id}") as opened:
        assert not await opened.page.locator("#strip .mark").count()
        top = (await opened.page.locator("#strip .strip-picture").bounding_box())["y"]
        wedges = [await wedge.bounding_box() for wedge in await opened.page.locator("#strip .comings path").all()]
        assert wedges
        assert all(box["y"] >= top for box in wedges), "a wedge is cut off"


async def is_light_to_send(stage: Stage) -> None:
    """Two hours of eight people, about 12,000 windows: all that is sent, as it is sent."""
    async with stage.page(_report(stage, "crowd")) as opened:
        sent = await opened.page.evaluate(
            "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
            ".reduce((sum, entry) => sum + entry.encodedBodySize, 0)"
        )
        assert sent <= MAX_BYTES, f"{sent} bytes"


async def answers_to_the_pointer(stage: Stage) -> None:
    """One line says what lies under the pointer; a tap leaves it there."""
    async with stage.page(_report(stage, "minute"), has_touch=True) as opened:
        page = opened.page
        hint = await opened.text("#readout")
        box = await page.locator("#strip .track").first.bounding_box()
        await page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
        await opened.until_text("#readout", "Mara")
        await page.mouse.move(5, 5)
        await opened.until_text("#readout", hint)
        await page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        await opened.until_text("#readout", "Mara")
        assert await page.locator("#spoken").inner_text() == "", "hovering is not spoken"


async def is_quick(stage: Stage) -> None:
    """The report of two hours and eight people: first paint after the first byte, and frames under a moving pointer.

    The figures are printed. Each may pass its goal, or stay near what this machine does at the moment with a page that
    draws nothing: others may be using it.
    """
    async with stage.page("/about") as opened:
        usual_paint_s = await opened.page.evaluate(FIRST_PAINT)
        usual_ms = await _frames(opened, 0)
    async with stage.page(_report(stage, "crowd")) as opened:
        page = opened.page
        paint_s = await page.evaluate(FIRST_PAINT)
        await page.wait_for_selector("#strip .bands", state="attached")
        hover_ms = await _frames(opened, 120)
    figures = (
        f"first paint {paint_s:.2f} s (a page of text: {usual_paint_s:.2f}), "
        f"95 % of the frames within {hover_ms:.1f} ms (a page of text: {usual_ms:.1f})"
    )
    sys.stdout.write(f"    {figures}\n")
    assert paint_s <= max(MOST_PAINT_S, 5 * usual_paint_s), figures
    assert hover_ms <= max(MOST_FRAME_MS, 1.3 * usual_ms), figures


async def _frames(opened: Page, moves: int) -> float:
    """The 95th percentile of the time between two frames, in ms, while the pointer moves over the strip's rows."""
    page = opened.page
    await page.evaluate(
        """() => {
          window.frames_ms = [];
          let before = performance.now();
          const next = (now) => { window.frames_ms.push(now - before); before = now; requestAnimationFrame(next); };
          requestAnimationFrame(next);
        }"""
    )
    if moves:
        tracks = await page.locator("#strip .track").all()
        boxes = [await track.bounding_box() for track in tracks]
        for k in range(moves):
            box = boxes[k * len(boxes) // moves]
            await page.mouse.move(box["x"] + box["width"] * ((7 * k) % moves) / moves, box["y"] + box["height"] / 2)
        await opened.until_text("#readout", ":")
    else:
        await opened.until(lambda: page.evaluate("window.frames_ms.length >= 100"), "no frames are drawn")
    frames = sorted((await page.evaluate("window.frames_ms"))[2:])
    return float(frames[int(0.95 * (len(frames) - 1))])


async def works_by_keyboard_alone(stage: Stage) -> None:
    """One tab stop for the strip; arrows walk along it and between speakers; the range and the moments by keys too."""
    async with stage.page(_report(stage, "hours")) as opened:
        page = opened.page

        async def focus() -> str:
            return str(await page.evaluate("document.activeElement.getAttribute('aria-label') ?? ''"))

        stops = 0
        while "over time" not in await focus():
            await page.keyboard.press("Tab")
            stops += 1
            assert stops < 20, "the strip cannot be reached"
        for key in ("ArrowRight", "ArrowDown", "ArrowRight", "End", "Home"):
            await page.keyboard.press(key)
        assert await focus() == "tomasz_b over time"
        await opened.until_text("#readout", "tomasz_b")
        for _ in range(5):
            await page.keyboard.press("+")
        await page.wait_for_selector("#strip .cells", state="attached")
        await page.keyboard.press("ArrowRight")
        await opened.until_text("#readout", "sure")
        await opened.until_text("#spoken", "sure")
        before = await opened.text("#zoom-range")
        await page.keyboard.press("Tab")
        assert await focus() == "The part that is shown"
        await page.keyboard.press("ArrowRight")

        async def moved() -> bool:
            return await opened.text("#zoom-range") != before

        await opened.until(moved, "the part that is shown does not move")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Home")
        await opened.until_text("#zoom-range", "0:00–")
        await page.locator("#moments button").first.press("Enter")
        await opened.until_text("#readout", "break")
        await page.locator("#moments button").nth(1).press("Enter")
        await opened.until_text("#readout", "sounds angry")


async def a_range_can_be_dragged(stage: Stage) -> None:
    async with stage.page(_report(stage, "hours")) as opened:
        page = opened.page
        box = await page.locator("#overview").bounding_box()
        y = box["y"] + box["height"] / 2
        await page.mouse.move(box["x"] + box["width"] - 1, y)
        await page.mouse.down()
        await page.mouse.move(box["x"] + box["width"] / 24, y, steps=4)
        await page.mouse.up()
        await opened.until_text("#zoom-range", "0:00–5:0")
        await page.wait_for_selector("#strip .cells", state="attached")
        await page.locator("#zoom-all").click()
        await page.wait_for_selector("#strip .bands", state="attached")


async def names_itself_to_a_screen_reader(stage: Stage) -> None:
    """Landmarks, headings in order, a name for everything that can be reached or stands for a picture."""
    async with stage.page(_report(stage, "hours")) as opened:
        tree = await opened.page.locator("body").aria_snapshot()
        for part in (
            "banner",
            'navigation "Pages"',
            "main",
            'heading "Tavern" [level=1]',
            'heading "Moments" [level=2]',
            'img "How each speaker sounded over time',
            'slider "Mara over time"',
            'group "Part of the session that is shown"',
            'slider "The part that is shown"',
            'columnheader "Talk time"',
            'rowheader "Mara"',
            'img "Talk time of Mara by emotion"',
            'button "Delete the session"',
        ):
            assert part in tree, f"{part} is not in the tree"


async def can_be_used_with_forced_colours(stage: Stage) -> None:
    """Backgrounds and shadows are gone then: what is a button and what is chosen is told without them."""
    async with stage.page(_report(stage, "hours"), forced_colors="active") as opened:
        page = opened.page
        await page.locator("#closer").scroll_into_view_if_needed()
        await page.wait_for_selector("#voices button[aria-pressed=true]")

        async def style(selector: str, name: str) -> str:
            return str(await page.locator(selector).first.evaluate(f"(one) => getComputedStyle(one).{name}"))

        assert await style(".manage .button", "borderTopStyle") == "solid"
        assert await style(".brush", "outlineStyle") == "solid"
        assert "underline" in await style("nav a[aria-current]", "textDecorationLine")
        chosen, other = [await style(f"#voices [aria-pressed={it}]", "backgroundColor") for it in ("true", "false")]
        assert chosen != other


async def shows_the_interface_whole_on_a_phone(stage: Stage) -> None:
    """Its tables have a row below a row there: nothing stands beside the screen."""
    async with stage.page("/api", size="360") as opened:
        widths = "[...document.querySelectorAll('.scroll')].map(one => one.scrollWidth - one.clientWidth)"
        assert not any(await opened.page.evaluate(widths)), "a table is cut off"


async def prints(stage: Stage) -> None:
    """On paper: the sentences, the strip and the table; nothing to press; always light."""
    async with stage.page(_report(stage, "twenty"), scheme="dark") as opened:
        page = opened.page
        await page.emulate_media(media="print")
        for shown in ("#story", "#strip .bands", "#speakers", "#moments"):
            assert await page.locator(shown).first.is_visible(), shown
        for hidden in ("#zoom", ".manage", "nav", "#readout", "#d-windows"):
            assert not await page.locator(hidden).first.is_visible(), hidden
        assert await page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
        assert len(await page.pdf()) > 10_000


async def reads_without_scripts(stage: Stage) -> None:
    async with stage.page(_report(stage, "hours"), js=False) as opened:
        page = opened.page
        assert len((await opened.text("#story")).split(".")) >= 3
        assert await page.locator("#moments li").count() >= 3
        await page.locator("#d-windows summary").click()
        assert await page.locator("#d-windows tbody tr").count() == 100
        await page.locator("a[rel=next]").click()
        assert "Windows 101 to 200" in await opened.text("#d-windows")


async def has_no_complaint_of_axe(stage: Stage) -> None:
    """Every page, both themes, wide and narrow. Needs axe-core."""
    assert stage.axe, "axe-core is not installed; see docs/http.md"
    paths = [
        "/",
        "/about",
        "/api",
        "/microphone",
        "/nothing",
        *(_report(stage, name) for name in ("minute", "twenty", "hours")),
    ]
    for path in paths:
        for scheme in SCHEMES:
            for size in SIZES:
                async with stage.page(path, scheme=scheme, size=size) as opened:
                    opened.expect("404")
                    await opened.page.evaluate(stage.axe)
                    found = await opened.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
                    assert not found["violations"], [
                        (path, scheme, size, one["id"], [node["html"][:200] for node in one["nodes"][:3]])
                        for one in found["violations"]
                    ]


async def exports_a_file_for_every_screen(stage: Stage) -> None:
    """One file, which no script draws anew: all of it stands on the screen, also where no script may run."""
    for name in ("minute", "twenty", "hours", "crowd"):
        report = await stage.storage.report(stage.sessions[name])
        assert report is not None
        for width, height in SIZES.values():
            context = await stage.browser.new_context(
                viewport={"width": width, "height": height}, java_script_enabled=False
            )
            page = await context.new_page()
            await page.set_content(as_html(report))
            strips = [await one.bounding_box() for one in await page.locator(".strip-picture").all()]
            (drawn,) = [box for box in strips if box is not None]
            assert drawn["x"] >= 0
            assert drawn["x"] + drawn["width"] <= width, f"{name}: the strip is wider than a screen of {width}"
            assert drawn["width"] > width / 2, f"{name}: the strip is small on a screen of {width}"
            names = await page.locator(".strip-picture .name").all()
            sizes = [box["height"] for box in [await one.bounding_box() for one in names] if box is not None]
            assert min(sizes) >= 12, f"{name}: nobody can read the names at {width}"
            await context.close()


CHECKS = (
    exports_a_file_for_every_screen,
    reads_at_any_length,
    labels_every_time_of_the_axis,
    shows_who_came_where_nothing_turned,
    is_light_to_send,
    answers_to_the_pointer,
    is_quick,
    works_by_keyboard_alone,
    a_range_can_be_dragged,
    names_itself_to_a_screen_reader,
    can_be_used_with_forced_colours,
    shows_the_interface_whole_on_a_phone,
    prints,
    reads_without_scripts,
    has_no_complaint_of_axe,
)

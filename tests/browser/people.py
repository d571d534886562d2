"""Checks of what people do on the pages: come with the key, share, take back, delete, sign in and out."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from bot.listening.live import LiveBus
from bot.web.access import Access
from bot.web.app import create_app
from lab.seed import MINUTE, STARTER_ID, add
from storage import Storage
from tests.browser.stage import ENTRY_KEY, KEY, SIZES, Page, Stage
from tests.fakes.backend import FakeBackend


async def is_shut_without_the_key(stage: Stage) -> None:
    width, height = SIZES["360"]
    context = await stage.browser.new_context(viewport={"width": width, "height": height})
    page = await context.new_page()
    for path in ("/", f"/sessions/{stage.sessions['minute']}", "/?key=wrong"):
        await page.goto(stage.base + path)
        assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth"), f"{path} is too wide"
        assert "Mara" not in await page.locator("body").inner_text()
    await page.goto(f"{stage.base}/?key={ENTRY_KEY}")
    assert "key=" not in page.url
    assert "Mara" in await page.locator("body").inner_text()
    await context.close()


async def shares_and_takes_back(stage: Stage) -> None:
    async with stage.page(f"/sessions/{stage.sessions['minute']}") as opened:
        page = opened.page
        await page.get_by_role("button", name="Make a link").click()
        link = await page.locator("#link").input_value()
        stranger = await (await stage.browser.new_context()).new_page()
        await stranger.goto(link)
        assert "Speaker 1" in await stranger.locator("#speakers").inner_text()
        assert "Mara" not in await stranger.locator("body").inner_text()
        assert await stranger.locator(".manage").count() == 0
        await page.get_by_role("link", name="Back to the report").click()
        await page.get_by_role("button", name="Take all links back").click()
        await opened.until_text(".manage .notice", "stopped working")
        response = await stranger.goto(link)
        assert response.status == 410
        await stranger.context.close()


async def deletes_when_it_is_sure(stage: Stage) -> None:
    session_id = await add(stage.storage, stage.storage_url, replace(MINUTE, seed=99))
    async with stage.page(f"/sessions/{session_id}") as opened:
        page = opened.page
        await page.get_by_role("button", name="Delete the session").click()
        assert session_id in page.url, "it was deleted without being sure"
        await page.locator("input[name=sure]").check()
        await page.get_by_role("button", name="Delete the session").click()
        await opened.until_text(".notice", "is deleted")
        assert await stage.storage.session(session_id) is None


async def signs_in_and_out(stage: Stage) -> None:
    """With a Discord that says at once who it is."""
    discord = web.Application()
    port = unused_port()
    base = f"http://127.0.0.1:{port}"

    async def authorize(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{base}/oauth/callback?code=code&state={request.query['state']}")

    async def token(_: web.Request) -> web.Response:
        return web.json_response({"access_token": "token"})

    async def me(_: web.Request) -> web.Response:
        return web.json_response({"id": str(STARTER_ID), "username": "mara"})

    discord.router.add_get("/oauth2/authorize", authorize)
    discord.router.add_post("/api/v10/oauth2/token", token)
    discord.router.add_get("/api/v10/users/@me", me)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'own.db'}"
        storage = await Storage.open(url, key=KEY)
        await add(storage, url, MINUTE)
        backend = FakeBackend()
        await backend.start()
        async with TestServer(discord) as loopback:
            access = Access.configure(
                host="127.0.0.1",
                key=KEY,
                public_url=base,
                oauth_client_id="1",
                oauth_client_secret="secret",  # of nobody
                discord_api_base=str(loopback.make_url("/api/v10")),
            )
            app = create_app(storage=storage, backend=backend, bus=LiveBus(), access=access)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            context = await stage.browser.new_context()
            page = await context.new_page()
            await page.goto(base)
            await page.get_by_role("link", name="Sign in with Discord").click()
            await Page(page).until_text("main", "Voice channel")
            await page.get_by_role("button", name="Sign out").click()
            await Page(page).until_text("main", "Sign in with Discord")
            await context.close()
            await runner.cleanup()
        await storage.close()


CHECKS = (is_shut_without_the_key, shares_and_takes_back, deletes_when_it_is_sure, signs_in_and_out)

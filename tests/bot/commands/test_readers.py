"""Who reads a server's reports beside those who took part: the role that it chose, through every door."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from bot import directory
from bot.commands import report
from bot.texts import english as texts
from sandbox import User
from storage.records import SummaryPlace
from tests.fakes.world import World, standing, text_of

pytestmark = pytest.mark.e2e

PUBLIC = "http://127.0.0.1:9"
"""People's way to the pages; the test goes to the service itself."""


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """As elsewhere, with a sign-in, and every membership asked for anew."""
    monkeypatch.setattr(directory, "FRESH_S", 0.0)
    signing_in: dict[str, Any] = {
        "operator": "The Tone Club",
        "contact": "hello@tone.example",
        "policy_url": "https://tone.example/privacy",
        "public_url": PUBLIC,
        "oauth_client_id": lambda sandbox: str(sandbox.application_id),
        "oauth_client_secret": lambda sandbox: sandbox.client_secret,
    }
    async with standing(tmp_path, monkeypatch, **signing_in) as made:
        yield made


async def reader(world: World, **changes: object) -> User:
    """Somebody who took part in nothing, with the role that the server chose."""
    role = world.sandbox.state.add_role(world.sandbox.guild, "Reader")
    await world.attested(viewer_role_id=role.id, **changes)
    return world.sandbox.add_person("Rosa", role_ids=(role.id,))


async def signed_in(world: World, user: User) -> aiohttp.ClientSession:
    """A browser in which this person signed in with Discord."""
    http = aiohttp.ClientSession(world.service.url, cookie_jar=aiohttp.CookieJar(unsafe=True))
    async with http.get("/sign-in", allow_redirects=False) as response:
        authorize = URL(response.headers["Location"])
    async with http.get(authorize.update_query({"as": str(user.id)}), allow_redirects=False) as response:
        back = URL(response.headers["Location"])
    async with http.get(f"{back.path}?{back.raw_query_string}", allow_redirects=False) as response:
        assert response.status == 303
    return http


async def status_of(http: aiohttp.ClientSession, path: str) -> int:
    async with http.get(path, allow_redirects=False) as response:
        return response.status


async def listed(http: aiohttp.ClientSession) -> list[str]:
    async with http.get("/api/v1/sessions") as response:
        return [row["id"] for row in (await response.json())["sessions"]]


async def test_the_report_command_is_open_to_the_role_and_to_nobody_else(world: World) -> None:
    rosa = await reader(world)
    session_id = await world.session_with(world.mara)
    assert session_id in text_of(await world.ask(rosa, "report list"))
    assert texts.SUMMARY_TITLE in text_of(await world.ask(rosa, "report last"))
    (file,) = (await world.ask(rosa, "report export", {"session": session_id})).attachments
    assert b"Speaker 1" in file.content
    assert text_of(await world.ask(rosa, "report share")) == texts.NO_OWN_ROW, "it is not hers to pass on"
    assert text_of(await world.ask(rosa, "report delete", {"session": session_id})) == texts.MAY_NOT_DELETE
    assert text_of(await world.ask(world.theo, "report last")) == texts.NO_REPORT
    world.sandbox.guild.members[rosa.id].role_ids.clear()
    assert text_of(await world.ask(rosa, "report last")) == texts.NO_REPORT
    await world.attested(viewer_role_id=None)
    assert text_of(await world.ask(rosa, "report list")) == texts.NO_REPORT


async def test_a_session_that_is_named_is_found_however_many_came_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only as many as are offered while somebody types were looked through; an older one could not be taken back."""
    monkeypatch.setattr(report, "CHOSEN_FROM", 1)
    rosa = await reader(world)
    old = await world.session_with(world.mara)
    await world.session_with(world.mara)
    for person in (world.mara, rosa, world.owner):
        (file,) = (await world.ask(person, "report export", {"session": old})).attachments
        assert file.filename == f"undertone-{old}.json"
    assert text_of(await world.ask(world.owner, "report revoke", {"session": old})) == texts.NOTHING_TO_REVOKE
    for session_id in (old, "none"):
        assert text_of(await world.ask(world.theo, "report export", {"session": session_id})) == texts.NO_REPORT
    assert text_of(await world.ask(rosa, "report revoke", {"session": "none"})) == texts.NO_REPORT


async def test_the_button_for_the_summary_is_open_to_the_role(world: World) -> None:
    rosa = await reader(world, summary_place=SummaryPlace.PARTICIPANTS)
    session_id = await world.session_with(world.mara)
    summary = await world.embed(texts.SUMMARY_TITLE)
    button = f"undertone:summary:{session_id}"
    assert f"<@{world.mara.id}>" in text_of(await world.press(rosa, summary, button))
    assert text_of(await world.press(world.theo, summary, button)) == texts.NO_REPORT


async def test_the_pages_are_open_to_the_role_as_long_as_discord_says_so(world: World) -> None:
    rosa = await reader(world)
    session_id = await world.session_with(world.mara)
    page = f"/sessions/{session_id}"
    doors = (page, f"{page}/strip.svg", f"/api/v1{page}", f"/api/v1{page}/windows.csv", f"/api/v1{page}/chart.json")
    async with await signed_in(world, rosa) as hers, await signed_in(world, world.theo) as his:
        for door in doors:
            assert await status_of(hers, door) == 200, door
            assert await status_of(his, door) == 403, door
        assert await listed(hers) == [session_id]
        assert await listed(his) == []
        async with hers.get(page) as response:
            assert "Share or delete" not in await response.text(), "a reader reads"
        world.sandbox.guild.members[rosa.id].role_ids.clear()
        assert await status_of(hers, page) == 403
        assert await listed(hers) == []


async def test_who_left_the_server_reads_no_more_although_the_role_stays_chosen(world: World) -> None:
    rosa = await reader(world)
    session_id = await world.session_with(world.mara)
    async with await signed_in(world, rosa) as http:
        assert await status_of(http, f"/sessions/{session_id}") == 200
        world.sandbox.state.remove_member(world.sandbox.guild, rosa.id)
        assert await status_of(http, f"/sessions/{session_id}") == 403


async def test_the_panel_says_who_reads_the_report(world: World) -> None:
    await reader(world)
    server = await world.service.storage.server(world.sandbox.guild.id)
    world.sit(world.owner)
    await world.seen(world.owner)
    await world.ask(world.owner, "listen start")
    assert texts("PANEL_READERS", role_id=server.viewer_role_id) in text_of(await world.panel())


async def post(http: aiohttp.ClientSession, session_id: str, deed: str, **fields: str) -> tuple[int, str]:
    """Fill in a form of the report's page."""
    async with http.get(f"/sessions/{session_id}") as response:
        csrf = (await response.text()).split('name="csrf" value="')[1].split('"')[0]
    form = {"csrf": csrf, "days": "7", **fields}
    async with http.post(f"/sessions/{session_id}/{deed}", data=form, allow_redirects=False) as response:
        return response.status, await response.text()


async def test_the_statement_and_about_name_who_runs_the_bot(world: World) -> None:
    world.sit(world.owner)
    await world.seen(world.owner)
    for answer in (await world.ask(world.owner, "listen start"), await world.ask(world.theo, "about")):
        said = text_of(answer)
        assert all(one in said for one in ("The Tone Club", "hello@tone.example", "https://tone.example/privacy"))


async def test_the_pages_say_who_runs_the_bot_as_the_settings_do(world: World) -> None:
    async with aiohttp.ClientSession(world.service.url) as http, http.get("/about") as response:
        page = await response.text()
    assert all(said in page for said in ("The Tone Club", "hello@tone.example", "https://tone.example/privacy"))


def link_in(page: str) -> str:
    """The path of the link that the page shows."""
    found = re.search(r'value="(http[^"]+)"', page)
    assert found is not None
    return URL(found[1]).path


async def test_on_the_page_a_link_is_revoked_by_who_made_it_or_a_manager(world: World) -> None:
    session_id = await world.session_with(world.mara, world.theo)
    async with await signed_in(world, world.mara) as hers, await signed_in(world, world.theo) as his:
        assert (await post(hers, session_id, "share", whose="all"))[0] == 403, "everybody's are not hers to share"
        status, page = await post(hers, session_id, "share")
        assert status == 200
        link = link_in(page)
        async with his.get(f"{link}/report.json") as response:
            assert [person["name"] for person in (await response.json())["participants"]] == ["Speaker 1"]
        assert (await post(his, session_id, "revoke"))[0] == 303
        assert await status_of(his, link) == 200, "it was not his"
        assert (await post(hers, session_id, "revoke"))[0] == 303
        assert await status_of(his, link) == 410
        _, page = await post(his, session_id, "share")
        link = link_in(page)
    async with await signed_in(world, world.owner) as owners:  # who has Manage Server
        assert (await post(owners, session_id, "revoke"))[0] == 303
        assert await status_of(owners, link) == 410


async def test_on_the_page_a_link_to_everybodys_results_is_told_where_the_summary_stands(world: World) -> None:
    session_id = await world.session_with(world.mara)
    async with await signed_in(world, world.owner) as http:
        status, _ = await post(http, session_id, "share", whose="all")
    assert status == 200
    told = [m.content for m in world.messages() if m.content]
    assert len(told) == 1
    assert told[0].startswith(f"<@{world.owner.id}>")


async def test_a_manager_by_role_is_one_as_long_as_discord_says_so(world: World) -> None:
    """Whoever took part and manages the server may share everybody's results on the page, as with the command."""
    session_id = await world.session_with(world.mara)
    role = world.sandbox.state.add_role(world.sandbox.guild, "Manager", permissions=0x20)
    world.sandbox.guild.members[world.mara.id].role_ids.append(role.id)
    guild = world.service.gateway.client.get_guild(world.sandbox.guild.id)
    assert guild is not None
    await world.sandbox.wait_for(lambda: guild.get_role(role.id))
    async with await signed_in(world, world.mara) as http:
        assert (await post(http, session_id, "share", whose="all"))[0] == 200
        world.sandbox.guild.members[world.mara.id].role_ids.clear()
        assert (await post(http, session_id, "share", whose="all"))[0] == 403


async def test_a_server_that_bot_left_lets_nobody_read(world: World) -> None:
    rosa = await reader(world)
    await world.session_with(world.mara)
    storage, guild_id = world.service.storage, world.sandbox.guild.id
    assert list(await storage.viewer_roles()) == [guild_id]
    await storage.change_server(guild_id, lambda now: replace(now, viewer_role_id=None))
    assert await storage.viewer_roles() == {}
    await storage.change_server(guild_id, lambda now: replace(now, viewer_role_id=5))
    await storage.server_left(guild_id, world.service.app.clock.now())
    assert await storage.viewer_roles() == {}
    async with await signed_in(world, rosa) as http:
        assert await listed(http) == []

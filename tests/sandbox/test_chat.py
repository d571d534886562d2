"""The chat page: what it is told, what a visitor can do on it, and who may not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import discord
import pytest
from discord import app_commands

from sandbox import Sandbox
from tests.fakes.plain_bot import PlainBot

pytestmark = pytest.mark.integration


class Page:
    """A browser without a screen."""

    def __init__(self, http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
        self.http = http
        self.sandbox = sandbox

    async def act(self, what: str, **body: Any) -> tuple[int, Any]:
        data = {"as": str(self.sandbox.you.id), "channel": str(self.sandbox.text.id)} | body
        url = f"{self.sandbox.url}/page/{what}"
        async with self.http.post(url, json=data, headers={"X-Sandbox-Page": "1"}) as response:
            return response.status, await response.json()

    async def events(self, count: int, opened: asyncio.Event | None = None) -> list[tuple[str, Any]]:
        """The next ones; `opened` is set with the first, after which no change is missed."""
        found: list[tuple[str, Any]] = []
        async with self.http.get(f"{self.sandbox.url}/page/events") as response:
            kind = ""
            async for line in response.content:
                text = line.decode().strip()
                if text.startswith("event: "):
                    kind = text.removeprefix("event: ")
                elif text.startswith("data: "):
                    found.append((kind, json.loads(text.removeprefix("data: "))))
                    if opened is not None:
                        opened.set()
                    if len(found) == count:
                        return found
        return found


@pytest.fixture
async def page(sandbox: Sandbox) -> AsyncIterator[Page]:
    async with aiohttp.ClientSession() as http:
        yield Page(http, sandbox)


async def test_the_page_and_its_files_are_strict_about_where_things_come_from(page: Page, sandbox: Sandbox) -> None:
    for path in ("/", "/page/app.js", "/page/style.css", "/page/icon.svg", "/page/composer.js"):
        async with page.http.get(sandbox.url + path) as response:
            text = await response.text()
            assert response.status == 200
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            assert "https://" not in text.replace("https?://", ""), path  # nothing from elsewhere
    async with page.http.get(sandbox.url) as response:
        assert "simulated Discord" in await response.text()


async def test_a_page_gets_everything_and_then_the_changes(page: Page, sandbox: Sandbox) -> None:
    mara = sandbox.add_person("Mara", "#aa3355")
    sandbox.send_message(mara, sandbox.text, "hello **there**", files=[("a.txt", b"text")])
    sandbox.report_url = "http://127.0.0.1:1/report"
    opened = asyncio.Event()
    listening = asyncio.create_task(page.events(6, opened), name="page events")
    await opened.wait()
    sandbox.state.join_voice(mara.id, sandbox.voice_channel)
    sandbox.state.set_speaking(sandbox.guild.id, mara.id, True)
    late = sandbox.send_message(mara, sandbox.text, "more")
    sandbox.people.delete(mara, late)
    sandbox.report_url = "http://127.0.0.1:1/another"
    (kind, everything), (_, places), speaking, (_, message), gone, report = await asyncio.wait_for(listening, 60)

    assert kind == "all"
    assert everything["report_url"] == "http://127.0.0.1:1/report"
    assert everything["messages"][0]["content"] == "hello **there**"
    assert everything["messages"][0]["attachments"][0]["url"].startswith("/attachments/")
    (voice,) = [c for c in places["channels"] if c["kind"] == "voice"]
    assert [seat["id"] for seat in voice["seated"]] == [str(mara.id)]
    assert speaking == ("speaking", {"id": str(mara.id), "speaking": True})
    assert message["content"] == "more"
    assert gone == ("gone", {"id": str(late.id)})
    assert report == ("report", {"url": "http://127.0.0.1:1/another"})


async def test_a_visitor_sends_ten_files_at_most(page: Page, sandbox: Sandbox) -> None:
    async def said(files: int, text: str = "") -> int:
        form = aiohttp.FormData()
        form.add_field("act", json.dumps({"as": sandbox.you.id, "channel": sandbox.text.id, "text": text}))
        for number in range(files):
            form.add_field("file", b"text", filename=f"{number}.txt")
        async with page.http.post(f"{sandbox.url}/page/say", data=form, headers={"X-Sandbox-Page": "1"}) as response:
            return response.status

    assert await said(10) == 200
    assert await said(11) == 409
    (message,) = sandbox.messages(sandbox.text)
    assert len(message.attachments) == 10


async def test_a_visitor_presses_fills_in_and_types(page: Page, bot: PlainBot, sandbox: Sandbox) -> None:
    class Form(discord.ui.Modal, title="Note"):
        note: discord.ui.TextInput[Form] = discord.ui.TextInput(label="Note", custom_id="note")

        async def on_submit(self, interaction: discord.Interaction) -> None:
            await interaction.response.send_message(f"Noted {self.note.value}")

    @app_commands.command(name="mark", description="Mark")
    async def mark(interaction: discord.Interaction, note: str, who: discord.Member, file: discord.Attachment) -> None:
        view = discord.ui.View(timeout=None)
        button: discord.ui.Button[discord.ui.View] = discord.ui.Button(label="Note", custom_id="open")

        async def pressed(press: discord.Interaction) -> None:
            await press.response.send_modal(Form())

        button.callback = pressed  # type: ignore[assignment]
        view.add_item(button)
        await interaction.response.send_message(f"{note} {who.id} {file.filename}", view=view)

    bot.tree.add_command(mark)
    await bot.tree.sync()
    sandbox.add_person("Mara")
    form = aiohttp.FormData()
    act = {"as": sandbox.you.id, "channel": sandbox.text.id, "text": "/mark note:the joke who:@Mara"}
    form.add_field("act", json.dumps(act))
    form.add_field("file", b"RIFF", filename="clip.wav")
    url = f"{sandbox.url}/page/say"
    async with page.http.post(url, data=form, headers={"X-Sandbox-Page": "1"}) as response:
        assert response.status == 200, await response.text()
    (message,) = sandbox.messages(sandbox.text)
    assert message.content.startswith("the joke ")
    assert message.content.endswith(" clip.wav")

    status, opened = await page.act("press", message=str(message.id), custom_id="open")
    assert status == 200
    assert opened["form"]["title"] == "Note"
    await page.act("submit", interaction=opened["interaction"], fields={"note": "this"})
    await sandbox.wait_for(lambda: sandbox.messages(sandbox.text)[-1].content == "Noted this")
    assert (await page.act("submit", interaction=opened["interaction"], fields={"note": "twice"}))[0] == 409

    url = f"{sandbox.url}/page/commands?as={sandbox.you.id}&channel={sandbox.text.id}"
    async with page.http.get(url) as response:
        (offered,) = await response.json()
    assert (offered["name"], [o["name"] for o in offered["options"]]) == ("mark", ["note", "who", "file"])


async def test_a_visitor_writes_reacts_sits_down_and_sends_a_recording(page: Page, sandbox: Sandbox) -> None:
    assert await page.act("say", text="hello") == (200, {})
    (message,) = sandbox.messages(sandbox.text)
    await page.act("react", message=str(message.id), emoji="😊")
    assert message.reactions[0].user_ids == [sandbox.you.id]
    await page.act("react", message=str(message.id), emoji="😊")
    assert message.reactions == []
    await page.act("voice", channel=str(sandbox.voice_channel.id))
    assert sandbox.you.id in sandbox.guild.voice_states
    await page.act("voice", channel=str(sandbox.voice_channel.id))
    assert sandbox.you.id not in sandbox.guild.voice_states
    await page.act("recording", name="sad")
    spoken = sandbox.messages(sandbox.text)[-1]
    assert spoken.flags & 8192
    assert 1 < (spoken.attachments[0].duration_secs or 0) < 6


@pytest.mark.parametrize(
    ("what", "body", "status"),
    [
        ("say", {"text": "/nothing"}, 409),
        ("say", {"text": "x" * 2_001}, 400),
        ("say", {"as": "1", "text": "x"}, 409),
        ("say", {"channel": "1", "text": "x"}, 409),
        ("say", {"text": ""}, 400),
        ("press", {"message": "1", "custom_id": "x"}, 409),
        ("recording", {"name": "bored"}, 409),
        ("voice", {}, 409),
        ("say", {"as": "nobody"}, 400),
    ],
)
async def test_what_cannot_be_done_is_said(
    page: Page, sandbox: Sandbox, what: str, body: dict[str, Any], status: int
) -> None:
    answered, answer = await page.act(what, **body)
    assert answered == status
    assert answer["error"]
    assert sandbox.messages(sandbox.text) == []


async def test_other_sites_and_other_names_may_not(page: Page, sandbox: Sandbox) -> None:
    body = {"as": str(sandbox.you.id), "channel": str(sandbox.text.id), "text": "x"}
    async with page.http.post(f"{sandbox.url}/page/say", json=body) as response:
        assert response.status == 403
    headers = {"Host": "rebound.example", "X-Sandbox-Page": "1"}
    async with page.http.post(f"{sandbox.url}/page/say", json=body, headers=headers) as response:
        assert response.status == 421
    async with page.http.get(f"{sandbox.url}/page/events", headers={"Host": "rebound.example"}) as response:
        assert response.status == 421
    assert sandbox.messages(sandbox.text) == []


async def test_a_page_that_listens_everywhere_is_told_by_an_address_that_opens() -> None:
    everywhere = "0.0.0.0"  # noqa: S104  # as in a container
    async with Sandbox(host=everywhere) as sandbox, aiohttp.ClientSession() as http, http.get(sandbox.url) as page:
        assert (page.status, page.content_type) == (200, "text/html")


async def test_an_ephemeral_message_says_for_whom_it_is(page: Page, bot: PlainBot, sandbox: Sandbox) -> None:
    async def hush(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("psst", ephemeral=True)

    await bot.add_slash("hush", hush)
    assert await page.act("say", text="/hush") == (200, {})
    ((_, everything),) = await page.events(1)
    (message,) = everything["messages"]
    assert message["visible_to"] == str(sandbox.you.id)
    assert message["used"] == {"by": str(sandbox.you.id), "name": "/hush"}


async def test_a_page_that_does_not_read_is_cut_off(sandbox: Sandbox) -> None:
    reader, writer = await asyncio.open_connection(sandbox.host, sandbox.port)
    writer.write(f"GET /page/events HTTP/1.1\r\nHost: 127.0.0.1:{sandbox.port}\r\n\r\n".encode())
    await reader.readuntil(b"event: all")
    for _ in range(600):
        sandbox.chat.stream.publish("speaking", {"id": "1", "speaking": True})
    assert sandbox.chat.stream.dropped == 1
    writer.close()
    await writer.wait_closed()


async def test_a_visitor_chooses_the_language_of_a_persons_discord(page: Page, bot: PlainBot, sandbox: Sandbox) -> None:

    @bot.tree.command(name="hello", description="Says hello")
    async def hello(interaction: discord.Interaction[Any], loud: bool = False) -> None:
        await interaction.response.send_message(f"{interaction.locale} {loud}")

    class German(app_commands.Translator):
        async def translate(self, string: app_commands.locale_str, locale: discord.Locale, context: Any) -> str | None:
            words = {"hello": "hallo", "loud": "laut", "Says hello": "Sagt hallo"}
            return words.get(string.message) if locale is discord.Locale.german else None

    await bot.tree.set_translator(German())
    await bot.tree.sync()
    assert (await page.act("language", name="xx"))[0] == 409
    assert (await page.act("language", name="de"))[0] == 200
    url = f"{sandbox.url}/page/commands?as={sandbox.you.id}&channel={sandbox.text.id}"
    async with page.http.get(url) as response:
        (shown,) = await response.json()
    assert (shown["name"], shown["description"]) == ("hallo", "Sagt hallo")
    assert [option["name"] for option in shown["options"]] == ["laut"]
    assert (await page.act("say", text="/hallo laut:yes"))[0] == 200
    assert [m.content for m in sandbox.messages(sandbox.text, seen_by=sandbox.you)] == ["de True"]
    ((_, everything),) = await page.events(1)
    assert {p["id"]: p["locale"] for p in everything["people"]}[str(sandbox.you.id)] == "de"


async def test_menus_offer_what_is_there_and_take_nothing_too(page: Page, bot: PlainBot, sandbox: Sandbox) -> None:
    role = sandbox.state.add_role(sandbox.guild, "Readers")
    chosen: list[list[int]] = []

    class Roles(discord.ui.View):
        @discord.ui.select(
            cls=discord.ui.RoleSelect,
            min_values=0,
            custom_id="roles",
            default_values=[discord.SelectDefaultValue.from_role(discord.Object(role.id))],
        )
        async def pick(self, interaction: discord.Interaction[Any], menu: discord.ui.RoleSelect[Any]) -> None:
            chosen.append([one.id for one in menu.values])
            await interaction.response.defer()

    @bot.tree.command(name="ask", description="Asks")
    async def ask(interaction: discord.Interaction[Any]) -> None:
        await interaction.response.send_message("Who?", view=Roles(timeout=None))

    await bot.tree.sync()
    await page.act("say", text="/ask")
    (message,) = sandbox.messages(sandbox.text)
    ((_, everything),) = await page.events(1)
    assert {"id": str(role.id), "name": "Readers"} in everything["roles"]
    assert str(sandbox.guild.id) not in {one["id"] for one in everything["roles"]}, "everybody is no choice"
    (row,) = everything["messages"][0]["components"]
    assert row["components"][0]["default_values"] == [{"id": str(role.id), "type": "role"}]
    pressed = {"message": str(message.id), "custom_id": "roles"}
    for values, status in (([str(role.id)], 200), ([], 200), (["5"], 409), ([str(role.id), "5"], 409)):
        assert (await page.act("press", values=values, **pressed))[0] == status, values
    assert chosen == [[role.id], []]


async def test_a_head_request_for_the_events_has_no_body(page: Page, sandbox: Sandbox) -> None:
    async with asyncio.timeout(60), page.http.head(f"{sandbox.url}/page/events") as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
    writer.write(b"HEAD /page/events HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(60):
        assert (await reader.read()).endswith(b"\r\n\r\n")
    writer.close()


async def test_a_page_that_never_reads_is_cut_off(sandbox: Sandbox) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port, limit=1)
    writer.write(b"GET /page/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await reader.readexactly(1)
    stream = sandbox.chat.stream
    while not stream.dropped:
        stream.publish("message", {"text": "x" * 100_000})
        await asyncio.sleep(0)
    with suppress(ConnectionError):
        async with asyncio.timeout(60):
            while await reader.read(1 << 20):
                pass
    writer.close()

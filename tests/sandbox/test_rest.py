"""REST answers as Discord does: limits, permissions, deadlines, rate limits and errors, seen through discord.py."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import aiohttp
import discord
import pytest

from sandbox import Channel, NotOffered, Sandbox
from sandbox.permissions import Permission
from tests.fakes.plain_bot import PlainBot, logged_in, point_at

pytestmark = pytest.mark.integration


def channel_of(bot: PlainBot, channel: Channel) -> discord.TextChannel:
    found = bot.get_channel(channel.id)
    assert isinstance(found, discord.TextChannel)
    return found


@pytest.mark.parametrize("path", ["/users/@me", "/gateway/bot", "/guilds/1", "/nothing"])
async def test_answers_are_json_and_need_the_token(sandbox: Sandbox, path: str) -> None:
    async with aiohttp.ClientSession() as http, http.get(sandbox.api_base + path) as response:
        assert response.status == 401
        assert response.headers["Content-Type"] == "application/json"
        assert await response.json() == {"message": "401: Unauthorized", "code": 0}


async def test_a_wrong_token_cannot_log_in(sandbox: Sandbox) -> None:
    sandbox.token = "wrong"
    with pytest.raises(discord.LoginFailure):
        async with logged_in(PlainBot(), sandbox):
            pass


LONG = "x" * 300
TOO_MUCH: list[tuple[dict[str, Any], str]] = [
    ({"content": "x" * 2001}, "content"),
    ({"embed": discord.Embed(title=LONG)}, "embeds.0.title"),
    ({"embeds": [discord.Embed(description="x" * 3500), discord.Embed(description="x" * 3500)]}, "embeds"),
    ({"embed": discord.Embed.from_dict({"fields": [{"name": "a", "value": "b"}] * 26})}, "embeds.0.fields"),
    ({"embed": discord.Embed.from_dict({"fields": [{"name": "a", "value": LONG * 4}]})}, "embeds.0.fields.0.value"),
]


@pytest.mark.parametrize(("message", "field"), TOO_MUCH)
async def test_a_message_over_a_limit_is_refused(
    bot: PlainBot, sandbox: Sandbox, message: dict[str, Any], field: str
) -> None:
    with pytest.raises(discord.HTTPException) as refused:
        await channel_of(bot, sandbox.text).send(**message)
    assert (refused.value.status, refused.value.code) == (400, 50035)
    assert f"In {field}:" in refused.value.text
    assert sandbox.messages(sandbox.text) == []


async def test_an_empty_message_is_refused(bot: PlainBot, sandbox: Sandbox) -> None:
    with pytest.raises(discord.HTTPException) as refused:
        await channel_of(bot, sandbox.text).send("   ")
    assert refused.value.code == 50006


def buttons(count: int) -> list[dict[str, Any]]:
    return [{"type": 2, "style": 1, "label": "x", "custom_id": str(n)} for n in range(count)]


@pytest.mark.parametrize(
    ("body", "ok"),
    [
        ({"content": "x", "components": [{"type": 1, "components": buttons(5)}]}, True),
        ({"content": "x", "components": [{"type": 1, "components": buttons(6)}]}, False),
        ({"content": "x", "components": [{"type": 1, "components": buttons(1)}] * 2}, False),  # one custom id twice
        ({"content": "x", "components": [{"type": 10, "content": "text"}]}, False),  # only with Components V2
        ({"flags": 1 << 15, "components": [{"type": 10, "content": "text"}]}, True),
        ({"flags": 1 << 15, "content": "x", "components": [{"type": 10, "content": "text"}]}, False),
        ({"flags": 1 << 15, "components": [{"type": 10, "content": "t"}] * 40}, True),
        ({"flags": 1 << 15, "components": [{"type": 17, "components": [{"type": 10, "content": "t"}] * 40}]}, False),
        ({"flags": 1 << 15, "components": [{"type": 10, "content": "x" * 4001}]}, False),
        ({"content": "x", "components": [{"type": 1, "components": [{"type": 2, "style": 5, "label": "x"}]}]}, False),
    ],
)
async def test_components_have_their_limits(sandbox: Sandbox, body: dict[str, Any], ok: bool) -> None:
    headers = {"Authorization": f"Bot {sandbox.token}"}
    url = f"{sandbox.api_base}/channels/{sandbox.text.id}/messages"
    async with aiohttp.ClientSession(headers=headers) as http, http.post(url, json=body) as response:
        assert response.status == (200 if ok else 400), await response.text()


async def test_what_the_bot_may_not_do_is_forbidden(bot: PlainBot, sandbox: Sandbox) -> None:
    mara = sandbox.add_person("Mara")
    spoken = sandbox.send_message(mara, sandbox.text, "hello")
    channel = channel_of(bot, sandbox.text)
    theirs = channel.get_partial_message(spoken.id)
    with pytest.raises(discord.Forbidden) as refused:
        await theirs.edit(content="mine now")
    assert refused.value.code == 50005
    with pytest.raises(discord.Forbidden) as refused:
        await theirs.delete()
    assert refused.value.code == 50013
    sandbox.deny(sandbox.bot, sandbox.text, Permission.ADD_REACTIONS)
    with pytest.raises(discord.Forbidden):
        await theirs.add_reaction("😊")
    sandbox.deny(sandbox.bot, sandbox.text, Permission.SEND_MESSAGES)
    with pytest.raises(discord.Forbidden) as refused:
        await channel.send("hello")
    assert refused.value.code == 50013
    sandbox.deny(sandbox.bot, sandbox.text, Permission.VIEW_CHANNEL)
    with pytest.raises(discord.Forbidden) as refused:
        await channel.send("hello")
    assert refused.value.code == 50001


async def test_in_a_thread_another_permission_counts(bot: PlainBot, sandbox: Sandbox) -> None:
    mara = sandbox.add_person("Mara")
    thread = sandbox.state.add_thread(sandbox.text, "a thread", mara)
    there = bot.get_partial_messageable(thread.id)
    for member in (sandbox.bot, mara):
        sandbox.deny(member, sandbox.text, Permission.SEND_MESSAGES)
    await there.send("hello")
    sandbox.send_message(mara, thread, "hello")
    for member in (sandbox.bot, mara):
        sandbox.deny(member, sandbox.text, Permission.SEND_MESSAGES_IN_THREADS)
    with pytest.raises(discord.Forbidden) as refused:
        await there.send("hello")
    assert refused.value.code == 50013
    with pytest.raises(NotOffered):
        sandbox.send_message(mara, thread, "hello")


async def test_what_is_not_there_is_not_found(bot: PlainBot, sandbox: Sandbox) -> None:
    channel = channel_of(bot, sandbox.text)
    for code, asking in (
        (10008, channel.fetch_message(1)),
        (10003, bot.fetch_channel(1)),
        (10004, bot.fetch_guild(1)),
        (10013, bot.fetch_user(1)),
        (10007, channel.guild.fetch_member(1)),
    ):
        with pytest.raises(discord.NotFound) as missing:
            await asking
        assert missing.value.code == code
    with pytest.raises(discord.HTTPException) as bad:
        await (await channel.send("x")).add_reaction("not an emoji")
    assert bad.value.code == 10014


async def test_the_line_under_a_voice_channel_needs_its_permission(bot: PlainBot, sandbox: Sandbox) -> None:
    channel = bot.get_channel(sandbox.voice_channel.id)
    assert isinstance(channel, discord.VoiceChannel)
    with pytest.raises(discord.Forbidden):  # from outside the channel
        await channel.edit(status="listening")
    await channel.guild.change_voice_state(channel=channel)
    await sandbox.wait_for(lambda: sandbox.state.voice_state(sandbox.guild.id, sandbox.bot.id))
    await channel.edit(status="listening")
    assert sandbox.voice_channel.status == "listening"
    sandbox.deny(sandbox.bot, sandbox.voice_channel, Permission.SET_VOICE_CHANNEL_STATUS)
    with pytest.raises(discord.Forbidden):
        await channel.edit(status=None)


async def test_commands_follow_default_permissions_and_keep_their_ids(bot: PlainBot, sandbox: Sandbox) -> None:
    async def settings(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("ok")

    await bot.add_slash("settings", settings, default_permissions=discord.Permissions(manage_guild=True))
    (first,) = await bot.tree.fetch_commands()
    (again,) = await bot.tree.sync()
    assert first.id == again.id
    mara = sandbox.add_person("Mara")
    with pytest.raises(NotOffered):
        await sandbox.command(mara, sandbox.text, "settings")
    assert sandbox.people.commands(mara, sandbox.text) == []
    assert (await sandbox.answer(await sandbox.command(sandbox.you, sandbox.text, "settings"))).content == "ok"
    overridden = await sandbox.command(mara, sandbox.text, "settings", overridden=True)
    assert overridden.acknowledged


@pytest.mark.parametrize(
    "command",
    [
        {"name": "Upper", "description": "x"},
        {"name": "x", "description": ""},
        {"name": "x", "description": "y" * 101},
        {"name": "x", "type": 3, "description": "y"},
        {
            "name": "x",
            "description": "y",
            "options": [
                {"name": "a", "description": "a", "type": 3},
                {"name": "b", "description": "b", "type": 3, "required": True},
            ],
        },
    ],
)
async def test_a_bad_command_is_refused(sandbox: Sandbox, command: dict[str, Any]) -> None:
    url = f"{sandbox.api_base}/applications/{sandbox.application_id}/commands"
    headers = {"Authorization": f"Bot {sandbox.token}"}
    async with aiohttp.ClientSession(headers=headers) as http, http.put(url, json=[command]) as response:
        assert response.status == 400
        assert (await response.json())["code"] == 50035


async def test_an_answer_after_the_deadline_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox(interaction_deadline_s=0.1, rate_limits=False) as sandbox:
        point_at(sandbox, monkeypatch)
        async with logged_in(PlainBot(), sandbox) as bot:
            seen: list[discord.HTTPException] = []
            over = asyncio.Event()

            async def slow(interaction: discord.Interaction) -> None:
                await over.wait()
                try:
                    await interaction.response.send_message("too late")
                except discord.NotFound as late:
                    seen.append(late)

            await bot.add_slash("slow", slow)
            interaction = await sandbox.command(sandbox.you, sandbox.text, "slow")
            assert interaction.expired
            over.set()
            await sandbox.wait_for(lambda: seen)
            assert seen[0].code == 10062
            assert sandbox.messages(sandbox.text) == []


async def test_a_machine_that_stands_still_takes_nothing_from_the_three_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Sandbox(interaction_deadline_s=1.0, rate_limits=False) as sandbox:
        point_at(sandbox, monkeypatch)
        async with logged_in(PlainBot(), sandbox) as bot:

            async def stopped(interaction: discord.Interaction) -> None:
                time.sleep(1.5)  # noqa: ASYNC251 - the whole process stands still
                await interaction.response.send_message("in time")

            await bot.add_slash("stopped", stopped)
            assert (await sandbox.command(sandbox.you, sandbox.text, "stopped")).acknowledged


async def test_an_interaction_is_answered_once_and_for_fifteen_minutes(bot: PlainBot, sandbox: Sandbox) -> None:
    kept: list[discord.Interaction] = []

    async def twice(interaction: discord.Interaction) -> None:
        kept.append(interaction)
        await interaction.response.send_message("one")
        interaction.response._response_type = None  # the library keeps count too; ask the server
        with pytest.raises(discord.HTTPException) as refused:
            await interaction.response.send_message("two")
        assert refused.value.code == 40060
        await interaction.followup.send("more")

    await bot.add_slash("twice", twice)
    interaction = await sandbox.command(sandbox.you, sandbox.text, "twice")
    await sandbox.wait_for(lambda: len(interaction.messages) == 2)
    assert [m.content for m in interaction.messages] == ["one", "more"]
    await kept[0].delete_original_response()
    assert [m.content for m in sandbox.messages(sandbox.text)] == ["more"]
    interaction.ends_at = time.monotonic() - 1
    with pytest.raises(discord.HTTPException) as ended:
        await kept[0].followup.send("even more")
    assert ended.value.code == 50027


async def test_old_messages_are_edited_a_few_times_only(bot: PlainBot, sandbox: Sandbox) -> None:
    sent = await channel_of(bot, sandbox.text).send("0")
    record = sandbox.state.message(sandbox.text.id, sent.id)
    assert record is not None
    record.created_at -= timedelta(hours=2)
    headers = {"Authorization": f"Bot {sandbox.token}"}
    url = f"{sandbox.api_base}/channels/{sandbox.text.id}/messages/{sent.id}"
    async with aiohttp.ClientSession(headers=headers) as http:
        answers = []
        for n in range(5):
            async with http.patch(url, json={"content": str(n)}) as response:
                answers.append((response.status, (await response.json()).get("code")))
    assert answers[0] == (200, None)
    assert answers[-1] == (429, 30046)


async def test_a_rate_limit_is_waited_for(bot: PlainBot, sandbox: Sandbox) -> None:
    fault = sandbox.faults.rest(429, method="POST", path="/messages$", retry_after_s=0.2)
    began = time.monotonic()
    await channel_of(bot, sandbox.text).send("hello")
    assert time.monotonic() - began >= 0.2
    assert fault.hits == 1
    assert [m.content for m in sandbox.messages(sandbox.text)] == ["hello"]


async def test_a_server_error_is_retried_or_told(bot: PlainBot, sandbox: Sandbox) -> None:
    sandbox.faults.rest(502, path="/messages$")
    await channel_of(bot, sandbox.text).send("hello")
    sandbox.faults.rest(503, path="/messages$")
    with pytest.raises(discord.DiscordServerError):
        await channel_of(bot, sandbox.text).send("hello again")
    assert [m.content for m in sandbox.messages(sandbox.text)] == ["hello"]


async def test_buckets_empty_and_fill_again() -> None:
    async with Sandbox() as sandbox, aiohttp.ClientSession() as http:
        now_s = [0.0]
        sandbox.world.limits._clock = lambda: now_s[0]
        headers = {"Authorization": f"Bot {sandbox.token}"}
        url = f"{sandbox.api_base}/channels/{sandbox.text.id}/messages"
        statuses = []
        for _ in range(6):
            async with http.post(url, json={"content": "x"}, headers=headers) as response:
                statuses.append(response.status)
                assert "X-RateLimit-Bucket" in response.headers
                body = await response.json()
        assert statuses == [200] * 5 + [429]
        assert response.headers["X-RateLimit-Remaining"] == "0"
        assert response.headers["Via"]
        assert 0 < body["retry_after"] <= 5
        now_s[0] += body["retry_after"]
        async with http.post(url, json={"content": "x"}, headers=headers) as response:
            assert response.status == 200


async def test_files_are_kept_behind_signed_addresses(bot: PlainBot, sandbox: Sandbox) -> None:
    page = discord.File(__file__, "page.html")
    sent = await channel_of(bot, sandbox.text).send(file=page)
    async with aiohttp.ClientSession() as http:
        async with http.get(sent.attachments[0].url) as response:
            assert response.status == 200
            assert response.headers["Content-Disposition"].startswith("attachment")
        async with http.get(sent.attachments[0].url.split("?")[0]) as response:
            assert response.status == 404


async def test_a_port_that_is_taken_is_refused_and_leaves_nothing_open(sandbox: Sandbox) -> None:
    second = Sandbox(port=sandbox.port)
    with pytest.raises(OSError, match="in use"):
        await second.start()
    await second.close()

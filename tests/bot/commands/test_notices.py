"""Notice reaches those who are heard: in the voice channel's own chat, countable, and true whatever happens to it."""

from __future__ import annotations

import asyncio

import discord
import pytest

from bot.commands.panel_view import EXCLUDE_ID, INCLUDE_ID
from bot.listening import panel as panel_module
from bot.service import Service
from bot.settings import DISCORD_API, load_settings
from bot.texts import english as texts
from sandbox import Channel, Message
from sandbox.permissions import Permission
from storage.errors import StorageUnavailable
from storage.records import Decision
from tests.fakes.backend import FakeBackend
from tests.fakes.voice_link import FakeVoice, tone_burst
from tests.fakes.world import World, text_of

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def quick_edits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel_module, "EDIT_GAP_S", 0.05)


def panels(world: World) -> list[Message]:
    return [message for message in world.messages() if INCLUDE_ID in message.custom_ids()]


async def start(world: World) -> Message:
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    return await world.attest_and_start()


async def test_the_panel_stands_in_the_voice_channels_chat_and_the_command_gets_a_link(world: World) -> None:
    await world.attested()
    world.sit(world.owner)
    await world.seen(world.owner)
    answer = text_of(await world.ask(world.owner, "listen start"))
    (panel,) = panels(world)
    assert panel.channel_id == world.sandbox.voice_channel.id
    assert answer.endswith(f"/{world.sandbox.guild.id}/{panel.channel_id}/{panel.id}")


async def test_a_panel_that_discord_takes_while_the_session_ends_is_taken_back(world: World) -> None:
    panel = await start(world)
    answered = asyncio.Event()
    slow = world.sandbox.faults.rest(0, method="POST", path=r"^/channels/\d+/messages$", held=answered)
    world.sandbox.state.delete_message(panel)
    await world.sandbox.wait_for(lambda: slow.hits)
    await world.sandbox.command(world.owner, world.sandbox.text, "listen stop")
    await world.sandbox.wait_for(lambda: world.voice.link.closed)
    assert panels(world), "it stands there, and the bot was not told so by now"
    answered.set()
    await world.sandbox.wait_for(lambda: not panels(world))
    await world.embed(texts.SUMMARY_TITLE)
    await world.over()


async def test_nobody_who_did_not_agree_is_named_and_reasons_are_given(world: World) -> None:
    await world.service.storage.set_standing_consent(world.sandbox.guild.id, world.theo.id, Decision.OPT_IN)
    world.sit(world.theo)
    await world.seen(world.theo)
    panel = await start(world)
    await world.sandbox.wait_for(lambda: f"<@{world.theo.id}>" in text_of(panel))
    lines = text_of(panel).splitlines()
    assert texts.PERSON_BY_STANDING in next(line for line in lines if f"<@{world.theo.id}>" in line)
    assert f"**{texts.PANEL_PEOPLE}**" in lines
    assert f"<@{world.mara.id}>" not in text_of(panel)
    assert "2 people in the channel are not included" in text_of(panel)


@pytest.mark.parametrize("why", ["muted", "no permission to speak"])
async def test_a_chime_that_nobody_hears_is_no_notice(world: World, why: str) -> None:
    guild, bot, voice = world.sandbox.guild, world.sandbox.bot, world.sandbox.voice_channel
    missing = Permission.SEND_MESSAGES | Permission.SET_VOICE_CHANNEL_STATUS
    if why == "muted":
        guild.members[bot.id].mute = True
        world.sandbox.state.join_voice(bot.id, voice)
    else:
        missing |= Permission.SPEAK
    for channel in (voice, world.sandbox.text):
        world.sandbox.deny(bot, channel, missing)
    await world.attested()
    world.sit(world.owner)
    await world.seen(world.owner)
    answer = await world.ask(world.owner, "listen start")
    assert text_of(answer) == texts.NO_NOTICE
    assert world.service.sessions.of(guild.id) is None


async def test_who_is_included_by_a_standing_answer_is_told_and_hears_the_chime(world: World) -> None:
    await world.service.storage.set_standing_consent(world.sandbox.guild.id, world.theo.id, Decision.OPT_IN)
    await start(world)
    session = world.service.sessions.of(world.sandbox.guild.id)
    assert session is not None
    session._display.notices._chimed_s = None  # as if the session had begun a while ago
    before = len(world.voice.link.played)
    world.sit(world.theo)
    told = await world.embed(texts.STANDING_TITLE)
    assert told.channel_id == world.sandbox.voice_channel.id
    assert told.mention_ids == [world.theo.id]
    await world.sandbox.wait_for(lambda: len(world.voice.link.played) == before + 1)
    assert session.consents(world.theo.id)
    assert told.custom_ids() == [EXCLUDE_ID]
    assert text_of(await world.press(world.theo, told, EXCLUDE_ID)) == texts.EXCLUDED
    assert not session.consents(world.theo.id)
    await world.ask(world.owner, "listen stop")
    await world.over()
    assert told not in world.messages(), "who is told is nobody's business afterwards"


async def test_a_deleted_panel_comes_back_without_any_change(world: World) -> None:
    panel = await start(world)
    world.sandbox.people.delete(world.owner, panel)
    again = await world.sandbox.wait_for(lambda: next(iter(panels(world)), None))
    assert again.id != panel.id
    assert text_of(await world.press(world.mara, again, INCLUDE_ID)) == texts.INCLUDED


async def test_an_old_panel_that_discord_does_not_let_go_is_deleted_with_the_next_round(world: World) -> None:
    old = await start(world)
    refused = world.sandbox.faults.rest(403, method="DELETE", path=rf"/messages/{old.id}$")
    panel = world.running().panel
    panel._posted_s -= panel_module.MAX_AGE_S
    panel.touch()
    await world.sandbox.wait_for(lambda: refused.hits and len(panels(world)) == 2)
    service = world.service

    async def doomed() -> list[int]:
        return [m.message_id for m in await service.storage.doomed_messages(service.app.clock.now())]

    async with asyncio.timeout(60):
        while await doomed() != [old.id]:
            await asyncio.sleep(0.02)
    await service.app.deletions.remove_doomed()
    assert [message.id for message in panels(world)] == [panel.message_id]
    assert await doomed() == []


async def test_the_panel_moves_when_the_bot_may_no_longer_write_where_it_is(world: World) -> None:
    panel = await start(world)
    world.sandbox.deny(world.sandbox.bot, world.sandbox.voice_channel, Permission.SEND_MESSAGES)
    moved = await world.sandbox.wait_for(lambda: next((m for m in panels(world) if m.id != panel.id), None))
    assert moved.channel_id == world.sandbox.text.id
    assert text_of(await world.press(world.mara, moved, INCLUDE_ID)) == texts.INCLUDED


@pytest.mark.parametrize("end", ["delete_thread", "close_thread"])
async def test_the_panel_comes_back_when_the_thread_that_it_stands_in_is_deleted_or_closed(
    world: World, end: str
) -> None:
    thread = world.sandbox.state.add_thread(world.sandbox.text, "About the call", world.owner)
    panel = await start_in(world, thread)
    assert panel.channel_id == thread.id
    shown = world.running().panel
    await world.sandbox.wait_for(lambda: shown._shown == shown._render())  # no change of it is on its way
    getattr(world.sandbox.state, end)(thread)
    again = await world.sandbox.wait_for(lambda: next((one for one in panels(world) if one is not panel), None))
    assert again.channel_id == world.sandbox.text.id


async def test_no_panel_stands_in_a_private_thread(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its permissions are those of its channel; who of the call is in it they do not tell."""
    thread = world.sandbox.state.add_thread(world.sandbox.text, "Between us", world.owner)
    monkeypatch.setattr(discord.Thread, "is_private", lambda _: True)
    panel = await start_in(world, thread)
    assert panel.channel_id == world.sandbox.text.id


async def start_in(world: World, thread: Channel) -> Message:
    """Start from a thread, where the bot may not write into the voice channel's own chat; returns the panel."""
    guild = world.sandbox.guild
    guild.system_channel_id = world.sandbox.text.id
    world.sandbox.state.tell("GUILD_UPDATE", guild.id, guild)
    world.sandbox.deny(world.sandbox.bot, world.sandbox.voice_channel, Permission.SEND_MESSAGES)
    await world.attested()
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    await world.ask(world.owner, "listen start", channel=thread)
    session = world.running()
    assert session.panel.posted is not None
    channel_id = session.panel.posted.channel_id
    return next(m for m in world.sandbox.state.messages(channel_id) if INCLUDE_ID in m.custom_ids())


async def test_a_panel_that_may_not_be_changed_at_the_end_goes_later(world: World) -> None:
    """Else it would say that the bot listens until its session is deleted."""
    panel = await start(world)
    world.sandbox.deny(world.sandbox.bot, world.sandbox.voice_channel, Permission.VIEW_CHANNEL)
    await world.over()
    assert INCLUDE_ID in panel.custom_ids()
    world.sandbox.voice_channel.overwrites.clear()
    world.sandbox.state.update_channel(world.sandbox.voice_channel)
    await world.service.app.deletions.remove_doomed()
    assert panels(world) == []


async def test_a_server_that_the_bot_is_back_in_shows_no_panel_of_before(world: World) -> None:
    await start(world)
    state, guild, bot = world.sandbox.state, world.sandbox.guild, world.sandbox.bot
    role_ids = tuple(guild.members[bot.id].role_ids)
    state.remove_member(guild, bot.id)
    await world.over()
    state.add_member(guild, bot, role_ids=role_ids)
    await world.sandbox.wait_for(lambda: world.service.gateway.client.get_guild(guild.id))
    await world.service.app.deletions.remove_doomed()
    assert panels(world) == []


async def test_the_words_of_a_summary_come_where_the_bot_may_attach_no_picture(world: World) -> None:
    world.sandbox.deny(world.sandbox.bot, world.sandbox.voice_channel, Permission.ATTACH_FILES)
    _, summary = await world.held(world.mara)
    assert summary.channel_id == world.sandbox.voice_channel.id
    assert f"<@{world.mara.id}>" in text_of(summary)
    assert summary.attachments == []


async def test_it_ends_when_the_role_that_let_the_bot_in_is_deleted(world: World) -> None:
    state, guild, bot = world.sandbox.state, world.sandbox.guild, world.sandbox.bot
    role = state.add_role(guild, "Ears", permissions=int(Permission.CONNECT))
    guild.members[bot.id].role_ids.append(role.id)
    state.update_member(guild.members[bot.id])
    for other in guild.roles.values():
        if other is not role:
            other.permissions &= ~Permission.CONNECT
            state.tell("GUILD_ROLE_UPDATE", guild.id, other)
    await start(world)
    state.delete_role(guild, role)
    await world.over()
    (record,) = await world.service.storage.sessions()
    assert record.end_reason == "permissions"


async def test_it_does_not_move_to_where_people_of_the_call_cannot_see_it(world: World) -> None:
    await start(world)
    world.sandbox.deny(world.mara, world.sandbox.text, Permission.VIEW_CHANNEL)
    world.sandbox.deny(world.sandbox.bot, world.sandbox.voice_channel, Permission.SEND_MESSAGES)
    await world.over()
    (record,) = await world.service.storage.sessions()
    assert record.end_reason == "no_notice"
    private = world.sandbox.people.direct_messages(world.owner)
    told = await world.sandbox.wait_for(lambda: next(iter(world.sandbox.messages(private)), None))
    assert texts.END_REASONS["no_notice"] in text_of(told)


async def test_the_status_line_that_people_wrote_is_put_back(world: World) -> None:
    voice = world.sandbox.voice_channel
    world.sandbox.state.set_voice_status(voice, "Film night")
    await world.attested()
    world.sandbox.state.join_voice(world.sandbox.bot.id, voice)  # only who is in the channel may change the line
    world.sit(world.owner)
    await world.seen(world.owner)
    await world.ask(world.owner, "listen start")
    assert voice.status == texts.VOICE_STATUS
    await world.ask(world.owner, "listen stop")
    await world.over()
    assert voice.status == "Film night"


async def test_the_report_hangs_below_the_panel_where_it_can_be_opened(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = await start(world)
    session = world.service.sessions.of(world.sandbox.guild.id)
    assert session is not None
    links = [button["url"] for row in panel.components for button in row["components"] if "url" in button]
    assert links == [world.service.app.report_url(session.record.id)]
    await world.press(world.owner, panel, INCLUDE_ID)
    monkeypatch.setattr(world.service.app, "report_url", lambda _: None)  # as without a public address
    await world.ask(world.owner, "listen stop")
    summary = await world.embed(texts.SUMMARY_TITLE)
    assert texts.SUMMARY_NO_LINK in text_of(summary)
    assert "http" not in text_of(summary)


def test_no_link_to_this_machine_is_posted_in_discord_itself() -> None:
    settings = load_settings(env_file=None, discord_token="x", workers=0, discord_api_base=DISCORD_API)
    service = Service(settings, backend=FakeBackend(), connect=FakeVoice())
    assert service._report_url("5e5510") is None


async def test_results_that_are_not_being_saved_are_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = await start(world)

    async def full(_: object) -> int:
        raise StorageUnavailable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(world.service.storage, "add_results", full)
        await world.press(world.mara, panel, INCLUDE_ID)
        world.voice.link.hear(world.mara.id, tone_burst())
        await world.sandbox.wait_for(lambda: texts.UNSAVED in text_of(panel))
        assert texts.UNSAVED in text_of(await world.ask(world.owner, "listen status"))
    await world.sandbox.wait_for(lambda: texts.UNSAVED not in text_of(panel))

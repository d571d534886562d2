"""`/settings`: one message with menus, for managers; what each choice changes, and what keeps one from working."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import discord
import pytest

from bot.commands.arrivals import tell_present
from bot.commands.panel_view import EXCLUDE_ID, INCLUDE_ID
from bot.commands.settings_menus import DAYS, Topic
from bot.commands.settings_words import POSTING
from bot.texts import english as texts
from bot.texts import of
from sandbox import Channel, Message
from sandbox.permissions import Permission
from storage.errors import StorageUnavailable
from storage.records import ServerSettings, SummaryPlace, VoiceMode
from tests.fakes.voice_link import tone_burst
from tests.fakes.world import World, text_of

pytestmark = pytest.mark.integration

MENU = "undertone:settings:{}"


async def opened(world: World) -> Message:
    return await world.ask(world.owner, "settings")


async def choose_in(world: World, message: Message, menu: str, *values: object) -> None:
    """Choose in one menu, and wait for what the message shows then."""
    before = message.edited_at
    await world.sandbox.people.choose(world.owner, message, menu, [str(value) for value in values])
    await world.sandbox.wait_for(lambda: message.edited_at != before)


async def choose(world: World, message: Message, topic: Topic, *values: object) -> ServerSettings:
    """Choose a topic in the first menu, and what is offered below it."""
    await choose_in(world, message, MENU.format("topic"), topic.value)
    menu = MENU.format(topic.value)
    await world.sandbox.wait_for(lambda: menu in message.custom_ids())
    await choose_in(world, message, menu, *values)
    return await world.service.storage.server(world.sandbox.guild.id)


async def test_everybody_reads_them_and_managers_get_the_menus(world: World) -> None:
    shown = await world.ask(world.mara, "settings")
    assert all(f"**{name}:**" in text_of(shown) for name in texts.SETTINGS_TOPICS.values())
    assert shown.custom_ids() == []
    assert (await opened(world)).custom_ids() == [MENU.format("topic")]


async def test_each_menu_changes_what_it_says(world: World) -> None:
    state, guild = world.sandbox.state, world.sandbox.guild
    reader, guest = state.add_role(guild, "Reader"), state.add_role(guild, "Guest")
    text, voice = world.sandbox.text.id, world.sandbox.voice_channel.id
    message = await opened(world)
    assert (await choose(world, message, Topic.START_ROLES, reader.id, guest.id)).listen_role_ids == (
        reader.id,
        guest.id,
    )
    assert (await choose(world, message, Topic.UNHEARD_ROLES, guest.id)).unheard_role_ids == (guest.id,)
    assert (await choose(world, message, Topic.VIEWER_ROLE, reader.id)).viewer_role_id == reader.id
    assert (await choose(world, message, Topic.REPORT_CHANNEL, text)).report_channel_id == text
    chosen = await choose(world, message, Topic.SUMMARY, "report_channel")
    assert chosen.summary_place is SummaryPlace.REPORT_CHANNEL
    assert not (await choose(world, message, Topic.LIVE, "off")).live_emotions
    assert (await choose(world, message, Topic.AUTO_LISTEN, voice)).auto_listen_ids == (voice,)
    assert (await choose(world, message, Topic.RETENTION, 90)).retention_days == 90
    assert (await choose(world, message, Topic.LANGUAGE, "de")).language == "de"
    assert (await choose(world, message, Topic.START_ROLES)).listen_role_ids == ()
    shown = text_of(message)
    assert all(part in shown for part in (f"<@&{guest.id}>", "90 days", f"<#{voice}>", texts.LIVE_HIDDEN))
    assert (DAYS[0], DAYS[-1]) == (1, 90)


async def test_the_days_are_the_operators_again_where_a_server_wants_that(world: World) -> None:
    message = await opened(world)
    operators = texts("AS_THE_OPERATOR_SAYS", days=texts("DAYS", n=7))
    assert operators in text_of(message)
    assert (await choose(world, message, Topic.RETENTION, 7)).chosen_days == 7  # also when the operator's change
    assert operators not in text_of(message)
    assert (await choose(world, message, Topic.RETENTION, "operator")).chosen_days is None
    assert operators in text_of(message)


async def test_a_role_that_is_heard_no_more_is_out_of_the_running_session_at_once(world: World) -> None:
    role = world.sandbox.state.add_role(world.sandbox.guild, "Guests", permissions=0)
    guest = world.sandbox.add_person("Gast", role_ids=(role.id,))
    world.sit(world.owner, world.mara, guest)
    await world.seen(world.owner, world.mara, guest)
    panel = await world.attest_and_start()
    for person in (world.mara, guest):
        assert text_of(await world.press(person, panel, INCLUDE_ID)) == texts.INCLUDED
    session = world.running()
    await choose(world, await opened(world), Topic.UNHEARD_ROLES, role.id)
    await world.sandbox.wait_for(lambda: not session.consents(guest.id))
    assert session.people.included_ids() == [world.mara.id]


async def test_a_role_that_is_never_heard_is_obeyed_while_the_database_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its people agreed before it was chosen. They sit there when the gateway comes back, or come in anew."""
    role = world.sandbox.state.add_role(world.sandbox.guild, "Guests", permissions=0)
    stays, comes = (world.sandbox.add_person(name, role_ids=(role.id,)) for name in ("Gast", "Gustav"))
    world.sit(world.owner, world.mara, stays, comes)
    await world.seen(world.owner, world.mara, stays, comes)
    panel = await world.attest_and_start()
    for person in (world.mara, stays, comes):
        assert text_of(await world.press(person, panel, INCLUDE_ID)) == texts.INCLUDED
    session = world.running()
    await choose(world, await opened(world), Topic.UNHEARD_ROLES, role.id)
    await world.sandbox.wait_for(lambda: session.people.included_ids() == [world.mara.id])
    world.sandbox.state.leave_voice(world.sandbox.guild.id, comes.id)
    await world.sandbox.wait_for(lambda: comes.id not in session.people.book.present_ids())
    app, again = world.service.app, asyncio.Event()
    guild = app.client().get_guild(world.sandbox.guild.id)
    assert guild is not None

    async def away(*_: object) -> None:
        again.set()
        raise StorageUnavailable("away")

    for asked in ("server", "end_consents_before"):
        monkeypatch.setattr(world.service.storage, asked, away)
    await tell_present(app, guild)
    assert session.people.included_ids() == [world.mara.id]
    world.sit(comes, world.theo)  # they are told of one after the other
    await world.sandbox.wait_for(lambda: world.theo.id in session.people.book.present_ids())
    assert again.is_set()
    assert session.people.included_ids() == [world.mara.id]


async def test_voice_messages_are_chosen_for_each_channel(world: World) -> None:
    text = world.sandbox.text.id
    message = await opened(world)
    await choose(world, message, Topic.VOICE, text)
    menu = MENU.format(f"voice:{text}")
    await world.sandbox.wait_for(lambda: menu in message.custom_ids())
    await choose_in(world, message, menu, "react")
    server = await world.service.storage.server(world.sandbox.guild.id)
    assert server.voice_modes == {text: VoiceMode.REACT}
    assert server.voice_mode(world.sandbox.voice_channel.id, None) is VoiceMode.ON_REQUEST
    assert texts.WARN_NO_INTENT in text_of(message)


async def test_the_server_speaks_the_language_that_it_chose(world: World) -> None:
    world.sit(world.owner)
    await world.seen(world.owner)
    await choose(world, await opened(world), Topic.LANGUAGE, "de")
    panel = await world.attest_and_start()
    assert panel.embeds[0]["title"] == of("de").PANEL_TITLE


async def test_a_manager_who_is_one_no_more_changes_nothing(world: World) -> None:
    role = world.sandbox.state.add_role(world.sandbox.guild, "Manager", permissions=int(Permission.MANAGE_GUILD))
    manager = world.sandbox.add_person("Mina", role_ids=(role.id,))
    message = await world.ask(manager, "settings")
    world.sandbox.guild.members[manager.id].role_ids.clear()
    pressed = await world.sandbox.people.choose(manager, message, MENU.format("topic"), [Topic.LANGUAGE.value])
    assert text_of(await world.sandbox.answer(pressed)) == texts.NEEDS_SETTINGS_RIGHT


async def test_it_warns_of_what_is_missing(world: World) -> None:
    await world.attested(
        report_channel_id=world.sandbox.text.id,
        auto_listen_ids=(1234,),
    )
    world.sandbox.deny(world.sandbox.bot, world.sandbox.text, Permission.SEND_MESSAGES)
    await allowed_in(world, world.sandbox.text, lambda allowed: not allowed.send_messages)
    shown = text_of(await opened(world))
    assert texts.WARN_NO_ADDRESS in shown
    assert texts.WARN_NO_OPERATOR in shown
    assert texts("WARN_NO_CHANNEL", channel_id=1234) in shown
    lacks = texts("BOT_LACKS", permissions=texts.permissions(POSTING[1:]), channel_id=world.sandbox.text.id)
    assert lacks in shown


async def test_in_a_thread_it_warns_of_what_counts_there(world: World) -> None:
    thread = world.sandbox.state.add_thread(world.sandbox.text, "Summaries", world.owner)
    await world.attested(report_channel_id=thread.id)
    world.sandbox.deny(world.sandbox.bot, world.sandbox.text, Permission.SEND_MESSAGES)
    await allowed_in(world, world.sandbox.text, lambda allowed: not allowed.send_messages)
    assert texts.permissions(("send_messages",)) not in text_of(await opened(world))
    world.sandbox.deny(world.sandbox.bot, world.sandbox.text, Permission.SEND_MESSAGES_IN_THREADS)
    await allowed_in(world, world.sandbox.text, lambda allowed: not allowed.send_messages_in_threads)
    lacking = ("send_messages_in_threads", "embed_links", "attach_files")
    lacks = texts("BOT_LACKS", permissions=texts.permissions(lacking), channel_id=thread.id)
    assert lacks in text_of(await opened(world))


async def allowed_in(world: World, channel: Channel, is_so: Callable[[discord.Permissions], bool]) -> None:
    """Wait until the bot knows so of its permissions in a channel."""
    guild = world.service.gateway.client.get_guild(world.sandbox.guild.id)
    seen = guild.get_channel(channel.id) if guild is not None else None
    assert guild is not None
    assert seen is not None
    await world.sandbox.wait_for(lambda: is_so(seen.permissions_for(guild.me)))


async def test_many_warnings_do_not_keep_the_menus_away(world: World) -> None:
    gone = {10**18 + number: VoiceMode.REACT for number in range(50)}
    await world.attested(voice_modes=gone, auto_listen_ids=tuple(range(2 * 10**18, 2 * 10**18 + 25)))
    message = await opened(world)
    assert MENU.format("topic") in message.custom_ids()
    assert len(message.embeds[0]["description"]) <= 4096
    assert "more" in text_of(message).splitlines()[-1]


async def ended(world: World, *, left: bool = False) -> None:
    """A session with Mara in it, over; `left`: she spoke, and pressed *Leave me out* after it."""
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    await world.ask(world.owner, "listen start")
    await world.press(world.mara, await world.panel(), INCLUDE_ID)
    world.voice.link.hear(world.mara.id, tone_burst())
    if left:
        await world.sandbox.wait_for(lambda: world.running().counters()["predictions"])
        await world.press(world.mara, await world.panel(), EXCLUDE_ID)
    await world.ask(world.owner, "listen stop")
    await world.over()


async def test_the_summary_goes_to_the_report_channel(world: World) -> None:
    reports = world.sandbox.state.add_channel(world.sandbox.guild, "reports")
    await world.attested(report_channel_id=reports.id, summary_place=SummaryPlace.REPORT_CHANNEL)
    await ended(world)
    titles = [m.embeds[0].get("title") for m in world.sandbox.messages(reports) if m.embeds]
    assert titles == [texts.SUMMARY_TITLE]


async def test_the_summary_goes_to_a_thread_of_a_channel_in_which_nobody_writes(world: World) -> None:
    board = world.sandbox.state.add_channel(world.sandbox.guild, "board")
    thread = world.sandbox.state.add_thread(board, "Summaries", world.owner)
    world.sandbox.deny(world.sandbox.bot, board, Permission.SEND_MESSAGES)
    await world.attested(report_channel_id=thread.id, summary_place=SummaryPlace.REPORT_CHANNEL)
    await ended(world)
    titles = [m.embeds[0].get("title") for m in world.sandbox.messages(thread) if m.embeds]
    assert titles == [texts.SUMMARY_TITLE]


async def test_the_summary_is_for_those_who_took_part(world: World) -> None:
    await world.attested(summary_place=SummaryPlace.PARTICIPANTS)
    await ended(world)
    closed = await world.embed(texts.SUMMARY_TITLE)
    assert texts.SUMMARY_FOR_PARTICIPANTS in text_of(closed)
    assert f"<@{world.mara.id}>" not in text_of(closed)
    (button,) = closed.custom_ids()
    opened = await world.press(world.mara, closed, button)
    assert f"<@{world.mara.id}>" in text_of(opened)
    assert opened.visible_to == world.mara.id
    assert text_of(await world.press(world.theo, closed, button)) == texts.NO_REPORT


async def test_who_left_it_stands_in_no_summary_that_is_opened_or_asked_for(world: World) -> None:
    await world.attested(summary_place=SummaryPlace.PARTICIPANTS)
    await ended(world, left=True)
    closed = await world.embed(texts.SUMMARY_TITLE)
    (button,) = closed.custom_ids()
    for shown in (await world.press(world.owner, closed, button), await world.ask(world.owner, "report last")):
        assert shown.embeds[0]["title"] == texts.SUMMARY_TITLE
        assert f"<@{world.mara.id}>" not in text_of(shown)


async def test_what_is_chosen_during_a_session_holds_in_it(world: World) -> None:
    reader = world.sandbox.state.add_role(world.sandbox.guild, "Reader")
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    panel = await world.attest_and_start()
    await world.press(world.mara, panel, INCLUDE_ID)
    world.voice.link.hear(world.mara.id, tone_burst())
    message = await opened(world)
    await choose(world, message, Topic.LIVE, "off")
    await choose(world, message, Topic.VIEWER_ROLE, reader.id)
    await choose(world, message, Topic.SUMMARY, SummaryPlace.PARTICIPANTS)
    heard, readers = texts("PERSON_HEARD", who=f"<@{world.mara.id}>"), texts("PANEL_READERS", role_id=reader.id)
    await world.sandbox.wait_for(lambda: heard in text_of(panel) and readers in text_of(panel))
    await choose(world, message, Topic.LANGUAGE, "de")
    german = of("de")
    await world.sandbox.wait_for(lambda: german.PANEL_TITLE in text_of(panel))
    assert german.BTN_INCLUDE in [button["label"] for row in panel.components for button in row["components"]]
    await world.ask(world.owner, "listen stop")
    await world.over()
    assert german.SUMMARY_FOR_PARTICIPANTS in text_of(await world.embed(german.SUMMARY_TITLE))


async def test_the_panel_shows_no_emotions_where_the_server_wants_none(world: World) -> None:
    await world.attested(live_emotions=False)
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    await world.ask(world.owner, "listen start")
    panel = await world.panel()
    await world.press(world.mara, panel, INCLUDE_ID)
    included = texts("PERSON_HEARD", who=f"<@{world.mara.id}>")
    await world.sandbox.wait_for(lambda: included in text_of(panel))

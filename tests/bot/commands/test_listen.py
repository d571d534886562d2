"""`/listen` and the panel's buttons, as people use them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import discord
import pytest

from bot.commands import listen
from bot.commands.attest import ATTEST_ID
from bot.commands.panel_view import EXCLUDE_ID, INCLUDE_ID, MARK_ID, STOP_ID
from bot.errors import NotPossible
from bot.texts import english as texts
from bot.voice.errors import CannotJoin
from bot.voice.states import LinkState, Reason
from sandbox.models import ChannelType
from storage.errors import StorageUnavailable
from storage.records import Purpose
from tests.fakes.log import written
from tests.fakes.voice_link import tone_burst
from tests.fakes.world import World, text_of

pytestmark = pytest.mark.integration


async def test_nobody_can_start_from_outside_a_voice_channel(world: World) -> None:
    await world.attested()
    assert text_of(await world.ask(world.owner, "listen start")) == texts.NOT_IN_VOICE


async def test_the_first_start_needs_manage_server_and_the_statement(world: World) -> None:
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    assert text_of(await world.ask(world.mara, "listen start")) == texts.NEEDS_MANAGE_SERVER
    panel = await world.attest_and_start()
    assert panel.embeds[0]["title"] == texts.PANEL_TITLE
    server = await world.service.storage.server(world.sandbox.guild.id)
    assert server.attested_at is not None


async def test_later_starts_need_the_chosen_role(world: World) -> None:
    role = world.sandbox.state.add_role(world.sandbox.guild, "Listener", permissions=0)
    theo = world.sandbox.add_person("Theodora", role_ids=(role.id,))
    await world.attested(listen_role_ids=(role.id,))
    world.sit(theo, world.mara)
    await world.seen(theo, world.mara)
    assert f"<@&{role.id}>" in text_of(await world.ask(world.mara, "listen start"))
    await world.ask(theo, "listen start")
    assert world.service.sessions.of(world.sandbox.guild.id) is not None


async def test_a_channel_can_be_named_by_whoever_may_join_it(world: World) -> None:
    await world.attested()
    await world.ask(world.owner, "listen start", {"channel": world.sandbox.voice_channel})
    session = world.service.sessions.of(world.sandbox.guild.id)
    assert session is not None
    assert session.record.channel_id == world.sandbox.voice_channel.id


async def test_the_statement_names_all_of_it_and_starts_where_it_was_asked(world: World) -> None:
    question = await world.ask(world.owner, "listen start", {"channel": world.sandbox.voice_channel})
    for part in ("not a workplace, school or exam", "16 or older", "who runs this bot", texts.OPERATOR_UNNAMED):
        assert part in question.content
    await world.press(world.owner, question, f"{ATTEST_ID}:{world.sandbox.voice_channel.id}")
    assert world.service.sessions.of(world.sandbox.guild.id) is not None


async def test_a_role_that_may_not_be_heard_is_not_included(world: World) -> None:
    role = world.sandbox.state.add_role(world.sandbox.guild, "Guests", permissions=0)
    guest = world.sandbox.add_person("Gast", role_ids=(role.id,))
    await world.attested(unheard_role_ids=(role.id,))
    world.sit(world.owner, guest)
    await world.seen(world.owner, guest)
    await world.ask(world.owner, "listen start")
    panel = await world.panel()
    assert text_of(await world.press(guest, panel, INCLUDE_ID)) == texts.ROLE_UNHEARD
    session = world.service.sessions.of(world.sandbox.guild.id)
    assert session is not None
    assert not session.consents(guest.id)
    world.sandbox.guild.members[world.owner.id].role_ids.append(role.id)  # in the call, where Discord tells nobody
    assert text_of(await world.ask(world.owner, "privacy opt-in")) == texts.ROLE_UNHEARD
    assert not session.consents(world.owner.id)
    storage, server = world.service.storage, world.sandbox.guild.id
    assert await storage.standing_consent(server, world.owner.id, Purpose.VOICE) is None, "refused as a whole"
    assert text_of(await world.ask(world.owner, "privacy opt-in", {"what": "voice"})) == texts.SET_OPT_IN_VOICE


async def test_a_channel_that_is_gone_is_said_in_words(world: World) -> None:
    await world.attested()
    voice = world.sandbox.state.add_channel(world.sandbox.guild, "Attic", ChannelType.VOICE)
    await world.sandbox.wait_for(lambda: world.service.gateway.client.get_channel(voice.id))
    guild = world.service.gateway.client.get_guild(world.sandbox.guild.id)
    assert guild is not None
    guild._channels.pop(voice.id)  # as if it had just been deleted
    with written("info") as log:
        answer = await world.ask(world.owner, "listen start", {"channel": voice})
    assert text_of(answer) == texts.OPTION_GONE
    assert "option_gone" in log.getvalue()
    assert "Traceback" not in log.getvalue()


async def test_listening_starts_by_itself_with_the_second_person(world: World) -> None:
    await world.attested(auto_listen_ids=(world.sandbox.voice_channel.id,))
    world.sit(world.mara)
    await world.seen(world.mara)
    assert world.service.sessions.of(world.sandbox.guild.id) is None
    world.sit(world.theo)
    session = await world.sandbox.wait_for(lambda: world.service.sessions.of(world.sandbox.guild.id))
    assert not session.consents(world.mara.id)
    assert not session.consents(world.theo.id)


async def test_listening_starts_by_itself_with_three_who_come_at_once(world: World) -> None:
    """And it stays stopped until they have gone, whoever else comes."""
    await world.attested(auto_listen_ids=(world.sandbox.voice_channel.id,))
    world.sit(world.owner, world.mara, world.theo)
    await world.sandbox.wait_for(lambda: world.service.sessions.of(world.sandbox.guild.id))
    await world.panel()
    await world.ask(world.owner, "listen stop")
    await world.over()
    late = world.sandbox.add_person("Late")
    world.sit(late)
    await world.seen(late)
    for user in (world.owner, world.mara, late):
        world.sandbox.disconnect(user)
    channel = world.service.gateway.client.get_channel(world.sandbox.voice_channel.id)
    assert isinstance(channel, discord.VoiceChannel)
    await world.sandbox.wait_for(lambda: list(channel.voice_states) == [world.theo.id])
    world.sit(world.mara)
    await world.sandbox.wait_for(lambda: world.service.sessions.of(world.sandbox.guild.id))
    assert len(await world.service.storage.sessions()) == 2


async def test_who_wants_to_start_while_a_session_ends_is_told_so(world: World) -> None:
    world.sit(world.owner)
    await world.seen(world.owner)
    await world.attest_and_start()
    taken = asyncio.Event()
    slow = world.sandbox.faults.rest(0, method="POST", path=r"^/channels/\d+/messages$", held=taken)
    await world.sandbox.command(world.owner, world.sandbox.text, "listen stop")
    await world.sandbox.wait_for(lambda: slow.hits)  # the summary
    there = texts("STILL_ENDING", channel_id=world.sandbox.voice_channel.id)
    assert text_of(await world.ask(world.owner, "listen start")) == there
    taken.set()
    await world.over()


async def test_include_speak_leave_stop_and_the_summary(world: World) -> None:
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    panel = await world.attest_and_start()
    assert text_of(await world.press(world.mara, panel, INCLUDE_ID)) == texts.INCLUDED
    assert text_of(await world.press(world.mara, panel, INCLUDE_ID)) == texts.ALREADY_INCLUDED
    world.voice.link.hear(world.mara.id, tone_burst())
    world.voice.link.hear(world.owner.id, tone_burst())
    session = world.service.sessions.of(world.sandbox.guild.id)
    assert session is not None
    await world.sandbox.wait_for(lambda: session.counters()["predictions"] == 1)
    assert "Marked at" in text_of(await world.press(world.mara, panel, MARK_ID))
    assert text_of(await world.press(world.mara, panel, EXCLUDE_ID)) == texts.EXCLUDED
    assert text_of(await world.press(world.mara, panel, INCLUDE_ID)) == texts.INCLUDED
    assert text_of(await world.press(world.mara, panel, STOP_ID)) == texts.MAY_NOT_STOP
    assert text_of(await world.press(world.owner, panel, STOP_ID)) == texts.STOPPING_SESSION
    summary = await world.embed(texts.SUMMARY_TITLE)
    assert f"<@{world.mara.id}> spoke" in text_of(summary)
    assert f"<@{world.owner.id}>" not in text_of(summary)
    assert [file.filename for file in summary.attachments] == ["summary.png"]
    assert panel.custom_ids() == []


async def test_status_tells_what_was_heard_and_what_was_not(world: World) -> None:
    world.sit(world.owner)
    await world.seen(world.owner)
    assert text_of(await world.ask(world.owner, "listen status")) == texts.NOTHING_RUNS
    await world.attest_and_start()
    world.voice.link.hear(world.owner.id, tone_burst())
    answer = text_of(await world.ask(world.owner, "listen status"))
    assert texts("LOSS", why=texts.LOSSES["dropped_excluded"], n=75) in answer
    assert texts.together([texts("STATUS_INCLUDED", n=0), texts("STATUS_EXCLUDED", n=1)]) in answer


async def test_stop_is_for_the_starter_and_those_who_may_start(world: World) -> None:
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    await world.attest_and_start()
    assert text_of(await world.ask(world.mara, "listen stop")) == texts.MAY_NOT_STOP
    assert text_of(await world.ask(world.owner, "listen stop")) == texts.STOPPING_SESSION
    await world.over()


async def test_somebody_outside_the_channel_cannot_include_themselves(world: World) -> None:
    world.sit(world.owner)
    await world.seen(world.owner)
    panel = await world.attest_and_start()
    assert text_of(await world.press(world.mara, panel, INCLUDE_ID)) == texts.NOT_IN_THIS_VOICE


async def test_an_old_panels_buttons_say_that_it_is_over(world: World) -> None:
    world.sit(world.owner)
    await world.seen(world.owner)
    panel = await world.attest_and_start()
    old = [dict(row) for row in panel.components]
    await world.ask(world.owner, "listen stop")
    await world.over()
    panel.components = old  # a client that has not seen the edit yet
    assert text_of(await world.press(world.owner, panel, INCLUDE_ID)) == texts.STALE_PANEL
    await world.ask(world.owner, "listen start")
    assert text_of(await world.press(world.owner, panel, INCLUDE_ID)) == texts.OLD_PANEL


async def test_the_panel_says_what_the_connection_does(world: World) -> None:
    world.sit(world.owner)
    await world.seen(world.owner)
    panel = await world.attest_and_start()
    world.voice.link.on_state(LinkState.CANNOT_DECRYPT, Reason.UNDECRYPTABLE)
    await world.sandbox.wait_for(lambda: "try another region" in text_of(panel))


async def test_the_last_one_leaving_and_a_deleted_channel_end_it(world: World) -> None:
    world.sit(world.owner)
    await world.seen(world.owner)
    await world.attest_and_start()
    world.sandbox.state.delete_channel(world.sandbox.voice_channel)
    await world.over()
    summary = await world.embed(texts.SUMMARY_TITLE)
    assert summary.channel_id == world.sandbox.text.id, "where the command was typed"
    assert texts.END_REASONS["channel_deleted"] in text_of(summary)


async def test_a_killed_process_leaves_a_session_that_the_next_start_closes(world: World) -> None:
    world.sit(world.owner)
    await world.seen(world.owner)
    await world.attest_and_start()
    session = world.service.sessions.of(world.sandbox.guild.id)
    assert session is not None
    closed = await world.service.storage.interrupt_live_sessions()  # what a start does first
    assert [(record.id, record.state.value) for record in closed] == [(session.record.id, "interrupted")]


async def test_who_starts_one_session_too_many_in_a_minute_is_told_so(world: World) -> None:
    world.voice.fail_with = CannotJoin(Reason.RATE_LIMITED)
    await world.attested()
    world.sit(world.owner)
    await world.seen(world.owner)
    answer = await world.ask(world.owner, "listen start")
    assert text_of(answer).strip() == texts.JOIN_FAILURES["rate_limited"]


async def test_a_full_channel_is_told_before_joining(world: World) -> None:
    world.sandbox.voice_channel.user_limit = 2
    world.sandbox.state.update_channel(world.sandbox.voice_channel)
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    await world.attested()
    answer = await world.ask(world.owner, "listen start")
    assert texts.JOIN_FAILURES["channel_full"] in answer.content
    assert not world.voice.links


async def test_a_call_is_checked_for_whoever_may_start_and_nobody_else_is_heard(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Callable[[int], bool]] = []

    async def check(channel: Any, *, consent: Callable[[int], bool], seconds: float) -> str:
        asked.append(consent)
        with pytest.raises(NotPossible), world.service.sessions.reserved(world.sandbox.guild.id, channel.id):
            pass
        return "what was met"

    monkeypatch.setattr(listen, "check_call", check)
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    await world.attested()
    refused = await world.ask(world.mara, "listen check")
    assert not asked
    assert refused.content
    await world.sandbox.command(world.owner, world.sandbox.text, "listen check")
    answer = await world.sandbox.wait_for(
        lambda: next((m for m in reversed(world.sandbox.messages(world.sandbox.text)) if m.attachments), None)
    )
    assert answer.visible_to == world.owner.id
    assert answer.attachments[0].content == b"what was met"
    (consent,) = asked
    assert (consent(world.owner.id), consent(world.mara.id)) == (True, False)


async def test_a_start_that_is_stopped_before_the_bot_is_in_says_that_it_ended(world: World) -> None:
    await world.attested()
    world.sit(world.owner)
    await world.seen(world.owner)
    world.voice.may_join.clear()
    starting = asyncio.create_task(world.ask(world.owner, "listen start"), name="starts")
    await world.voice.joining.wait()
    panel = await world.panel()
    stopping = asyncio.create_task(world.press(world.owner, panel, STOP_ID), name="stops")
    await world.sandbox.wait_for(lambda: world.running().ending)
    world.voice.may_join.set()
    assert texts.END_REASONS["stopped"] in text_of(await starting)
    assert text_of(await stopping) == texts.STOPPING_SESSION


@pytest.mark.parametrize("by", ["button", "command"])
async def test_it_is_stopped_while_the_database_is_away(world: World, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    """Who may stop is known to the session, and nobody has to be heard on until the database is back."""
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    panel = await world.attest_and_start()

    async def away(*_: object, **__: object) -> None:
        raise StorageUnavailable("away")

    with monkeypatch.context() as meanwhile:
        for step in ("server", "end_session", "edition"):
            meanwhile.setattr(world.service.storage, step, away)
        assert text_of(await world.press(world.mara, panel, STOP_ID)) == texts.MAY_NOT_STOP
        stop = world.press(world.owner, panel, STOP_ID) if by == "button" else world.ask(world.owner, "listen stop")
        assert text_of(await stop) == texts.STOPPING_SESSION
        await world.over()
    assert texts.END_REASONS["stopped"] in text_of(panel)

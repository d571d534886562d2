"""What the panel says while Discord does its worst, through the whole service: never deaf in silence.

Recognition is a fake; Discord is the loopback one; voice, session, panel, database and summary are the real ones.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import davey
import pytest

from bot.listening import limits, panel
from bot.texts import english as texts
from bot.voice import connection, supervisor
from bot.voice.hold import STREAM_PACKETS
from sandbox import Sandbox
from sandbox.permissions import Permission
from storage.records import SessionState
from tests.fakes.conversation import Conversation, conversation
from tests.fakes.settings import keep_addresses
from tests.fakes.world import text_of

pytestmark = pytest.mark.integration

BACK_WITHIN_S = 5.0
RECONNECTING = texts.LINK_STATES["reconnecting"]
CANNOT_DECRYPT = texts.LINK_STATES["cannot_decrypt"]


@pytest.fixture(autouse=True)
def quick_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every state is shown, however short; otherwise the panel is edited once in 5 s, as Discord likes it."""
    monkeypatch.setattr(panel, "EDIT_GAP_S", 0.05)


@pytest.fixture
async def talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Conversation]:
    keep_addresses(monkeypatch)
    async with (
        Sandbox(rate_limits=False) as sandbox,
        conversation(sandbox, tmp_path) as talk,
    ):
        yield talk


# -- cuts --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1006, 4015])
async def test_a_cut_that_is_resumed_costs_no_frame_and_no_word(
    talk: Conversation, code: int, speech: list[bytes]
) -> None:
    talking = asyncio.create_task(talk.hears(speech[:100]), name="anna talks")
    await talk.until(lambda: talk.link.counters.frames > 5)
    await talk.sandbox.voice.close(talk.sandbox.bot.id, code)
    await talking
    await talk.until(lambda: talk.session.counters()["resumes"] == 1)
    assert not talk.was_shown(RECONNECTING)
    assert not talk.session.ending


async def test_a_change_of_the_region_ends_nobodys_session(talk: Conversation, speech: list[bytes]) -> None:
    await talk.hears(speech[:10])
    changing = asyncio.create_task(talk.sandbox.end_call(region_changed=True, word_after_s=0.5), name="region")
    await talk.showed(RECONNECTING)
    await talk.back()
    await changing
    await talk.settled()
    await talk.hears(speech[10:30])
    await talk.shows_no_more(RECONNECTING)
    assert not talk.session.ending


async def test_taken_out_of_the_call_by_4022_the_session_ends_as_such(talk: Conversation) -> None:
    await talk.sandbox.end_call(region_changed=False)
    record = await talk.over()
    assert record.end_reason == "kicked"


async def test_somebody_who_cannot_be_placed_is_shown(talk: Conversation, speech: list[bytes]) -> None:
    talk.faults.speaking_withheld = True
    stranger = talk.sandbox.add_person("Ben")
    async with talk.sandbox.speaker(stranger) as ben:
        await ben.join(talk.sandbox.voice_channel.id)
        talking = asyncio.create_task(ben.say_packets(itertools.cycle(speech)), name="ben talks")
        await talk.shows(texts.LINK_REASONS["unplaced"])
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
    assert not talk.session.ending


@pytest.mark.parametrize("code", [1000, 4006, 4009])
async def test_after_a_cut_the_panel_says_reconnecting_until_every_frame_is_heard_again(
    talk: Conversation, code: int, speech: list[bytes]
) -> None:
    await talk.hears(speech[:10])
    talk.faults.refuse_connections = 1  # so that it lasts a second
    closing = asyncio.create_task(talk.sandbox.voice.close(talk.sandbox.bot.id, code), name="close")
    await talk.showed(RECONNECTING)
    assert await talk.back() < BACK_WITHIN_S
    await closing
    await talk.shows_no_more(RECONNECTING)
    await talk.settled()
    await talk.hears(speech[10:40])
    assert not talk.session.ending
    assert talk.session.counters()["reconnects"] == 1


@pytest.mark.parametrize(
    ("code", "reason", "state"),
    [
        (4014, "kicked", SessionState.ENDED),
        (4022, "kicked", SessionState.ENDED),
        (4017, "voice_refused", SessionState.INTERRUPTED),
    ],
)
async def test_an_end_that_is_final_is_said_and_leaves_a_summary(
    talk: Conversation,
    code: int,
    reason: str,
    state: SessionState,
    speech: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "FOLLOW_WAIT_S", 0.3)
    await talk.hears(speech[:10])
    await talk.sandbox.voice.close(talk.sandbox.bot.id, code)
    record = await talk.over()
    assert (record.state, record.end_reason) == (state, reason)
    await talk.shows(texts.END_REASONS[reason])
    assert await talk.world.embed(texts.SUMMARY_TITLE)
    assert talk.sandbox.voice.connection(talk.sandbox.bot.id) is None


async def test_three_tries_in_vain_end_the_session_as_interrupted_with_a_report(
    talk: Conversation, speech: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "TRIES_S", (0.0, 0.2, 0.4))
    await talk.hears(speech[:10])
    talk.faults.refuse_connections = 99
    await talk.sandbox.voice.close(talk.sandbox.bot.id, 4009)
    await talk.showed(RECONNECTING)
    record = await talk.over()
    assert (record.state, record.end_reason) == (SessionState.INTERRUPTED, "voice_failed")
    assert talk.faults.refuse_connections == 99 - 3
    await talk.shows(texts.END_REASONS["voice_failed"])
    summary = await talk.world.embed(texts.SUMMARY_TITLE)
    assert texts.END_REASONS["voice_failed"] in text_of(summary)
    assert await talk.service.storage.report(record.id) is not None


async def test_another_voice_server_is_said_and_followed(talk: Conversation, speech: list[bytes]) -> None:
    await talk.hears(speech[:10])
    moving = asyncio.create_task(talk.sandbox.move_voice_server(), name="move")
    assert await talk.back() < BACK_WITHIN_S
    await moving
    await talk.settled()
    await talk.hears(speech[10:30])
    await talk.shows_no_more(RECONNECTING)


async def test_a_call_that_cannot_be_decrypted_is_said_with_what_to_do(
    talk: Conversation, speech: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "TRIES_S", (0.0, 0.5))
    await talk.hears(speech[:10])
    connection = talk.link._client.connection
    # The group is lost, and nobody said so.
    connection.dave_session = davey.DaveSession(1, talk.sandbox.bot.id, talk.link.channel_id)
    talking = asyncio.create_task(talk.anna.say_packets(itertools.cycle(speech)), name="anna talks")
    await talk.until(lambda: talk.was_shown("try another region"))
    assert talk.was_shown(CANNOT_DECRYPT)
    assert await talk.back() < BACK_WITHIN_S
    talk.anna.mute()
    await talking
    await talk.settled()
    await talk.hears(speech[:20])
    await talk.shows_no_more(CANNOT_DECRYPT)


# -- the main gateway and REST -----------------------------------------------------------------------------------------


async def test_a_gateway_that_resumes_costs_no_frame_and_no_word(talk: Conversation, speech: list[bytes]) -> None:
    talking = asyncio.create_task(talk.hears(speech[:100]), name="anna talks")
    await talk.until(lambda: talk.link.counters.frames > 5)
    talk.sandbox.gateway.cut()
    await talking
    assert not talk.was_shown(RECONNECTING)
    assert not talk.session.ending


async def test_a_gateway_that_hangs_up_before_hello_costs_no_frame(talk: Conversation, speech: list[bytes]) -> None:
    client = talk.service.gateway.client
    talk.sandbox.faults.refuse_gateway(1)
    talk.sandbox.faults.cut_gateway_before_hello(1)
    talking = asyncio.create_task(talk.hears(speech), name="anna talks")
    talk.sandbox.gateway.cut()
    await talking
    await talk.until(lambda: client.cuts_survived >= 1 and talk.sandbox.gateway.connected)
    await talk.hears(speech[:20])
    assert talk.service.gateway.client is client
    assert not talk.session.ending


async def test_after_an_invalid_session_the_same_conversation_goes_on(talk: Conversation, speech: list[bytes]) -> None:
    await talk.hears(speech[:10])
    up_before = talk.link.counters.reconnects
    talk.sandbox.gateway.invalidate()
    await talk.until(lambda: talk.link.counters.reconnects > up_before and talk.link.is_connected())
    await talk.settled()
    await talk.hears(speech[10:40])
    assert not talk.session.ending
    await talk.shows_no_more(RECONNECTING)


async def test_a_client_that_is_replaced_ends_the_session_as_interrupted_and_says_so_later(
    talk: Conversation, speech: list[bytes]
) -> None:
    await talk.hears(speech[:10])
    await talk.service.gateway.client.close()
    record = await talk.over()
    assert (record.state, record.end_reason) == (SessionState.INTERRUPTED, "connection_lost")
    await talk.shows(texts.END_REASONS["connection_lost"])
    assert await talk.world.embed(texts.SUMMARY_TITLE)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_rest_interface_that_refuses_costs_no_frame_and_the_panel_comes_right(
    talk: Conversation, status: int, speech: list[bytes]
) -> None:
    refused = talk.sandbox.faults.rest(status, path="/channels/", times=2, retry_after_s=0.3)
    talk.sandbox.silence(talk.sandbox.bot, deaf=True)
    talk.sandbox.silence(talk.sandbox.bot, deaf=False)
    talking = asyncio.create_task(talk.hears(speech[:60]), name="anna talks")
    await talk.until(lambda: refused.hits == 2)
    await talking
    await talk.shows_no_more(texts.SERVER_DEAFENED)
    assert not talk.session.ending


@pytest.mark.parametrize("status", [429, 500])
async def test_a_rest_interface_that_refuses_at_the_end_delays_the_summary_and_does_not_lose_it(
    talk: Conversation, status: int, speech: list[bytes]
) -> None:
    await talk.hears(speech[:10])
    refused = talk.sandbox.faults.rest(status, method="PATCH|POST", path="/messages", times=3, retry_after_s=1.2)
    await talk.service.sessions.stop(talk.sandbox.guild.id)
    assert refused.hits == 3
    assert texts.END_REASONS["stopped"] in text_of(talk.panel)
    assert talk.panel.custom_ids() == []
    assert texts.END_REASONS["stopped"] in text_of(await talk.world.embed(texts.SUMMARY_TITLE))


# -- what people and moderators do ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [False, True])
async def test_moved_to_another_channel_it_leaves_and_says_why(
    talk: Conversation, cut: bool, speech: list[bytes]
) -> None:
    """Nobody has agreed there; also when it is dragged away while it reconnects."""
    await talk.hears(speech[:10])
    elsewhere = talk.sandbox.add_voice_channel("Elsewhere")
    if cut:
        talk.faults.refuse_connections = 2
        await talk.sandbox.voice.close(talk.sandbox.bot.id, 4009)
        await talk.showed(RECONNECTING)
    talk.sandbox.move(talk.sandbox.bot, elsewhere)
    record = await talk.over()
    assert (record.state, record.end_reason) == (SessionState.ENDED, "moved")
    await talk.shows(texts.END_REASONS["moved"])
    await talk.until(lambda: talk.sandbox.state.voice_state(talk.sandbox.guild.id, talk.sandbox.bot.id) is None)


@pytest.mark.parametrize("cut", [False, True])
async def test_kicked_from_the_channel_it_stays_out_and_says_so(
    talk: Conversation, cut: bool, speech: list[bytes]
) -> None:
    await talk.hears(speech[:10])
    if cut:
        talk.faults.refuse_connections = 1
        await talk.sandbox.voice.close(talk.sandbox.bot.id, 4009)
        await talk.showed(RECONNECTING)
    talk.sandbox.disconnect(talk.sandbox.bot)
    record = await talk.over()
    assert (record.state, record.end_reason) == (SessionState.ENDED, "kicked")
    await talk.shows(texts.END_REASONS["kicked"])
    assert await talk.stays_out()


async def test_deafened_by_a_moderator_it_says_that_it_hears_nothing(talk: Conversation, speech: list[bytes]) -> None:
    talk.sandbox.silence(talk.sandbox.bot, deaf=True)
    await talk.shows(texts.SERVER_DEAFENED)
    await talk.anna.say_packets(speech[:10])
    assert talk.opus[talk.user.id] == []
    talk.sandbox.silence(talk.sandbox.bot, deaf=False)
    await talk.shows_no_more(texts.SERVER_DEAFENED)
    await talk.hears(speech[:10])


async def test_a_deleted_channel_ends_it_in_words(talk: Conversation) -> None:
    talk.sandbox.state.delete_channel(talk.sandbox.voice_channel)
    record = await talk.over()
    assert (record.state, record.end_reason) == (SessionState.ENDED, "channel_deleted")
    summary = await talk.world.embed(texts.SUMMARY_TITLE)  # the panel went with the channel's chat
    assert texts.END_REASONS["channel_deleted"] in text_of(summary)


async def test_permissions_that_are_taken_end_it_in_words(talk: Conversation) -> None:
    talk.sandbox.deny(talk.sandbox.bot, talk.sandbox.voice_channel, Permission.CONNECT)
    record = await talk.over()
    assert (record.state, record.end_reason) == (SessionState.ENDED, "permissions")
    await talk.shows(texts.END_REASONS["permissions"])
    await talk.until(lambda: talk.sandbox.voice.connection(talk.sandbox.bot.id) is None)


async def test_the_last_one_gone_is_said_and_it_leaves_after_its_time(
    talk: Conversation, speech: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert limits.ALONE_S == 60.0
    monkeypatch.setattr(limits, "ALONE_S", 2.0)
    monkeypatch.setattr(limits, "LOOK_EVERY_S", 0.05)
    await talk.hears(speech[:10])
    talk.sandbox.state.leave_voice(talk.sandbox.guild.id, talk.world.owner.id)
    await talk.anna.leave()
    await talk.showed(texts.PANEL_ALONE)
    record = await talk.over()
    assert (record.state, record.end_reason) == (SessionState.ENDED, "everyone_left")
    await talk.shows(texts.END_REASONS["everyone_left"])
    assert talk.sandbox.voice.connection(talk.sandbox.bot.id) is None


class TestTimeLimit:
    @pytest.fixture
    async def talk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Conversation]:
        keep_addresses(monkeypatch)
        async with Sandbox(rate_limits=False) as sandbox, conversation(sandbox, tmp_path, max_session_h=1.0) as talk:
            yield talk

    async def test_the_longest_time_ends_it_in_words(self, talk: Conversation) -> None:
        talk.session.limits._began_s -= 3_600.0  # an hour ago
        record = await talk.over()
        assert (record.state, record.end_reason) == (SessionState.ENDED, "time_limit")
        await talk.shows(texts.END_REASONS["time_limit"])
        assert await talk.world.embed(texts.SUMMARY_TITLE)


async def test_a_machine_too_busy_for_three_seconds_loses_what_does_not_fit_and_says_so(
    talk: Conversation, speech: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Datagrams are taken in, and nothing is worked on: another program has the processor."""
    receiver, heard = talk.link.receiver, talk.opus[talk.user.id]
    await talk.hears(speech[:5])
    came, before = receiver.counters.datagrams, len(heard)
    with monkeypatch.context() as busy:
        busy.setattr(receiver, "drain", lambda budget_s=0.0: False)
        spoken = await talk.anna.say_packets(speech[: STREAM_PACKETS - 1], silence_frames=0)
        await talk.until(lambda: receiver.counters.datagrams == came + len(spoken))
    await talk.until(lambda: len(heard) == before + len(spoken))
    assert heard[before:] == [frame.opus for frame in spoken]  # all that fits
    assert receiver.counters.dropped_overflow == 0
    assert not talk.was_shown(texts.LINK_REASONS["overloaded"])
    with monkeypatch.context() as busy:
        busy.setattr(receiver, "drain", lambda budget_s=0.0: False)
        await talk.anna.say_packets([*speech, *speech[:20]], silence_frames=0)
        await talk.until(lambda: receiver.counters.dropped_overflow == len(speech) + 20 - STREAM_PACKETS)
    await talk.shows(texts.LINK_REASONS["overloaded"])
    assert talk.session.counters()["dropped_overflow"] == len(speech) + 20 - STREAM_PACKETS

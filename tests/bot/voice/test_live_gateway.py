"""What Discord's servers do to a connection, live: back within five seconds, or an end that is said in words."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import davey
import discord
import pytest

from bot.sandbox.voice import Op, Speaker, VoiceSettings
from bot.voice import CannotJoin, LinkState, Reason, connect, supervisor
from tests.fakes.call import Call
from tests.fakes.plain_bot import PlainBot, logged_in

pytestmark = pytest.mark.integration

BACK_WITHIN_S = 5.0


async def hears_exactly(call: Call, speaker: Speaker, packets: list[bytes]) -> None:
    """From here on, every frame."""
    heard = len(call.opus[speaker.user_id])
    spoken = await call.hears(speaker, packets)
    assert call.opus[speaker.user_id][heard:] == [frame.opus for frame in spoken]


@pytest.mark.parametrize("code", [1006, 4006, 4009, 4015])
async def test_after_a_cut_it_is_back_at_once_and_says_so(call: Call, code: int, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    await hears_exactly(call, anna, speech[:10])
    closing = asyncio.create_task(call.voice.close(call.bot_id, code), name="close")
    assert await call.back() < BACK_WITHIN_S
    await closing
    await call.settled()
    await hears_exactly(call, anna, speech[10:40])
    assert call.told(LinkState.RECONNECTING) == [Reason.CONNECTION_LOST]
    assert call.states[-1] == (LinkState.LISTENING, Reason.REJOINED)


async def test_six_cuts_one_after_the_other_are_survived(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    for _ in range(6):
        closing = asyncio.create_task(call.voice.close(call.bot_id, 1006), name="close")
        assert await call.back() < BACK_WITHIN_S
        await closing
    await call.settled()
    await hears_exactly(call, anna, speech[:20])
    assert call.counters.reconnects == 6


@pytest.mark.parametrize("code", [4014, 4022])
async def test_an_ended_call_is_not_joined_again(call: Call, code: int) -> None:
    await call.together("Anna")
    await call.voice.close(call.bot_id, code)
    assert await call.failed() is Reason.CALL_ENDED
    await asyncio.sleep(0.3)
    assert call.voice.connection(call.bot_id) is None
    assert call.counters.reconnects == 0
    assert call.sandbox.state.voice_state(call.sandbox.guild.id, call.bot_id) is None


async def test_a_refusal_for_want_of_encryption_ends_the_link_without_further_tries(call: Call) -> None:
    await call.together("Anna")
    call.faults.refuse_connections, call.faults.refuse_code = 9, 4017
    await call.voice.close(call.bot_id, 4017)
    assert await call.failed() is Reason.DAVE_REFUSED
    assert call.faults.refuse_connections >= 8


async def test_three_tries_and_then_it_says_that_it_gave_up(call: Call) -> None:
    await call.together("Anna")
    call.faults.refuse_connections, call.faults.refuse_code = 99, 4006
    await call.voice.close(call.bot_id, 1006)
    assert await call.failed() is Reason.GAVE_UP
    assert call.faults.refuse_connections == 99 - 3
    assert call.counters.reconnects_failed == 3
    assert call.told(LinkState.RECONNECTING) == [Reason.CONNECTION_LOST]


async def test_a_try_that_is_refused_is_followed_by_one_that_works(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    call.faults.refuse_connections = 1
    closing = asyncio.create_task(call.voice.close(call.bot_id, 4009), name="close")
    assert await call.back() < BACK_WITHIN_S
    await closing
    await call.settled()
    await hears_exactly(call, anna, speech[:20])


async def test_joining_itself_has_three_tries_and_fails_in_words(call: Call, speech: list[bytes]) -> None:
    anna = await call.person("Anna")
    call.faults.refuse_connections = 1
    await call.listen()
    await call.settled()
    await hears_exactly(call, anna, speech[:10])
    assert call.link is not None
    await call.link.close()
    call.faults.refuse_connections, call.faults.refuse_code = 9, 4017
    states: list[Any] = []
    with pytest.raises(CannotJoin, match="end-to-end encryption") as caught:
        await connect(
            call.channel(),
            sink=call.heard,
            consent=lambda _: True,
            on_state=lambda state, reason: states.append((state, reason)),
        )
    assert caught.value.reason is Reason.DAVE_REFUSED
    assert states[-1] == (LinkState.FAILED, Reason.DAVE_REFUSED)


async def test_another_voice_server_is_followed(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    for _ in range(3):
        moving = asyncio.create_task(call.sandbox.seating.move_voice_server(call.sandbox.bot), name="move")
        assert await call.back() < BACK_WITHIN_S
        await moving
        await call.settled()
        await hears_exactly(call, anna, speech[:10])
    assert call.counters.reconnects == 3
    assert LinkState.FAILED not in dict(call.states)


async def test_another_voice_server_in_the_middle_of_joining_is_followed(call: Call, speech: list[bytes]) -> None:
    anna = await call.person("Anna")
    joining = asyncio.create_task(call.listen(), name="join")
    await call.until(lambda: call.voice.connection(call.bot_id))
    await call.sandbox.seating.move_voice_server(call.sandbox.bot)
    await joining
    await asyncio.sleep(0.5)
    await call.until(lambda: call.link is not None and call.link.is_connected())
    await call.settled()
    await hears_exactly(call, anna, speech[:20])


async def test_dragged_to_another_channel_it_hears_the_people_there(call: Call, speech: list[bytes]) -> None:
    anna, ben = await call.together("Anna", "Ben")
    other = call.sandbox.add_voice_channel("Elsewhere")
    await ben.join(other.id)
    link = call.link
    assert link is not None
    before = link.counters.reconnects
    call.sandbox.seating.move(call.sandbox.bot, other)
    await call.until(lambda: link.channel_id == other.id and link.counters.reconnects > before)
    await call.until(lambda: link.state is LinkState.LISTENING)
    await call.voice.settled(other.id)
    await asyncio.sleep(0.1)
    await hears_exactly(call, ben, speech[:20])
    heard = len(call.opus[anna.user_id])
    await anna.say_packets(speech[:10])
    assert len(call.opus[anna.user_id]) == heard


async def test_taken_out_of_the_channel_it_stays_out_and_says_so(call: Call) -> None:
    await call.together("Anna")
    call.sandbox.state.leave_voice(call.sandbox.guild.id, call.bot_id)
    assert await call.failed() is Reason.REMOVED
    await asyncio.sleep(0.3)
    assert call.voice.connection(call.bot_id) is None


async def test_a_deleted_channel_ends_the_link(call: Call) -> None:
    await call.together("Anna")
    call.sandbox.state.delete_channel(call.sandbox.voice_channel)
    assert await call.failed() in (Reason.CHANNEL_GONE, Reason.REMOVED, Reason.CALL_ENDED)


async def test_deafened_by_the_server_it_says_that_it_hears_nobody(call: Call) -> None:
    await call.together("Anna")
    state = call.sandbox.state.voice_state(call.sandbox.guild.id, call.bot_id)
    assert state is not None
    call.sandbox.state.update_voice(state, deaf=True)
    await call.until(lambda: call.states[-1] == (LinkState.LISTENING, Reason.DEAFENED))
    call.sandbox.state.update_voice(state, deaf=False)
    await call.until(lambda: call.states[-1] == (LinkState.LISTENING, Reason.JOINED))


# -- words about speakers and keys ------------------------------------------------------------------------------------


async def test_a_late_word_on_whose_ssrc_it_is_costs_nothing(call: Call, speech: list[bytes]) -> None:
    anna = await call.person("Anna")
    call.faults.speaking_delay_s = 0.4
    await call.listen()
    await call.settled()
    await call.hears(anna, speech[:60])
    assert call.exact(anna)
    assert call.counters.held_unknown > 0


async def test_without_a_word_on_whose_ssrc_it_is_nothing_is_decrypted(call: Call, speech: list[bytes]) -> None:
    call.faults.speaking_withheld = True
    anna = await call.person("Anna")
    await call.listen()
    await call.settled()
    await anna.say_packets(speech[:40])
    await call.until(lambda: call.counters.dropped_unknown == len(anna.spoken))
    assert call.opus == {}
    assert call.counters.decrypted == 0


async def test_the_external_sender_may_come_before_the_session(call: Call, speech: list[bytes]) -> None:
    call.faults.sender_first = True
    (anna,) = await call.together("Anna")
    await hears_exactly(call, anna, speech[:20])
    ben = await call.person("Ben")
    await call.settled()
    await hears_exactly(call, ben, speech[:20])


async def test_a_new_epoch_that_reaches_us_late_costs_no_frame(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    call.faults.commit_delay_s = 0.4
    talking = asyncio.create_task(anna.say_packets(speech), name="anna talks")
    await asyncio.sleep(0.2)
    ben = await call.person("Ben")
    await talking
    await call.until(lambda: call.exact(anna))
    assert call.counters.held_dave > 0
    assert call.counters.dropped_dave_no_key == 0
    await call.settled()
    await asyncio.sleep(0.4)
    await hears_exactly(call, ben, speech[:20])


async def test_proposals_that_cannot_be_applied_are_survived(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    call.faults.bad_proposals = 1
    ben = await call.person("Ben")
    await call.settled()
    await call.hears(anna, speech[:20], 2.0)
    await call.hears(ben, speech[:20], 2.0)
    assert call.opus[anna.user_id][-25:] == [frame.opus for frame in anna.spoken][-25:]
    assert call.exact(ben)
    assert call.counters.gateway_errors >= 1


async def test_a_commit_that_makes_no_sense_leads_to_being_added_anew(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    call.faults.bad_commits = 1
    ben = await call.person("Ben")
    await asyncio.sleep(0.3)
    await call.settled()
    await asyncio.gather(hears_exactly(call, anna, speech[:20]), hears_exactly(call, ben, speech[20:40]))


async def test_a_downgrade_to_no_encryption_and_back_costs_no_frame(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    talking = asyncio.create_task(anna.say_packets(speech), name="anna talks")
    group = call.voice.calls[call.sandbox.voice_channel.id].group
    await asyncio.sleep(0.3)
    group.downgrade()
    await asyncio.sleep(0.5)
    group.upgrade()
    await talking
    await call.until(lambda: call.exact(anna), 3.0)


@pytest.mark.parametrize(
    ("op", "data"),
    [
        (Op.SPEAKING, {"ssrc": "x", "user_id": None}),
        (Op.SPEAKING, None),
        (Op.CLIENT_DISCONNECT, {}),
        (Op.PREPARE_TRANSITION, {}),
        (Op.EXECUTE_TRANSITION, {"transition_id": 4_711}),
        (Op.PREPARE_EPOCH, {"epoch": "one"}),
        (Op.CLIENTS_CONNECT, []),
        (Op.HELLO, {}),
        (Op.SESSION_DESCRIPTION, {}),
    ],
)
async def test_a_message_that_cannot_be_understood_does_not_end_the_one_task_that_listens(
    call: Call, op: Op, data: Any, speech: list[bytes]
) -> None:
    (anna,) = await call.together("Anna")
    connection = call.voice.connection(call.bot_id)
    assert connection is not None
    connection.send_json(op, data)
    for body in (b"", b"\x00", b"\x00garbage", b"\x01" + bytes(40)):
        for binary in (Op.EXTERNAL_SENDER, Op.PROPOSALS):
            connection.send_binary(binary, body)
    await asyncio.sleep(0.1)
    await hears_exactly(call, anna, speech[:20])
    assert call.link is not None
    assert call.link.watching
    assert call.counters.reconnects == 0
    assert call.counters.gateway_errors >= 1


# -- what nothing reports ---------------------------------------------------------------------------------------------


async def test_a_poller_that_died_in_silence_is_noticed(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    for task in asyncio.all_tasks():
        if task.get_name() == "Voice websocket poller":
            task.cancel()
    assert await call.back() < BACK_WITHIN_S
    await call.settled()
    await hears_exactly(call, anna, speech[:20])
    assert call.told(LinkState.RECONNECTING) == [Reason.POLLER_DIED]


async def test_a_call_that_cannot_be_decrypted_is_said_and_tried_anew(
    call: Call, speech: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "TRIES_S", (0.0, 0.5))
    (anna,) = await call.together("Anna")
    assert call.link is not None
    connection = call.link._client.connection
    connection.dave_session = davey.DaveSession(1, call.bot_id, call.link.channel_id)  # the group is lost, unsaid
    talking = asyncio.create_task(anna.say_packets(speech * 2), name="anna talks")
    await call.until(lambda: LinkState.CANNOT_DECRYPT in dict(call.states))
    assert await call.back() < BACK_WITHIN_S
    await talking
    await call.settled()
    await hears_exactly(call, anna, speech[:20])
    assert Reason.UNDECRYPTABLE in call.told(LinkState.CANNOT_DECRYPT)
    assert call.states[-1][0] is LinkState.LISTENING


async def test_a_listener_that_fails_and_a_supervisor_that_fails_end_in_words_or_not_at_all(
    call: Call, speech: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[LinkState] = []

    def failing(state: LinkState, reason: Reason) -> None:
        states.append(state)
        raise RuntimeError("a defect elsewhere")

    anna = await call.person("Anna")
    link = await connect(
        call.channel(),
        sink=call.heard,
        consent=lambda _: True,
        on_state=failing,
        tap=lambda user_id, packet: call.opus[user_id].append(packet),
    )
    call.link = link
    await call.settled()
    await hears_exactly(call, anna, speech[:10])
    assert states == [LinkState.CONNECTING, LinkState.LISTENING]
    assert link.counters.internal_errors == 2

    def broken(self: object) -> None:
        raise RuntimeError("a defect in the supervisor")

    monkeypatch.setattr(supervisor.Supervisor, "_look", broken)
    await call.until(lambda: link.state is LinkState.FAILED)
    assert link.reason is Reason.GAVE_UP


async def test_the_main_gateway_may_be_cut_and_resume_while_voice_goes_on(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    talking = asyncio.create_task(call.hears(anna, speech[:100]), name="anna talks")
    await asyncio.sleep(0.1)
    call.sandbox.gateway.cut()
    await talking
    assert call.exact(anna)
    await call.until(lambda: call.bot.of("resumed"))
    assert call.counters.reconnects == 0


async def test_after_a_lost_gateway_session_it_hears_on_or_again(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    call.sandbox.gateway.invalidate()
    await call.until(lambda: len(call.bot.of("ready")) > 1, 10.0)
    await asyncio.sleep(0.5)
    await call.until(lambda: call.link is not None and call.link.is_connected())
    await call.settled()
    await hears_exactly(call, anna, speech[:20])
    closing = asyncio.create_task(call.voice.close(call.bot_id, 1006), name="close")
    assert await call.back() < BACK_WITHIN_S
    await closing
    await call.settled()
    await hears_exactly(call, anna, speech[:20])


async def test_a_client_that_ended_for_good_is_replaced_by_another_in_the_middle_of_a_call(
    call: Call, speech: list[bytes]
) -> None:
    (anna,) = await call.together("Anna")
    await hears_exactly(call, anna, speech[:10])
    await call.bot.close()
    await call.until(lambda: call.states[-1][0] is LinkState.RECONNECTING)
    another = PlainBot(connector=aiohttp.TCPConnector(ssl=call.sandbox.ssl_context()))
    async with logged_in(another, call.sandbox):
        channel = another.get_channel(call.sandbox.voice_channel.id)
        assert isinstance(channel, discord.VoiceChannel)
        assert call.link is not None
        call.link.adopt(channel)
        assert await call.back() < BACK_WITHIN_S
        await call.settled()
        await hears_exactly(call, anna, speech[10:30])
        await call.link.close()


async def test_a_gateway_that_hangs_up_before_hello_ends_the_client_but_not_what_is_heard_through_the_next_one(
    call: Call, speech: list[bytes]
) -> None:
    (anna,) = await call.together("Anna")
    call.sandbox.faults.refuse_gateway()
    call.sandbox.faults.cut_gateway_before_hello()
    call.sandbox.gateway.cut(1006)
    assert call.bot.running is not None
    await asyncio.wait({call.bot.running}, timeout=15)
    assert call.bot.running.done()
    await call.bot.close()
    another = PlainBot(connector=aiohttp.TCPConnector(ssl=call.sandbox.ssl_context()))
    async with logged_in(another, call.sandbox):
        channel = another.get_channel(call.sandbox.voice_channel.id)
        assert isinstance(channel, discord.VoiceChannel)
        assert call.link is not None
        call.link.adopt(channel)
        assert await call.back() < BACK_WITHIN_S
        await call.settled()
        await hears_exactly(call, anna, speech[:20])
        await call.link.close()


class TestKeepalive:
    @pytest.fixture
    def voice_settings(self) -> VoiceSettings:
        return VoiceSettings(udp_idle_s=1.0)

    async def test_a_listener_that_says_nothing_is_still_sent_to(
        self, call: Call, speech: list[bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(supervisor, "KEEPALIVE_S", 0.4)
        (anna,) = await call.together("Anna")
        await asyncio.sleep(1.3)
        await hears_exactly(call, anna, speech[:20])
        # Without it the server falls silent, which is what the keepalive is for.
        monkeypatch.setattr(supervisor, "KEEPALIVE_S", 1e9)
        await asyncio.sleep(1.3)
        heard = len(call.opus[anna.user_id])
        await call.hears(anna, speech[:20], 0.5)
        assert len(call.opus[anna.user_id]) == heard

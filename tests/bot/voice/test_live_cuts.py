"""What ends or moves a connection, live: back within five seconds, or an end that is said in words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.voice import LinkState, Reason, VoiceLink, connection, supervisor
from sandbox import Channel
from sandbox.voice import Speaker
from tests.fakes.call import Call

pytestmark = pytest.mark.integration

BACK_WITHIN_S = 5.0


async def taken_elsewhere(call: Call, person: Speaker) -> Channel:
    """Another voice channel, with `person` in it."""
    other = call.sandbox.add_voice_channel("Elsewhere")
    await person.join(other.id)
    return other


@pytest.mark.parametrize("code", [1006, 4015])
async def test_a_cut_of_the_websocket_is_resumed_and_nobody_notices(call: Call, code: int, speech: list[bytes]) -> None:
    anna, _ = await call.together("Anna", "Ben")
    group = call.voice.calls[call.sandbox.voice_channel.id].group
    epochs, seats = group.counters["epochs"], watch_seats(call)
    talking = asyncio.create_task(call.hears(anna, speech), name="anna talks")
    await call.until(lambda: call.counters.frames > 10)
    closing = asyncio.create_task(call.voice.close(call.bot_id, code), name="close")
    await call.until(lambda: call.counters.resumes == 1)
    await asyncio.gather(talking, closing)
    assert call.exact(anna)
    assert call.told(LinkState.RECONNECTING) == []
    assert seats == []
    assert group.counters["epochs"] == epochs
    assert (call.counters.reconnects, call.counters.resumes_failed) == (0, 0)


async def test_what_the_gateway_said_during_the_cut_is_told_again_after_a_resume(
    call: Call, speech: list[bytes]
) -> None:
    (anna,) = await call.together("Anna")
    await call.voice.close(call.bot_id, 1006)
    ben = await call.person("Ben")
    await call.until(lambda: call.counters.resumes == 1)
    await call.settled()
    await call.hears_exactly(ben, speech[:20])
    await call.hears_exactly(anna, speech[20:40])
    assert call.counters.reconnects == 0


async def test_a_resume_that_is_refused_is_followed_by_a_new_connection(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    call.faults.refuse_resumes = 1
    closing = asyncio.create_task(call.voice.close(call.bot_id, 1006), name="close")
    assert await call.back() < BACK_WITHIN_S
    await closing
    await call.settled()
    await call.hears_exactly(anna, speech[:20])
    assert (call.counters.resumes, call.counters.resumes_failed) == (0, 1)


def watch_seats(call: Call) -> list[object]:
    """What people are told of the bot's seat from here on."""
    seen: list[object] = []
    call.sandbox.state.listen(
        lambda change: (
            seen.append(change)
            if change.kind == "VOICE_STATE_UPDATE" and change.subject.user_id == call.bot_id
            else None
        )
    )
    return seen


@pytest.mark.parametrize("code", [1000, 4006, 4009])
async def test_after_a_cut_it_is_back_at_once_and_says_so(call: Call, code: int, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    await call.hears_exactly(anna, speech[:10])
    closing = asyncio.create_task(call.voice.close(call.bot_id, code), name="close")
    assert await call.back() < BACK_WITHIN_S
    await closing
    await call.settled()
    await call.hears_exactly(anna, speech[10:40])
    assert call.told(LinkState.RECONNECTING) == [Reason.CONNECTION_LOST]
    assert call.states[-1] == (LinkState.LISTENING, Reason.REJOINED)


async def test_six_cuts_one_after_the_other_are_survived(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    for number in range(6):
        closing = asyncio.create_task(call.voice.close(call.bot_id, 1006), name="close")
        await call.until(lambda wanted=number + 1: call.counters.resumes == wanted)  # type: ignore[misc]
        await closing
    await call.settled()
    await call.hears_exactly(anna, speech[:20])
    assert call.counters.reconnects == 0


@pytest.mark.parametrize("code", [4014, 4022])
async def test_an_ended_call_is_not_joined_again(call: Call, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FOLLOW_WAIT_S", 0.3)
    await call.together("Anna")
    await call.voice.close(call.bot_id, code)
    assert await call.failed() is Reason.CALL_ENDED
    assert await call.stays_out()
    assert call.counters.reconnects == 0
    assert call.sandbox.state.voice_state(call.sandbox.guild.id, call.bot_id) is None


async def test_after_4022_another_voice_server_is_followed(call: Call, speech: list[bytes]) -> None:
    """A change of the channel's region ends the call for all; the gateway then names the server to go to."""
    (anna,) = await call.together("Anna")
    changing = asyncio.create_task(call.sandbox.end_call(region_changed=True, word_after_s=1.0), name="region")
    assert await call.back() < BACK_WITHIN_S
    await changing
    await call.settled()
    await call.hears_exactly(anna, speech[:20])
    assert set(call.told(LinkState.RECONNECTING)) == {Reason.SERVER_MOVED}
    assert call.sandbox.state.voice_state(call.sandbox.guild.id, call.bot_id) is not None


async def test_a_voice_server_that_is_named_and_cannot_be_connected_to_at_once_is_no_end(
    call: Call, speech: list[bytes]
) -> None:
    (anna,) = await call.together("Anna")
    call.faults.refuse_connections = 1
    changing = asyncio.create_task(call.sandbox.end_call(region_changed=True, word_after_s=0.3), name="region")
    await call.back()
    await changing
    assert not call.faults.refuse_connections
    await call.settled()
    await call.hears_exactly(anna, speech[:20])


@pytest.mark.parametrize(("code", "reason"), [(4017, Reason.DAVE_REFUSED), (4021, Reason.RATE_LIMITED)])
async def test_what_the_voice_server_that_is_named_forbids_is_obeyed_at_once(
    call: Call, code: int, reason: Reason
) -> None:
    await call.together("Anna")
    call.faults.refuse_connections, call.faults.refuse_code = 9, code
    await call.sandbox.end_call(region_changed=True)
    assert await call.failed() is reason
    assert call.faults.refuse_connections == 8
    assert call.counters.reconnects_failed == 0


async def test_after_4022_being_in_no_channel_is_the_end(call: Call) -> None:
    await call.together("Anna")
    await call.sandbox.end_call(region_changed=False)
    assert await call.failed() is Reason.REMOVED
    assert call.counters.reconnects == 0


async def test_a_refusal_for_want_of_encryption_ends_the_link_without_further_tries(call: Call) -> None:
    await call.together("Anna")
    call.faults.refuse_connections, call.faults.refuse_code = 9, 4017
    await call.voice.close(call.bot_id, 4017)
    assert await call.failed() is Reason.DAVE_REFUSED
    assert call.faults.refuse_connections >= 8


async def test_three_tries_and_then_it_says_that_it_gave_up(call: Call) -> None:
    await call.together("Anna")
    call.faults.refuse_connections, call.faults.refuse_code = 99, 4006
    await call.voice.close(call.bot_id, 4009)
    assert await call.failed() is Reason.GAVE_UP
    assert call.faults.refuse_connections == 99 - 3
    assert call.counters.reconnects_failed == 3
    assert call.told(LinkState.RECONNECTING) == [Reason.CONNECTION_LOST]


async def test_a_seat_that_is_gone_when_it_comes_back_is_named(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "TRIES_S", (0.0, 0.1))
    monkeypatch.setattr(connection, "ANSWER_WAIT_S", 0.3)
    await call.together("Anna")
    call.faults.refuse_connections = 1
    closing = asyncio.create_task(call.voice.close(call.bot_id, 4006), name="close")
    await call.until(lambda: call.bot_id not in call.channel().voice_states)
    call.sandbox.voice_channel.user_limit = 1
    call.sandbox.state.update_channel(call.sandbox.voice_channel)
    assert await call.failed() is Reason.CHANNEL_FULL
    await closing


async def test_a_try_that_is_refused_is_followed_by_one_that_works(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    call.faults.refuse_connections = 1
    closing = asyncio.create_task(call.voice.close(call.bot_id, 4009), name="close")
    assert await call.back() < BACK_WITHIN_S
    await closing
    await call.settled()
    await call.hears_exactly(anna, speech[:20])


async def test_moved_between_two_connections_it_comes_back_where_it_was_moved_to(
    call: Call, speech: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ben = await call.together("Anna", "Ben")
    moved = asyncio.Event()

    async def until_moved(seconds: float) -> None:
        if seconds:
            await moved.wait()

    assert call.link is not None
    monkeypatch.setattr(call.link._supervisor, "_sleep", until_moved)  # between two tries
    other = await taken_elsewhere(call, ben)
    call.faults.refuse_connections = 1
    closing = asyncio.create_task(call.voice.close(call.bot_id, 4006), name="close")
    await call.until(lambda: call.counters.reconnects_failed == 1)
    await closing
    connection = call.link._client.connection
    assert connection.apart
    await connection.voice_state_update({"channel_id": str(other.id), "session_id": "s"})
    moved.set()
    await call.back()
    assert call.link.channel_id == other.id
    await call.voice.settled(other.id)
    await call.until(
        lambda: (
            ben.client is not None
            and call.link is not None
            and ben.client.dave.epoch_authenticator == epoch_of(call.link)
        )
    )
    await call.hears_exactly(ben, speech[:20])


async def test_another_voice_server_is_followed(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    for _ in range(3):
        moving = asyncio.create_task(call.sandbox.seating.move_voice_server(call.sandbox.bot), name="move")
        assert await call.back() < BACK_WITHIN_S
        await moving
        await call.settled()
        await call.hears_exactly(anna, speech[:10])
    assert call.counters.reconnects == 3
    assert LinkState.FAILED not in dict(call.states)


def epoch_of(link: VoiceLink) -> bytes | None:
    session: Any = link.dave()[0]
    return None if session is None else session.get_epoch_authenticator()


async def test_dragged_to_another_channel_it_hears_the_people_there(call: Call, speech: list[bytes]) -> None:
    anna, ben = await call.together("Anna", "Ben")
    other = await taken_elsewhere(call, ben)
    link = call.link
    assert link is not None
    before = link.counters.reconnects
    call.sandbox.seating.move(call.sandbox.bot, other)
    await call.until(lambda: link.channel_id == other.id and link.counters.reconnects > before)
    await call.until(lambda: link.state is LinkState.LISTENING)
    await call.voice.settled(other.id)
    await call.until(lambda: ben.client is not None and ben.client.dave.epoch_authenticator == epoch_of(link))
    await call.hears_exactly(ben, speech[:20])
    heard = len(call.opus[anna.user_id])
    await anna.say_packets(speech[:10])
    assert len(call.opus[anna.user_id]) == heard


async def test_dragged_away_after_its_voice_server_closed_it_follows(call: Call, speech: list[bytes]) -> None:
    """The word on where it was taken comes after the close by which the voice server let it go."""
    _, ben = await call.together("Anna", "Ben")
    other = await taken_elsewhere(call, ben)
    link = call.link
    assert link is not None
    await call.voice.close(call.bot_id, 4014)
    await call.until(lambda: not link.is_connected())
    call.sandbox.seating.move(call.sandbox.bot, other)
    assert await call.back() < BACK_WITHIN_S
    assert "followed" in [entry.what for entry in link.receiver.journal.entries]
    assert link.channel_id == other.id
    await call.voice.settled(other.id)
    await call.until(lambda: ben.client is not None and ben.client.dave.epoch_authenticator == epoch_of(link))
    await call.hears_exactly(ben, speech[:20])


async def test_another_voice_server_that_is_named_in_the_middle_of_a_resume_is_followed(
    call: Call, speech: list[bytes]
) -> None:
    (anna,) = await call.together("Anna")
    closing = asyncio.create_task(call.voice.close(call.bot_id, 1006), name="close")
    await call.sandbox.seating.move_voice_server(call.sandbox.bot)
    assert await call.back() < BACK_WITHIN_S
    await closing
    await call.settled()
    await call.hears_exactly(anna, speech[:20])


async def test_taken_out_of_the_channel_it_stays_out_and_says_so(call: Call) -> None:
    await call.together("Anna")
    call.sandbox.state.leave_voice(call.sandbox.guild.id, call.bot_id)
    assert await call.failed() is Reason.REMOVED
    assert await call.stays_out()


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


async def test_after_a_reconnect_it_is_shown_deafened_as_before(call: Call) -> None:
    await call.together("Anna")
    await call.channel().guild.change_voice_state(channel=call.channel(), self_deaf=True)
    await call.until(lambda: call.link is not None and call.link._client.connection.shown_deaf)
    closing = asyncio.create_task(call.voice.close(call.bot_id, 4006), name="close")
    await call.back()
    await closing
    seat = call.sandbox.state.voice_state(call.sandbox.guild.id, call.bot_id)
    assert seat is not None
    assert seat.self_deaf


async def test_deafening_itself_is_a_sign_and_no_protection(call: Call, speech: list[bytes]) -> None:
    """Discord sends the packets all the same; what protects people is that theirs are never decrypted."""
    (anna,) = await call.together("Anna")
    await call.channel().guild.change_voice_state(channel=call.channel(), self_deaf=True)
    await call.until(lambda: call.link is not None and call.link._client.connection.shown_deaf)
    call.included.clear()
    await anna.say_packets(speech[:20])
    await call.until(lambda: call.counters.dropped_excluded == len(anna.spoken))
    assert call.counters.decrypted == 0


async def test_suppressed_on_a_stage_a_sound_is_not_said_to_be_played(call: Call) -> None:
    await call.together("Anna")
    assert call.link is not None
    call.sandbox.suppress(call.sandbox.bot)
    await call.until(lambda: call.link is not None and call.link._client.connection.inaudible)
    assert not await call.link.play(bytes(48_000 // 50 * 4))
    call.sandbox.suppress(call.sandbox.bot, suppressed=False)
    await call.until(lambda: call.link is not None and not call.link._client.connection.inaudible)
    assert await call.link.play(bytes(48_000 // 50 * 4))

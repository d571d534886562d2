"""Joining a voice channel: what may come between the request and the first word, and who is told what."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from bot.voice import CannotJoin, LinkState, Reason, connect, connection, link, websocket
from sandbox.permissions import Permission
from sandbox.voice.udp import UdpServer
from tests.fakes.call import Call

pytestmark = pytest.mark.integration

BACK_WITHIN_S = 5.0


async def test_joining_itself_has_three_tries_and_fails_in_words(call: Call, speech: list[bytes]) -> None:
    anna = await call.person("Anna")
    call.faults.refuse_connections = 1
    await call.listen()
    await call.settled()
    await call.hears_exactly(anna, speech[:10])
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


@pytest.mark.parametrize("step", ["asked", "connecting"])
async def test_taken_out_while_it_joins_it_stays_out_and_says_so(
    call: Call, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await call.person("Anna")
    monkeypatch.setattr(UdpServer, "_discover", lambda *_: None)  # it does not get to the end
    state, guild_id = call.sandbox.state, call.sandbox.guild.id
    joining = asyncio.create_task(call.listen(), name="join")
    if step == "asked":
        await call.until(lambda: state.voice_state(guild_id, call.bot_id))
    else:
        await call.until(lambda: call.voice.connection(call.bot_id))
    state.leave_voice(guild_id, call.bot_id)
    with pytest.raises(CannotJoin) as caught:
        await joining
    assert caught.value.reason in (Reason.REMOVED, Reason.CALL_ENDED)
    assert call.told(LinkState.LISTENING) == []
    assert call.voice.connection(call.bot_id) is None
    assert state.voice_state(guild_id, call.bot_id) is None


async def test_taken_out_in_the_second_try_to_join_it_stays_out(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first try has left the channel already, and nobody answers who leaves twice."""
    monkeypatch.setattr(link, "TRIES_S", (0.0, 0.2, 0.2))
    await call.person("Anna")
    state, guild_id = call.sandbox.state, call.sandbox.guild.id
    call.faults.refuse_connections = 1
    joining = asyncio.create_task(call.listen(), name="join")
    await call.until(lambda: not call.faults.refuse_connections and state.voice_state(guild_id, call.bot_id) is None)
    monkeypatch.setattr(UdpServer, "_discover", lambda *_: None)  # it does not get to the end
    await call.until(lambda: call.voice.connection(call.bot_id))
    state.leave_voice(guild_id, call.bot_id)
    with pytest.raises(CannotJoin) as caught:
        await joining
    assert caught.value.reason is Reason.REMOVED
    assert call.voice.connection(call.bot_id) is None


async def test_a_gateway_session_that_is_lost_while_it_joins_takes_nobody_out(
    call: Call, speech: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = await call.person("Anna")
    discover = UdpServer._discover
    monkeypatch.setattr(UdpServer, "_discover", lambda *_: None)
    joining = asyncio.create_task(call.listen(), name="join")
    await call.until(lambda: call.voice.connection(call.bot_id))
    call.sandbox.gateway.invalidate()
    monkeypatch.setattr(UdpServer, "_discover", discover)
    await joining
    await call.settled()
    await call.hears_exactly(anna, speech[:20])


@pytest.mark.parametrize(("code", "reason"), [(4014, Reason.CALL_ENDED), (4021, Reason.RATE_LIMITED)])
async def test_a_code_that_comes_while_our_address_is_looked_for_is_obeyed(
    call: Call, code: int, reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nobody reads the websocket, and the voice server answers no more."""
    monkeypatch.setattr(websocket, "DISCOVERY_WAIT_S", 0.05)
    monkeypatch.setattr(UdpServer, "_discover", lambda *_: None)
    joining = asyncio.create_task(call.listen(), name="join")
    await call.until(lambda: call.voice.connection(call.bot_id))
    await call.voice.close(call.bot_id, code)
    with pytest.raises(CannotJoin) as caught:
        await joining
    assert caught.value.reason is reason


def endpoint_of(call: Call) -> str | None:
    """Where the bot is connected, as the voice server sees it."""
    there = call.voice.connection(call.bot_id)
    return None if there is None else there.ticket.endpoint


async def test_another_voice_server_in_the_middle_of_joining_is_followed(call: Call, speech: list[bytes]) -> None:
    anna = await call.person("Anna")
    joining = asyncio.create_task(call.listen(), name="join")
    await call.until(lambda: call.voice.connection(call.bot_id))
    await call.sandbox.seating.move_voice_server(call.sandbox.bot)
    await joining
    await call.until(lambda: endpoint_of(call) == call.voice.endpoint)
    await call.until(lambda: call.link is not None and call.link.is_connected())
    await call.settled()
    await call.hears_exactly(anna, speech[:20])


async def test_a_full_channel_is_told_before_joining(call: Call) -> None:
    call.sandbox.voice_channel.user_limit = 2
    call.sandbox.state.update_channel(call.sandbox.voice_channel)
    await call.person("Anna")
    await call.person("Ben")
    await call.until(lambda: call.channel().user_limit == 2 and len(call.channel().voice_states) == 2)
    with pytest.raises(CannotJoin) as caught:
        await call.listen()
    assert caught.value.reason is Reason.CHANNEL_FULL
    assert call.states[-1] == (LinkState.FAILED, Reason.CHANNEL_FULL)
    assert call.sandbox.state.voice_state(call.sandbox.guild.id, call.bot_id) is None


async def test_a_full_channel_takes_those_who_may_move_members(call: Call, speech: list[bytes]) -> None:
    call.sandbox.bot_role.permissions |= Permission.MOVE_MEMBERS
    call.sandbox.state.tell("GUILD_ROLE_UPDATE", call.sandbox.guild.id, call.sandbox.bot_role)
    call.sandbox.voice_channel.user_limit = 1
    call.sandbox.state.update_channel(call.sandbox.voice_channel)
    await call.until(lambda: call.channel().permissions_for(call.channel().guild.me).move_members)
    (anna,) = await call.together("Anna")
    await call.hears_exactly(anna, speech[:10])


async def test_a_request_to_join_that_has_to_wait_for_others_is_told_as_that(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discord takes so many messages a minute from one shard, and discord.py holds the others back."""
    monkeypatch.setattr(connection, "ANSWER_WAIT_S", 0.3)
    monkeypatch.setattr(link, "CLOSE_TIMEOUT_S", 0.1)
    limiter = call.bot._connection._get_websocket(call.sandbox.guild.id)._rate_limiter
    limiter.remaining, limiter.window = 0, time.time()
    with pytest.raises(CannotJoin) as caught:
        await call.listen()
    assert caught.value.reason is Reason.RATE_LIMITED
    limiter.remaining = limiter.max
    await call.listen()


async def test_a_request_to_join_that_gets_no_answer_is_given_up_with_the_likely_reasons(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connection.ANSWER_WAIT_S < 10
    monkeypatch.setattr(connection, "ANSWER_WAIT_S", 0.3)
    call.sandbox.gateway.voice = None
    monkeypatch.setattr(call.sandbox.gateway, "voice_request", lambda session, request: None)
    with pytest.raises(CannotJoin, match="may be full") as caught:
        await call.listen()
    assert caught.value.reason is Reason.NO_ANSWER

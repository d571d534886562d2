"""What nobody reports, and the main gateway's bad days, live: noticed, or costing nothing."""

from __future__ import annotations

import asyncio
import itertools

import aiohttp
import davey
import discord
import pytest

from bot.voice import LinkState, Reason, connect, supervisor
from sandbox.voice import VoiceSettings
from tests.fakes.call import Call
from tests.fakes.plain_bot import PlainBot, logged_in

pytestmark = pytest.mark.integration

BACK_WITHIN_S = 5.0


async def test_a_poller_that_died_in_silence_is_noticed(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    for task in asyncio.all_tasks():
        if task.get_name() == "Voice websocket poller":
            task.cancel()
    assert await call.back() < BACK_WITHIN_S
    await call.settled()
    await call.hears_exactly(anna, speech[:20])
    assert call.told(LinkState.RECONNECTING) == [Reason.POLLER_DIED]


async def test_a_call_that_cannot_be_decrypted_is_said_and_tried_anew(
    call: Call, speech: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "TRIES_S", (0.0, 0.5))
    (anna,) = await call.together("Anna")
    assert call.link is not None
    connection = call.link._client.connection
    connection.dave_session = davey.DaveSession(1, call.bot_id, call.link.channel_id)  # the group is lost, unsaid
    talking = asyncio.create_task(anna.say_packets(itertools.cycle(speech)), name="anna talks")
    await call.until(lambda: LinkState.CANNOT_DECRYPT in dict(call.states))
    assert await call.back() < BACK_WITHIN_S
    anna.mute()
    await talking
    await call.settled()
    await call.hears_exactly(anna, speech[:20])
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
    await call.hears_exactly(anna, speech[:10])
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
    await call.until(lambda: call.counters.frames > 5)
    call.sandbox.gateway.cut()
    await talking
    assert call.exact(anna)
    await call.until(lambda: call.bot.of("resumed"))
    assert call.counters.reconnects == 0


async def test_after_a_lost_gateway_session_it_hears_on_or_again(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    call.sandbox.gateway.invalidate()
    await call.until(lambda: len(call.bot.of("ready")) > 1)
    link = call.link
    assert link is not None
    await call.until(lambda: link.registered and link.voice_state()[0] and link.is_connected())
    await call.settled()
    await call.hears_exactly(anna, speech[:20])
    closing = asyncio.create_task(call.voice.close(call.bot_id, 4006), name="close")
    assert await call.back() < BACK_WITHIN_S
    await closing
    await call.settled()
    await call.hears_exactly(anna, speech[:20])


async def test_a_client_that_ended_for_good_is_replaced_by_another_in_the_middle_of_a_call(
    call: Call, speech: list[bytes]
) -> None:
    (anna,) = await call.together("Anna")
    await call.hears_exactly(anna, speech[:10])
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
        await call.hears_exactly(anna, speech[10:30])
        await call.link.close()


async def test_a_gateway_that_hangs_up_before_hello_ends_the_client_but_not_what_is_heard_through_the_next_one(
    call: Call, speech: list[bytes]
) -> None:
    (anna,) = await call.together("Anna")
    call.sandbox.faults.refuse_gateway()
    call.sandbox.faults.cut_gateway_before_hello()
    call.sandbox.gateway.cut(1006)
    assert call.bot.running is not None
    await asyncio.wait({call.bot.running}, timeout=60)
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
        await call.hears_exactly(anna, speech[:20])
        await call.link.close()


class TestKeepalive:
    @pytest.fixture
    def voice_settings(self) -> VoiceSettings:
        return VoiceSettings(udp_idle_s=60.0)

    async def test_a_listener_that_says_nothing_is_still_sent_to(
        self, call: Call, speech: list[bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(supervisor, "KEEPALIVE_S", 0.2)
        (anna,) = await call.together("Anna")
        heard_from = call.voice.connection(call.bot_id)
        assert heard_from is not None
        for _ in range(3):
            long_ago_s = heard_from.heard_at_s = asyncio.get_running_loop().time() - 61.0
            await call.until(lambda: heard_from.heard_at_s > long_ago_s)  # noqa: B023 - it is waited for here
        await call.hears_exactly(anna, speech[:20])
        # Without it the server falls silent, which is what the keepalive is for.
        monkeypatch.setattr(supervisor, "KEEPALIVE_S", 1e9)
        call.voice.drain()
        heard_from.heard_at_s -= 61.0
        heard = len(call.opus[anna.user_id])
        spoken = await anna.say_packets(speech[:20])
        await call.until(lambda: call.voice.datagrams["withheld_without_keepalive"] >= len(spoken))
        assert len(call.opus[anna.user_id]) == heard

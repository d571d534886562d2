"""`bot.voice.hear` in somebody else's bot, live: mistakes are told in words, and what is asked for is done."""

from __future__ import annotations

import asyncio

import discord
import pytest

from bot.voice import CannotJoin, Hearing, LinkState, Reason, hear
from tests.fakes.call import Call

pytestmark = pytest.mark.integration


async def taken(call: Hearing, until_samples: int = 1 << 40) -> dict[int, int]:
    """How many samples of each speaker were heard, when the call ends or that many have come."""
    samples: dict[int, int] = {}
    async for heard in call:
        samples[heard.speaker] = samples.get(heard.speaker, 0) + len(heard.samples)
        if sum(samples.values()) >= until_samples:
            break
    return samples


async def test_a_second_call_in_the_same_server_is_refused_and_the_first_goes_on(
    call: Call, speech: list[bytes]
) -> None:
    anna = await call.person("Anna")
    async with hear(call.channel(), consent=call.included) as first:
        await call.settled()
        with pytest.raises(CannotJoin, match="in a call of this server already"):
            async with hear(call.channel(), consent=call.included):
                pass
        spoken = await anna.say_packets(speech[:20])
        assert await taken(first, len(spoken) * 320) == {anna.user_id: len(spoken) * 320}
        assert first.link.counters.reconnects == 0
    async with hear(call.channel(), consent=call.included) as again:
        assert again.state is LinkState.LISTENING


async def test_beside_another_voice_client_of_discord_py_it_does_not_join(call: Call) -> None:
    channel = call.channel()
    other = discord.VoiceProtocol(call.bot, channel)
    call.bot._connection._add_voice_client(channel.guild.id, other)
    with pytest.raises(CannotJoin) as refused:
        async with hear(channel, consent=call.included):
            pass
    assert refused.value.reason is Reason.IN_ANOTHER_CALL
    assert channel.guild.voice_client is other
    call.bot._connection._remove_voice_client(channel.guild.id)


async def test_a_client_that_is_told_nothing_about_voice_is_named(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call.bot._connection, "_intents", discord.Intents(guilds=True))
    with pytest.raises(CannotJoin, match="intent voice_states"):
        async with hear(call.channel(), consent=call.included):
            pass


async def test_whoever_disconnects_the_voice_client_ends_the_call(call: Call) -> None:
    await call.person("Anna")
    async with hear(call.channel(), consent=call.included) as heard:
        client = call.channel().guild.voice_client
        assert client is not None
        await client.disconnect(force=False)
        assert await taken(heard) == {}
        assert heard.reason is Reason.REMOVED
        assert heard.link.counters.reconnects == 0
        await call.until(lambda: call.voice.connection(call.bot_id) is None)
    assert call.channel().guild.voice_client is None


async def test_what_waits_of_somebody_who_is_forgotten_is_not_heard(call: Call, speech: list[bytes]) -> None:
    anna, ben = await call.person("Anna"), await call.person("Ben")
    async with hear(call.channel(), consent=call.included) as heard:
        await call.settled()
        await asyncio.gather(*(one.say_packets(speech[:20]) for one in (anna, ben)))
        await call.until(lambda: heard.link.counters.frames == len(anna.spoken) + len(ben.spoken))
        heard.forget(anna.user_id)
        assert set(await taken(heard, len(ben.spoken) * 320)) == {ben.user_id}

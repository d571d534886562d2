"""The report of a call: what was met there, and nothing that says with whom."""

from __future__ import annotations

import asyncio
import re

import pytest

from bot.voice import check_call, link
from bot.voice.journal import MAX_ENTRIES, MAX_STREAMS, Journal
from tests.fakes.call import Call
from tests.fakes.voice import FakeClock


@pytest.mark.integration
async def test_the_report_tells_what_was_met_and_names_nobody(call: Call, speech: list[bytes]) -> None:
    anna = await call.person("Anna Quietword")
    ben = await call.person("Ben Loudword", included=False)
    checking = asyncio.create_task(
        check_call(call.channel(), consent=call.included.__contains__, seconds=60.0), name="check"
    )
    await call.until(lambda: call.voice.connection(call.bot_id))
    await call.settled()
    await asyncio.gather(anna.say_packets(speech[:60]), ben.say_packets(speech[60:90]))
    connection = call.voice.connection(call.bot_id)
    assert connection is not None
    transport = connection.transport
    assert transport is not None
    await call.voice.close(call.bot_id, 1006)
    await call.until(lambda: call.voice.counters["resumed"] == 1)
    call.sandbox.gateway.cut()
    await call.until(lambda: call.bot.of("resumed"))
    call.sandbox.disconnect(call.sandbox.bot)
    report = await checking
    for met in (
        "discord.py 2.7.1",
        "davey 0.1.7",
        "DAVE protocol 1",
        "voice websocket closed: code 1006",
        "resumed: 1",
        "main gateway connected anew: close code 1006",
        "session described: dave version 1",
        "epoch",
        "its first packet",
        "event loop lag",
        "failed (removed)",
        "dropped_excluded",
    ):
        assert met in report, met
    secrets = [transport.key.hex(), str(list(transport.key)), connection.ticket.token, connection.ticket.session_id]
    people = [call.bot_id, anna.user_id, ben.user_id, call.sandbox.guild.id, call.sandbox.voice_channel.id]
    streams = [one.ssrc for one in call.voice.connections()]
    ports = [connection.ticket.endpoint, *map(str, connection.address or ())]
    for secret in (*secrets, *map(str, people), *map(str, streams), *ports, "Quietword", "Loudword", "localhost"):
        assert secret not in report, secret
    assert not re.search(r"\d{1,3}(\.\d{1,3}){3}", report.replace("2.7.1", "")), "an address"


@pytest.mark.integration
async def test_a_call_that_cannot_be_joined_is_a_report_too(call: Call) -> None:
    call.sandbox.voice_channel.user_limit = 1
    call.sandbox.state.update_channel(call.sandbox.voice_channel)
    await call.person("Anna")
    await call.until(lambda: call.channel().user_limit == 1 and len(call.channel().voice_states) == 1)
    report = await check_call(call.channel(), consent=lambda _: False)
    assert "could not be joined: channel_full" in report


@pytest.mark.integration
async def test_a_call_that_refuses_tells_its_codes_and_how_far_it_came(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "TRIES_S", (0.0, 0.1))
    call.faults.refuse_connections, call.faults.refuse_code = 9, 4011
    report = await check_call(call.channel(), consent=lambda _: False)
    assert "could not be joined: gave_up" in report
    assert report.count("join failed: error ConnectionClosed, code 4011") == 2
    assert "Counters" in report
    assert "failed (gave_up)" in report


@pytest.mark.unit
def test_the_journal_is_bounded_and_says_what_it_forgot() -> None:
    clock = FakeClock()
    journal = Journal(clock)
    for number in range(MAX_ENTRIES + 5):
        journal.note("something", number=number)
    for ssrc in range(MAX_STREAMS + 7):
        journal.named(ssrc)
    assert (len(journal.entries), len(journal.streams), journal.forgotten) == (MAX_ENTRIES, MAX_STREAMS, 12)


@pytest.mark.unit
def test_op_5_is_set_against_the_first_packet_of_each_connection() -> None:
    clock = FakeClock()
    journal = Journal(clock)
    journal.first_packet(5)
    clock.advance(0.25)
    journal.named(5)
    journal.connection_began()
    journal.named(5)
    assert [(one.first_packet_s, one.named_s) for one in journal.streams] == [(0.0, 0.25), (None, 0.25)]

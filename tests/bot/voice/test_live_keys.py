"""The voice gateway's words about speakers and keys, live: late, missing, too early, or nonsense."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from bot.voice import LinkState, Reason
from sandbox.voice import Op
from tests.fakes.call import Call

pytestmark = pytest.mark.integration


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


async def test_when_nobody_says_whose_ssrc_it_is_it_reconnects_once_and_is_told_then(
    call: Call, speech: list[bytes]
) -> None:
    """Whoever connects is told everybody's streams; one reconnect is enough when op 5 was missed."""
    call.faults.speaking_withheld = True
    anna = await call.person("Anna")
    await call.listen()
    await call.settled()
    talking = asyncio.create_task(anna.say_packets(itertools.cycle(speech)), name="anna talks")
    await call.until(lambda: call.told(LinkState.RECONNECTING) == [Reason.UNPLACED])
    call.faults.speaking_withheld = False
    await call.until(lambda: call.counters.reconnects == 1)
    anna.mute()
    await talking
    await call.settled()
    await call.hears_exactly(anna, speech[:20])
    assert call.counters.reconnects == 1


async def test_somebody_who_still_cannot_be_placed_is_said(call: Call, speech: list[bytes]) -> None:
    call.faults.speaking_withheld = True
    anna = await call.person("Anna", pace=1.0)
    await call.listen()
    await call.settled()
    talking = asyncio.create_task(anna.say_packets(itertools.cycle(speech)), name="anna talks")
    assert await call.until(lambda: call.states[-1] == (LinkState.LISTENING, Reason.UNPLACED)) < 10.0
    assert call.counters.reconnects == 1
    talking.cancel()
    await asyncio.gather(talking, return_exceptions=True)


async def test_an_ssrc_that_was_handed_on_loses_nothing_of_its_new_owner(call: Call, speech: list[bytes]) -> None:
    anna, _ = await call.together("Anna", "Ben")
    await call.hears_exactly(anna, speech[:20])
    was = call.voice.connection(anna.user_id)
    assert was is not None
    await anna.leave()
    call.faults.speaking_delay_s = 0.4
    cleo = call.sandbox.add_person("Cleo")
    call.included.add(cleo.id)
    call.voice.hand_on_ssrc(was.ssrc, cleo.id)
    speaker = call.sandbox.speaker(cleo, pace=0.5, listening=False)
    call.speakers.append(speaker)
    await speaker.join(call.sandbox.voice_channel.id)
    now = call.voice.connection(cleo.id)
    assert now is not None
    assert now.ssrc == was.ssrc
    await call.settled()
    await call.hears_exactly(speaker, speech[20:70])


async def test_the_external_sender_may_come_before_the_session(call: Call, speech: list[bytes]) -> None:
    call.faults.sender_first = True
    (anna,) = await call.together("Anna")
    await call.hears_exactly(anna, speech[:20])
    ben = await call.person("Ben")
    await call.settled()
    await call.hears_exactly(ben, speech[:20])


async def test_a_new_epoch_that_reaches_us_late_costs_no_frame(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    call.faults.commit_delay_s = 0.4
    talking = asyncio.create_task(anna.say_packets(itertools.cycle(speech)), name="anna talks")
    await call.until(lambda: call.counters.frames >= 10)
    ben = await call.person("Ben")
    await call.until(lambda: call.counters.held_dave)
    anna.mute()
    await talking
    await call.until(lambda: call.exact(anna))
    assert call.counters.dropped_dave_no_key == 0
    await call.settled()
    await call.hears_exactly(ben, speech[:20])


@pytest.mark.parametrize("what", ["bad_proposals", "bad_commits"])
async def test_what_cannot_be_applied_costs_what_is_said_until_we_are_added_anew_and_no_more(
    call: Call, what: str, speech: list[bytes]
) -> None:
    """Op 27 or 29 makes no sense to us: op 31 is answered, and meanwhile we lack the keys of the others' epoch."""
    (anna,) = await call.together("Anna")
    group = call.voice.calls[call.sandbox.voice_channel.id].group
    setattr(call.faults, what, 1)
    talking = asyncio.create_task(anna.say_packets(speech * 2), name="anna talks")
    await call.until(lambda: call.counters.frames >= 5)
    ben = await call.person("Ben")
    await call.until(lambda: group.counters["commits_invalid"] == 1)  # op 31 was said, and taken
    await call.settled()
    after = len(anna.spoken)
    await talking
    counters = call.counters
    spoken, heard = [frame.opus for frame in anna.spoken], call.opus[anna.user_id]

    def all_accounted_for() -> bool:
        """What nobody can decrypt is given up; the socket is read every 20 ms, so the last packets come later."""
        return len(spoken) - len(heard) == counters.dropped_dave_no_key + counters.dropped_dave_not_in_group

    await call.until(lambda: call.link is not None and call.link.receiver._hold.empty and all_accounted_for())
    rest = iter(spoken)
    assert all(packet in rest for packet in heard)  # in order, and nothing that was not said
    assert heard[len(heard) - len(spoken) + after :] == spoken[after:]  # nothing of what came after we were added
    await asyncio.gather(call.hears_exactly(anna, speech[:20]), call.hears_exactly(ben, speech[20:40]))
    assert counters.gateway_errors == (what == "bad_proposals")
    assert counters.reconnects == 0


async def test_a_downgrade_to_no_encryption_and_back_costs_no_frame(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    talking = asyncio.create_task(anna.say_packets(itertools.cycle(speech)), name="anna talks")
    group = call.voice.calls[call.sandbox.voice_channel.id].group
    await call.until(lambda: call.counters.frames >= 15)
    group.downgrade()
    await call.until(lambda: call.link is not None and call.link.dave()[1] == 0)
    before = call.counters.frames
    await call.until(lambda: call.counters.frames >= before + 15)
    group.upgrade()
    await call.settled()
    after = call.counters.frames
    await call.until(lambda: call.counters.frames >= after + 15)
    anna.mute()
    await talking
    await call.until(lambda: call.exact(anna))
    assert call.link is not None
    assert call.link.dave()[1] == 1
    await call.hears_exactly(anna, speech[:20])


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
    await call.until(lambda: call.counters.gateway_errors >= 1)
    await call.hears_exactly(anna, speech[:20])
    assert call.link is not None
    assert call.link.watching
    assert call.counters.reconnects == 0

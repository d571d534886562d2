"""What people do in a call, live: they come and go, talk at once, fall silent, come back as somebody new."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import numpy as np
import pytest

from bot.voice import LinkState
from tests.fakes.call import Call
from tests.fakes.waiting import Stopwatch

pytestmark = pytest.mark.integration


async def test_three_talk_at_once_and_each_is_heard_apart(call: Call, speech: list[bytes]) -> None:
    people = await call.together("Anna", "Ben", "Cleo")
    await asyncio.gather(*(call.hears(person, speech[i * 40 :][:40]) for i, person in enumerate(people)))
    assert all(call.exact(person) for person in people)
    assert call.counters.dropped_dave_no_key == 0


async def test_everybody_who_comes_later_is_heard_and_the_others_go_on_through_each_epoch(
    call: Call, speech: list[bytes]
) -> None:
    (anna,) = await call.together("Anna")
    talking = asyncio.create_task(anna.say_packets(speech), name="anna talks")
    for name in ("Ben", "Cleo", "Dora"):
        newcomer = await call.person(name)
        await call.settled()
        await call.hears(newcomer, speech[:10])
        assert call.exact(newcomer)
        await newcomer.leave()
    await talking
    await call.until(lambda: call.exact(anna))
    assert call.counters.dropped_dave_no_key == 0


async def test_a_person_who_is_not_included_is_never_decrypted(call: Call, speech: list[bytes]) -> None:
    anna = await call.person("Anna")
    eve = await call.person("Eve", included=False)
    link = await call.listen()
    await call.settled()
    await asyncio.gather(call.hears(anna, speech[:40]), eve.say_packets(speech[:40]))
    await call.until(lambda: call.counters.dropped_excluded >= len(eve.spoken))
    assert call.exact(anna)
    assert set(call.heard.frames) == {str(anna.user_id)}
    session: Any
    session, version = link.dave()
    assert version == 1
    assert session.get_decryption_stats(anna.user_id).attempts == 40  # silence passes DAVE as it is
    stats = session.get_decryption_stats(eve.user_id)
    assert stats is None or stats.attempts == 0


async def test_withdrawing_takes_effect_with_the_next_packet(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    link = call.link
    assert link is not None
    talking = asyncio.create_task(anna.say_packets(speech), name="anna talks")
    await call.until(lambda: len(call.opus[anna.user_id]) >= 30)
    call.included.clear()
    link.discard(anna.user_id)
    heard = len(call.opus[anna.user_id])
    await talking
    counters = call.counters
    await call.until(lambda: heard + counters.dropped_excluded + counters.dropped_withdrawn >= 150 + 5)
    assert len(call.opus[anna.user_id]) == heard


async def test_a_mute_in_mid_word_ends_speech_within_its_time(call: Call, speech: list[bytes]) -> None:
    anna = await call.person("Anna", pace=1.0)
    await call.listen()
    await call.settled()
    assert call.link is not None
    key, speaker = str(anna.user_id), call.link.receiver.speaker(anna.user_id)
    async with Stopwatch() as watch:
        talking = asyncio.create_task(anna.say_packets(speech), name="anna talks")
        await call.until(lambda: len(call.opus[anna.user_id]) >= 40)
        anna.mute()
        await talking
        await call.until(
            lambda: (
                call.heard.silences[key] and call.heard.silences[key][-1] >= call.heard.spans(key)[-1][1] + 0.6 * 16_000
            )
        )
        quiet_s = asyncio.get_running_loop().time() - speaker.last_decrypted_s
    assert 0.6 <= quiet_s < 0.9 + watch.late_s
    assert call.exact(anna)


@pytest.mark.parametrize("silence_frames", [0, 5])
async def test_pauses_with_and_without_silence_frames_keep_their_length(
    call: Call, speech: list[bytes], silence_frames: int
) -> None:
    anna = await call.person("Anna", pace=1.0)
    await call.listen()
    await call.settled()
    async with Stopwatch() as watch:
        first = await anna.say_packets(speech[:20], silence_frames=silence_frames)
        await asyncio.sleep(0.7)
        second = await anna.say_packets(speech[20:40], silence_frames=silence_frames)
        await call.until(lambda: call.exact(anna))
    spans = call.heard.spans(str(anna.user_id))
    (gap_s,) = [(after[0] - before[1]) / 16_000 for before, after in itertools.pairwise(spans) if after[0] > before[1]]
    quiet_s = ((second[0].timestamp - first[-1].timestamp) & 0xFFFFFFFF) / 48_000 - 0.02
    assert 0.7 - 0.04 <= quiet_s <= 0.7 + 0.06 + watch.late_s
    assert quiet_s - 0.06 <= gap_s <= quiet_s + 0.06 + watch.late_s
    assert call.counters.concealed == 0


@pytest.mark.parametrize("cut", [False, True])
async def test_a_person_who_reconnects_has_a_new_ssrc_and_is_heard_on(
    call: Call, speech: list[bytes], cut: bool
) -> None:
    anna, ben = await call.together("Anna", "Ben")
    await call.hears(anna, speech[:30])
    before = anna.ssrc
    await anna.reconnect(cut=cut)
    assert anna.ssrc != before
    await call.settled()
    await asyncio.gather(call.hears(anna, speech[30:60]), call.hears(ben, speech[60:90]))
    assert call.exact(anna)
    assert call.exact(ben)
    spans = call.heard.spans(str(anna.user_id))
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))


async def test_a_person_who_changes_the_channel_is_gone_and_is_heard_when_back(call: Call, speech: list[bytes]) -> None:
    anna, ben = await call.together("Anna", "Ben")
    other = call.sandbox.add_voice_channel("Elsewhere")
    await call.hears(anna, speech[:20])
    await anna.join(other.id)
    await anna.say_packets(speech[20:40])
    await call.hears(ben, speech[:20])
    heard = len(call.opus[anna.user_id])
    assert heard == 25
    await anna.join(call.sandbox.voice_channel.id)
    await call.settled()
    await call.hears(anna, speech[40:60])
    assert call.opus[anna.user_id][heard:] == [frame.opus for frame in anna.spoken][-25:]
    assert call.exact(ben)


async def test_the_bot_is_alone_and_is_joined_again(call: Call, speech: list[bytes]) -> None:
    (anna,) = await call.together("Anna")
    await call.hears(anna, speech[:10])
    await anna.leave()
    await call.until(lambda: set(call.voice.calls[call.sandbox.voice_channel.id].members) == {call.bot_id})
    assert call.link is not None
    assert call.link.state is LinkState.LISTENING
    ben = await call.person("Ben")
    await call.settled()
    await call.hears(ben, speech[:20])
    assert call.exact(ben)
    assert call.exact(anna)
    assert call.counters.reconnects == 0


async def test_the_bot_alone_in_the_channel_first_hears_the_first_to_come(call: Call, speech: list[bytes]) -> None:
    await call.listen()
    anna = await call.person("Anna")
    await call.settled()
    await call.hears(anna, speech[:20])
    assert call.exact(anna)


async def test_what_the_bot_plays_is_heard_by_people(call: Call) -> None:
    anna = await call.person("Anna", listening=True)
    link = await call.listen()
    await call.settled()
    chime = np.sin(np.arange(4_800)[:, None] * [0.05, 0.05]).astype(np.float32) * 0.1
    assert await link.play(chime)
    await call.until(lambda: len(anna.heard.get(call.bot_id, [])) >= 10)
    loud = (chime * 32_767).astype("<i2").tobytes()
    assert await link.play(loud)
    await link.close()
    assert not await link.play(loud)

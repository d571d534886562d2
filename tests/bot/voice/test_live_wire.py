"""What the network does to datagrams, live: the frames are exact, except those that the wire took away."""

from __future__ import annotations

import asyncio

import pytest

from bot.voice import jitter
from sandbox.voice import WirePlan
from tests.fakes.call import Call

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wire reorders by packets; a busy machine stretches that beyond the 60 ms that other tests hold to."""
    monkeypatch.setattr(jitter, "WAIT_S", 0.4)


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(WirePlan(), id="a clean wire"),
        pytest.param(WirePlan(seed=1, duplicate=0.5), id="duplicates"),
        pytest.param(WirePlan(seed=2, reorder=0.2), id="reordering"),
        pytest.param(WirePlan(seed=3, jitter_s=0.04), id="jitter"),
        pytest.param(WirePlan(seed=4, extension=0.8), id="header extensions"),
        pytest.param(WirePlan(seed=5, padding=0.8), id="padding"),
        pytest.param(WirePlan(seed=6, padding_burst=0.2), id="bursts of padding alone"),
        pytest.param(WirePlan(seed=7, foreign=0.5), id="other payload types"),
        pytest.param(WirePlan(seed=8, garbage=0.9), id="garbage"),
        pytest.param(
            WirePlan(seed=9, duplicate=0.2, reorder=0.1, extension=0.5, padding=0.5, padding_burst=0.1, garbage=0.3),
            id="all of it but loss",
        ),
    ],
)
async def test_what_does_not_lose_packets_loses_no_frame(call: Call, plan: WirePlan, speech: list[bytes]) -> None:
    anna, ben = await call.together("Anna", "Ben")
    # Of what one key sealed, davey opens nothing that was sent before the first packet that it opened: begin in order.
    await asyncio.gather(call.hears_exactly(anna, speech[140:145]), call.hears_exactly(ben, speech[145:]))
    call.faults.wire.use(plan)
    await asyncio.gather(call.hears(anna, speech[:60]), call.hears(ben, speech[60:120]))
    assert call.exact(anna)
    assert call.exact(ben)
    counters = call.counters
    assert (counters.lost, counters.concealed, counters.internal_errors) == (0, 0, 0)
    assert counters.frames == len(anna.spoken) + len(ben.spoken)


async def test_the_first_packet_that_others_overtake_is_heard(call: Call, speech: list[bytes]) -> None:
    """They are put in order before the first of them is decrypted: here they wait for whose they are."""
    (anna,) = await call.together("Anna")
    call.faults.speaking_delay_s = 0.3
    call.faults.wire.use(WirePlan(seed=4, reorder=0.2))
    await call.hears(anna, speech[:10])
    assert call.faults.wire.counters["reordered"]
    assert anna.spoken[0].opus == call.opus[anna.user_id][0]
    assert call.exact(anna)


async def test_loss_costs_the_packets_that_were_lost_and_no_more(call: Call, speech: list[bytes]) -> None:
    anna, ben = await call.together("Anna", "Ben")
    call.faults.wire.use(WirePlan(seed=11, loss=0.1, reorder=0.05, duplicate=0.1, padding=0.2, extension=0.2))
    await asyncio.gather(anna.say_packets(speech[:100]), ben.say_packets(speech[50:]))
    call.voice.drain()
    lost = {(packet.ssrc, packet.sequence) for packet in call.faults.wire.lost}
    assert lost
    for speaker in (anna, ben):
        arrived = [frame.opus for frame in speaker.spoken if (frame.ssrc, frame.sequence) not in lost]
        heard = call.opus[speaker.user_id]
        await call.until(lambda heard=heard, arrived=arrived: len(heard) >= len(arrived))  # type: ignore[misc]
        assert heard == arrived
    inside = call.counters.lost
    assert len(lost) - 4 <= inside <= len(lost)  # a loss at either end of a stream has no gap around it to be seen


async def test_a_flood_of_100_000_datagrams_of_any_size_changes_nothing_but_counters(
    call: Call, speech: list[bytes]
) -> None:
    (anna,) = await call.together("Anna")
    chunk = bytes(range(256)) * 8
    sent = 0

    async def flood() -> None:
        nonlocal sent
        while sent < 100_000:
            for _ in range(100):  # what fits into the system's buffer at once
                size = sent * 7 % 1_500
                start = b"\x80\x78" if sent % 3 else b"\x80\xc9"
                call.voice.send_datagram(call.bot_id, (start + chunk)[:size])
                sent += 1
            await asyncio.sleep(0)

    flooding = asyncio.create_task(flood(), name="flood")
    while not flooding.done():
        await call.hears(anna, speech[:50], 1.0)
    await flooding
    await call.hears(anna, speech[50:60])
    assert call.exact(anna)
    counters = call.counters
    assert counters.datagrams >= 100_000
    assert counters.internal_errors == 0
    assert counters.frames == len(anna.spoken)
    assert set(call.heard.frames) == {str(anna.user_id)}

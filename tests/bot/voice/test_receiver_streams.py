"""The receiver over time, on a made-up clock: loss, order, streams that change, ends of speech, floods, nonsense."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.voice.hold import MAX_STREAMS
from ser_engine import opus
from ser_engine.types import PcmFrame
from tests.fakes.rtp import RtpSender
from tests.fakes.voice import Ears, FakeConnection, FakeDave, under_dave

pytestmark = pytest.mark.unit

SSRC = 77


def test_loss_is_concealed_where_it_happened(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    ears.stream(sender, speech[:50])
    sender.skip(3)
    ears.wait(0.06)
    ears.stream(sender, speech[53:])
    assert ears.opus[1] == speech[:50] + speech[53:]
    concealed = [span for span in ears.heard.spans("1") if span[2]]
    begin = ears.heard.spans("1")[0][0]
    assert [(start - begin) // 320 for start, _, _ in concealed] == [50, 51, 52]
    assert (ears.counters.lost, ears.counters.concealed) == (3, 3)
    assert len(ears.heard.pcm("1")) == 150 * 320


def test_duplicates_are_heard_once(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    for packet in speech:
        datagram = sender.packet(packet)
        ears.take(datagram, datagram)
        ears.wait(0.02)
    assert ears.opus[1] == speech
    assert ears.counters.dropped_duplicate == 150


def test_reordering_costs_nothing(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    datagrams = [sender.packet(packet) for packet in speech]
    chance = random.Random(7)  # noqa: S311 - a seeded order, no secret
    arrivals = sorted((i * 0.02 + chance.uniform(0, 0.05), datagram) for i, datagram in enumerate(datagrams))
    clock = 0.0
    for at_s, datagram in arrivals:
        while clock + 0.02 <= at_s:
            clock += 0.02
            ears.wait(0.02)
        ears.take(datagram)
    ears.wait(0.1)
    assert ears.opus[1] == speech
    assert ears.counters.lost == 0


def test_a_new_ssrc_is_a_new_stream_on_the_same_timeline(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    ears.stream(sender, speech[:50])
    ears.wait(0.5)
    ears.receiver.speaking(1, 4_321)
    ears.stream(RtpSender(ssrc=4_321, sequence=9, timestamp=1 << 30), speech[50:100])
    ears.wait(0.1)
    assert ears.opus[1] == speech[:100]
    spans = ears.heard.spans("1")
    steps = [(before[1], after[0]) for before, after in itertools.pairwise(spans)]
    assert all(end <= begin for end, begin in steps)
    (pause_s,) = [(begin - end) / 16_000 for end, begin in steps if begin > end]
    assert pause_s == pytest.approx(0.5, abs=0.07)
    assert ears.counters.ssrc_changes == 1


def test_a_stray_that_waits_when_its_stream_ends_is_counted(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    ears.stream(sender, speech[:10])
    sender.skip(1_000)
    ears.take(sender.packet(speech[10]))
    ears.receiver.connection_began()
    assert ears.opus[1] == speech[:10]
    assert ears.counters.dropped_stray == 1


def test_what_waits_of_the_oldest_of_many_streams_is_heard_when_another_begins(ears: Ears, speech: list[bytes]) -> None:
    for number in range(5):
        ears.receiver.speaking(1, 500 + number)
        ears.take(RtpSender(ssrc=500 + number, sequence=9).packet(speech[number]))
    ears.wait(0.2)
    assert sorted(ears.opus[1]) == sorted(speech[:5])


def test_another_connection_forgets_ssrcs_and_keeps_the_timeline(
    ears: Ears, sender: RtpSender, speech: list[bytes]
) -> None:
    ears.stream(sender, speech[:50])
    ears.receiver.datagram(sender.packet(speech[50]))
    ears.receiver.connection_began()
    ears.stream(sender, speech[51:60])
    assert ears.counters.dropped_stale == 1
    assert ears.opus[1] == speech[:50]
    ears.receiver.speaking(1, 5)
    ears.stream(RtpSender(ssrc=5), speech[60:100])
    spans = ears.heard.spans("1")
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    assert ears.opus[1] == speech[:50] + speech[60:100]


@pytest.mark.parametrize("silence_frames", [0, 5])
def test_the_end_of_speech_is_told_within_its_time_with_and_without_silence_frames(
    ears: Ears, sender: RtpSender, speech: list[bytes], silence_frames: int
) -> None:
    ears.stream(sender, speech[:50] + [opus.SILENCE] * silence_frames)
    end = ears.heard.spans("1")[-1][1]
    ears.wait(0.62)
    told = ears.heard.silences["1"]
    assert told == sorted(told)
    assert told[-1] - end >= 0.5 * 16_000
    before = len(told)
    ears.wait(10.0)
    assert told[-1] - end >= 16_000
    assert len(told) - before <= 6  # and then it is quiet about the quiet
    assert not ears.receiver.tick()


def test_silence_is_not_told_while_speech_waits_for_its_keys(speech: list[bytes]) -> None:
    session, ears, sender = under_dave(SSRC)
    ears.stream(sender, [session.encrypt(packet) for packet in speech[:10]])
    ears.stream(sender, [session.encrypt(packet, epoch=2) for packet in speech[10:60]])
    assert ears.heard.silences["1"] == []
    session.epochs.add(2)
    ears.receiver.keys_changed()
    ears.work()
    ears.wait(0.6)
    assert ears.heard.silences["1"][0] > ears.heard.spans("1")[-1][1]


def test_a_stalled_event_loop_is_not_taken_for_silence(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    ears.stream(sender, speech[:10])
    ears.clock.advance(0.9)
    ears.receiver.tick()
    assert ears.heard.silences["1"] == []


def test_packets_of_others_that_wait_keep_nobodys_silence_back(
    ears: Ears, sender: RtpSender, speech: list[bytes]
) -> None:
    ears.stream(sender, speech[:10])
    ears.receiver.speaking(2, SSRC + 1)
    others = RtpSender(ssrc=SSRC + 1)
    for packet in speech[:10]:
        ears.receiver.datagram(others.packet(packet))
    for _ in range(8):  # more comes than a turn works off
        ears.clock.advance(0.1)
        ears.receiver.tick()
    assert ears.heard.silences["1"]


def test_who_leaves_is_heard_to_the_end(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    ears.stream(sender, speech[:10])
    ears.receiver.left(1)
    ears.stream(sender, speech[10:12])
    ears.wait(2.0)
    assert ears.opus[1] == speech[:12]
    ears.stream(sender, speech[12:14])
    ears.wait(2.0)
    assert ears.opus[1] == speech[:12]
    assert ears.counters.dropped_unknown == 2


def test_who_comes_back_at_once_is_not_forgotten(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    ears.stream(sender, speech[:10])
    ears.receiver.left(1)
    ears.receiver.speaking(1, 4_321)
    ears.wait(2.0)
    ears.stream(RtpSender(ssrc=4_321), speech[10:20])
    ears.wait(0.1)
    assert ears.opus[1] == speech[:20]


def test_24_hours_of_talk_now_and_then_stay_exact_and_where_they_belong(speech: list[bytes]) -> None:
    ears = Ears()
    ears.receiver.speaking(1, SSRC)
    sender = RtpSender(ssrc=SSRC, sequence=60_000, timestamp=0xFFFFFFFF - 10 * 48_000)
    spoken: list[bytes] = []
    for hour in range(25):
        ears.stream(sender, speech[:25])
        spoken += speech[:25]
        ears.wait(1.3)
        clock = ears.receiver.now_samples()
        assert abs(ears.heard.spans("1")[-1][1] - clock + 1.3 * 16_000) < 0.1 * 16_000, hour
        ears.clock.advance(3_600 - 1.8)
        sender.pause(int((3_600 - 0.5) * 48_000))
    ears.wait(0.1)
    assert ears.opus[1] == spoken
    assert ears.counters.lost == ears.counters.concealed == 0


def test_a_flood_of_garbage_changes_nothing_but_counters(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    chance = random.Random(3)  # noqa: S311 - seeded garbage, no secret
    flood = [chance.randbytes(chance.randrange(0, 1_500)) for _ in range(2_000)]
    ear_shaped = [b"\x80\x78" + garbage for garbage in flood[:200]]
    known = [b"\x80\x78" + garbage[:6] + SSRC.to_bytes(4, "big") + garbage for garbage in flood[:100]]
    sent = 0
    for index, packet in enumerate(speech):
        for _ in range(660):
            ears.receiver.datagram(flood[sent % 2_000])
            sent += 1
        ears.take(*ear_shaped[index % 200 : index % 200 + 5], *known[index % 100 : index % 100 + 2])
        ears.take(sender.packet(packet))
        ears.wait(0.02)
    assert sent == 99_000
    assert ears.opus[1] == speech
    assert ears.heard.frames.keys() == {"1"}
    ears.wait(2.0)
    counters = ears.counters
    assert counters.frames == 150
    assert counters.internal_errors == 0
    # Every datagram is accounted for: it is a frame or it has its reason.
    assert counters.datagrams == counters.frames + counters.dropped


def test_the_hold_is_bounded_and_a_flood_of_made_up_senders_does_not_push_out_a_newcomer(speech: list[bytes]) -> None:
    ears, newcomer = Ears(), RtpSender(ssrc=SSRC)
    ears.take(newcomer.packet(speech[0]), newcomer.packet(speech[1]))
    for ssrc in range(10_000, 10_000 + 3 * MAX_STREAMS):
        ears.receiver.datagram(RtpSender(ssrc=ssrc).packet(b"flood"))
    assert ears.counters.dropped_overflow == 2 * MAX_STREAMS + 1
    ears.receiver.speaking(1, SSRC)
    ears.work()
    ears.wait(0.1)
    assert ears.opus[1] == speech[:2]


def test_a_listener_that_fails_makes_nobody_deaf(sender: RtpSender, speech: list[bytes]) -> None:
    ears = Ears()
    ears.receiver.speaking(1, SSRC)
    good, calls = ears.heard.frame, 0

    def failing(frame: PcmFrame) -> None:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise RuntimeError("a defect elsewhere")
        good(frame)

    ears.heard.frame = failing
    ears.stream(sender, speech[:20])
    assert calls >= 16
    assert len(ears.heard.frames["1"]) == calls // 2
    assert ears.counters.internal_errors == calls - calls // 2
    assert ears.opus[1] == speech[:20]


def test_a_consent_gate_that_fails_includes_nobody(sender: RtpSender, speech: list[bytes]) -> None:
    ears = Ears()
    ears.receiver.speaking(1, SSRC)

    def failing(user_id: int) -> bool:
        raise LookupError(user_id)

    ears.receiver._consent = failing
    ears.stream(sender, speech[:5])
    assert ears.connection.transport_asked == 0
    assert ears.counters.dropped_excluded == 5


@settings(max_examples=50, deadline=None)
@given(
    datagrams=st.lists(
        st.one_of(
            st.binary(max_size=100),
            st.binary(max_size=60).map(lambda media: RtpSender(ssrc=SSRC).packet(media)),
            st.tuples(st.binary(max_size=60), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)).map(
                lambda t: RtpSender(ssrc=SSRC, sequence=t[1], timestamp=t[2]).packet(t[0])
            ),
        ),
        max_size=40,
    ),
    version=st.integers(0, 1),
)
def test_no_datagram_makes_the_layer_raise_and_none_goes_uncounted(datagrams: list[bytes], version: int) -> None:
    ears = Ears(connection=FakeConnection(session=FakeDave(), version=version))
    ears.receiver.speaking(1, SSRC)
    for datagram in datagrams:
        ears.take(datagram)
        ears.wait(0.02)
    ears.wait(2.0)
    counters = ears.counters
    assert counters.internal_errors == 0
    assert counters.datagrams == len(datagrams) == counters.frames + counters.dropped

"""The receiver from datagram to frame, with everything around it made up and a clock that does what it is told."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.voice import opus
from bot.voice.hold import HOLD_PACKETS
from tests.fakes.rtp import RtpSender
from tests.fakes.voice import Ears, FakeConnection, FakeDave

pytestmark = pytest.mark.unit

SSRC = 77


def stream(ears: Ears, sender: RtpSender, packets: list[bytes], **kwargs: int) -> None:
    """Packets every 20 ms, as they are spoken."""
    for packet in packets:
        ears.take(sender.packet(packet, **kwargs))
        ears.wait(0.02)


@pytest.fixture
def ears() -> Ears:
    ears = Ears()
    ears.receiver.speaking(1, SSRC)
    return ears


@pytest.fixture
def sender() -> RtpSender:
    return RtpSender(ssrc=SSRC, sequence=65_500, timestamp=0xFFFFFF00)


def test_what_was_spoken_comes_out_exactly_in_one_piece(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    stream(ears, sender, speech)
    assert ears.opus[1] == speech
    decoder = opus.Decoder()
    assert np.array_equal(ears.heard.pcm("1"), np.concatenate([decoder.decode(packet) for packet in speech]))
    spans = ears.heard.spans("1")
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))
    counters = ears.counters
    assert (counters.frames, counters.dropped, counters.lost, counters.concealed) == (150, 0, 0, 0)


def test_no_decryption_of_any_kind_is_called_for_a_person_who_is_not_included(speech: list[bytes]) -> None:
    session = FakeDave()
    connection = FakeConnection(session=session, version=1)
    ears = Ears(included={1}, connection=connection)
    for user_id in (1, 2):
        ears.receiver.speaking(user_id, SSRC + user_id)
    outsider = RtpSender(ssrc=SSRC + 2)
    stream(ears, outsider, [session.encrypt(packet) for packet in speech])
    assert connection.transport_asked == 0
    assert session.asked == []
    assert ears.counters.dropped_excluded == 150
    assert not ears.heard.frames
    # The same call hears the person who is included, so the silence above is consent and not deafness.
    stream(ears, RtpSender(ssrc=SSRC + 1), [session.encrypt(packet) for packet in speech[:10]])
    assert ears.opus == {1: speech[:10]}
    assert set(session.asked) == {1}


def test_an_unknown_sender_is_excluded_and_not_decrypted_even_after_the_hold(ears: Ears, speech: list[bytes]) -> None:
    stream(ears, RtpSender(ssrc=999), speech[:20])
    ears.wait(2.0)
    assert ears.connection.transport_asked == 0
    assert ears.counters.dropped_unknown == 20


def test_packets_that_come_before_their_owner_is_known_are_heard_when_it_is(speech: list[bytes]) -> None:
    ears, sender = Ears(), RtpSender(ssrc=SSRC)
    stream(ears, sender, speech[:60])
    assert ears.connection.transport_asked == 0
    ears.receiver.speaking(1, SSRC)
    ears.work()
    stream(ears, sender, speech[60:])
    assert ears.opus[1] == speech
    assert ears.counters.held_unknown == 60
    # They stand where they were spoken, not where they were told.
    assert ears.heard.frames["1"][0].t_samples < 16_000 // 50


def test_packets_held_for_a_stranger_are_dropped_unheard_when_the_owner_is_not_included(speech: list[bytes]) -> None:
    ears, sender = Ears(included=set()), RtpSender(ssrc=SSRC)
    stream(ears, sender, speech[:10])
    ears.receiver.speaking(1, SSRC)
    ears.work()
    assert ears.connection.transport_asked == 0
    assert ears.counters.dropped_excluded == 10


def test_withdrawing_works_with_the_next_packet_and_forgets_what_waits(speech: list[bytes]) -> None:
    session = FakeDave()
    ears = Ears(connection=FakeConnection(session=session, version=1))
    ears.receiver.speaking(1, SSRC)
    sender = RtpSender(ssrc=SSRC)
    stream(ears, sender, [session.encrypt(packet) for packet in speech[:10]])
    sender.skip()
    ears.take(sender.packet(session.encrypt(speech[11])))  # waits for the one that is missing
    ears.take(sender.packet(session.encrypt(speech[12], epoch=2)))  # waits for its keys
    ears.receiver.datagram(sender.packet(session.encrypt(speech[13])))  # waits for its turn
    ears.included.clear()
    ears.receiver.discard(1)
    assert ears.counters.dropped_withdrawn == 3
    session.epochs.add(2)
    ears.receiver.keys_changed()
    ears.take(sender.packet(session.encrypt(speech[14])))
    ears.wait(0.5)
    assert ears.opus[1] == speech[:10]
    assert ears.counters.dropped_excluded == 1


def test_an_epochs_keys_that_come_late_cost_no_packet(speech: list[bytes]) -> None:
    session = FakeDave()
    ears = Ears(connection=FakeConnection(session=session, version=1))
    ears.receiver.speaking(1, SSRC)
    sender = RtpSender(ssrc=SSRC)
    stream(ears, sender, [session.encrypt(packet) for packet in speech[:50]])
    stream(ears, sender, [session.encrypt(packet, epoch=2) for packet in speech[50:120]])
    assert len(ears.opus[1]) == 50
    session.epochs.add(2)
    ears.receiver.keys_changed()
    ears.work()
    stream(ears, sender, [session.encrypt(packet, epoch=2) for packet in speech[120:]])
    assert ears.opus[1] == speech
    spans = ears.heard.spans("1")
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))
    assert ears.counters.held_dave == 70
    assert ears.counters.dropped == 0


@pytest.mark.parametrize(
    ("failure", "counter"),
    [
        ("UnencryptedWhenPassthroughDisabled", "dropped_dave_unencrypted"),
        ("NoValidCryptorFound", "dropped_dave_no_key"),
        ("NoDecryptorForUser", "dropped_dave_not_in_group"),
        ("a new kind", "dropped_dave_other"),
    ],
)
def test_keys_that_never_come_are_counted_by_kind_after_the_hold(
    failure: str, counter: str, speech: list[bytes]
) -> None:
    session = FakeDave()
    session.failure = ValueError(failure)
    ears = Ears(connection=FakeConnection(session=session, version=1))
    ears.receiver.speaking(1, SSRC)
    stream(ears, RtpSender(ssrc=SSRC), speech[:100])
    assert ears.receiver.deaf_to() == []  # 2 s are not over yet
    stream(ears, RtpSender(ssrc=SSRC, sequence=100, timestamp=96_000), speech[100:])
    assert ears.receiver.deaf_to() == [1]
    ears.wait(1.6)
    assert ears.counters.as_dict()[counter] == 150
    assert ears.counters.frames == 0


def test_a_packet_sealed_with_another_connections_key_is_counted_and_dropped(ears: Ears, speech: list[bytes]) -> None:
    stream(ears, RtpSender(ssrc=SSRC, key=bytes(32)), speech[:5])
    assert ears.counters.dropped_transport == 5


def test_the_key_is_read_for_each_packet(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    stream(ears, sender, speech[:5])
    sender.key = ears.connection.key = bytes(reversed(range(32)))
    stream(ears, sender, speech[5:10])
    assert ears.opus[1] == speech[:10]


def test_packets_that_overtake_the_transports_key_wait(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    key, ears.connection.key = ears.connection.key, None
    stream(ears, sender, speech[:20])
    ears.connection.key = key
    ears.receiver.keys_changed()
    ears.work()
    stream(ears, sender, speech[20:])
    assert ears.opus[1] == speech


@pytest.mark.parametrize("surroundings", [{"padding": 40}, {"extension": 1}, {"csrcs": 3}, {"marker": 1}])
def test_extension_padding_and_sources_are_stripped(
    ears: Ears, sender: RtpSender, speech: list[bytes], surroundings: dict[str, int]
) -> None:
    extension = b"\xbe\xde\x00\x01" if surroundings.pop("extension", 0) else b""
    for packet in speech:
        ears.take(sender.packet(packet, extension=extension, **surroundings))
        ears.wait(0.02)
    assert ears.opus[1] == speech


def test_padding_alone_is_dropped_and_is_no_gap(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    stream(ears, sender, speech[:20])
    for _ in range(10):
        ears.take(sender.packet(b"", padding=200))
        sender.pause(-960)
    ears.wait(0.02)
    stream(ears, sender, speech[20:40])
    assert ears.opus[1] == speech[:40]
    assert (ears.counters.dropped_padding, ears.counters.lost, ears.counters.concealed) == (10, 0, 0)


def test_other_payload_types_never_reach_the_queue(ears: Ears, sender: RtpSender) -> None:
    stream(ears, sender, [b"video"] * 5, payload_type=101)
    assert ears.counters.dropped_not_audio == 5


def test_loss_is_concealed_where_it_happened(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    stream(ears, sender, speech[:50])
    sender.skip(3)
    ears.wait(0.06)
    stream(ears, sender, speech[53:])
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
    stream(ears, sender, speech[:50])
    ears.wait(0.5)
    ears.receiver.speaking(1, 4_321)
    stream(ears, RtpSender(ssrc=4_321, sequence=9, timestamp=1 << 30), speech[50:100])
    ears.wait(0.1)
    assert ears.opus[1] == speech[:100]
    spans = ears.heard.spans("1")
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    pause_s = (spans[50][0] - spans[49][1]) / 16_000
    assert pause_s == pytest.approx(0.5, abs=0.07)
    assert ears.counters.ssrc_changes == 1


def test_another_connection_forgets_ssrcs_and_keeps_the_timeline(
    ears: Ears, sender: RtpSender, speech: list[bytes]
) -> None:
    stream(ears, sender, speech[:50])
    ears.receiver.datagram(sender.packet(speech[50]))
    ears.receiver.connection_began()
    stream(ears, sender, speech[51:60])
    assert ears.counters.dropped_stale == 1
    assert ears.opus[1] == speech[:50]
    ears.receiver.speaking(1, 5)
    stream(ears, RtpSender(ssrc=5), speech[60:100])
    spans = ears.heard.spans("1")
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    assert ears.opus[1] == speech[:50] + speech[60:100]


@pytest.mark.parametrize("silence_frames", [0, 5])
def test_the_end_of_speech_is_told_within_its_time_with_and_without_silence_frames(
    ears: Ears, sender: RtpSender, speech: list[bytes], silence_frames: int
) -> None:
    stream(ears, sender, speech[:50] + [opus.SILENCE] * silence_frames)
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
    session = FakeDave()
    ears = Ears(connection=FakeConnection(session=session, version=1))
    ears.receiver.speaking(1, SSRC)
    sender = RtpSender(ssrc=SSRC)
    stream(ears, sender, [session.encrypt(packet) for packet in speech[:10]])
    stream(ears, sender, [session.encrypt(packet, epoch=2) for packet in speech[10:60]])
    assert ears.heard.silences["1"] == []
    session.epochs.add(2)
    ears.receiver.keys_changed()
    ears.work()
    ears.wait(0.6)
    assert ears.heard.silences["1"][0] > ears.heard.spans("1")[-1][1]


def test_a_stalled_event_loop_is_not_taken_for_silence(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    stream(ears, sender, speech[:10])
    ears.clock.advance(0.9)
    ears.receiver.tick()
    assert ears.heard.silences["1"] == []


def test_who_leaves_is_heard_to_the_end(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    stream(ears, sender, speech[:10])
    ears.receiver.left(1)
    stream(ears, sender, speech[10:12])
    ears.wait(2.0)
    assert ears.opus[1] == speech[:12]
    stream(ears, sender, speech[12:14])
    ears.wait(2.0)
    assert ears.opus[1] == speech[:12]
    assert ears.counters.dropped_unknown == 2


def test_who_comes_back_at_once_is_not_forgotten(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    stream(ears, sender, speech[:10])
    ears.receiver.left(1)
    ears.receiver.speaking(1, 4_321)
    ears.wait(2.0)
    stream(ears, RtpSender(ssrc=4_321), speech[10:20])
    ears.wait(0.1)
    assert ears.opus[1] == speech[:20]


def test_24_hours_of_talk_now_and_then_stay_exact_and_where_they_belong(speech: list[bytes]) -> None:
    ears = Ears()
    ears.receiver.speaking(1, SSRC)
    sender = RtpSender(ssrc=SSRC, sequence=60_000, timestamp=0xFFFFFFFF - 10 * 48_000)
    spoken: list[bytes] = []
    for hour in range(25):
        stream(ears, sender, speech[:25])
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
    for ssrc in range(10_000, 10_000 + 3 * HOLD_PACKETS):
        ears.receiver.datagram(RtpSender(ssrc=ssrc).packet(b"flood"))
    assert ears.counters.dropped_overflow == 2 * HOLD_PACKETS + 2
    ears.receiver.speaking(1, SSRC)
    ears.work()
    ears.wait(0.1)
    assert ears.opus[1] == speech[:2]


def test_a_listener_that_fails_makes_nobody_deaf(sender: RtpSender, speech: list[bytes]) -> None:
    ears = Ears()
    ears.receiver.speaking(1, SSRC)
    good, calls = ears.heard.frame, 0

    def failing(frame: object) -> None:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise RuntimeError("a defect elsewhere")
        good(frame)

    ears.heard.frame = failing
    stream(ears, sender, speech[:20])
    assert len(ears.heard.frames["1"]) == 10
    assert ears.counters.internal_errors == 10


def test_a_consent_gate_that_fails_includes_nobody(sender: RtpSender, speech: list[bytes]) -> None:
    ears = Ears()
    ears.receiver.speaking(1, SSRC)

    def failing(user_id: int) -> bool:
        raise LookupError(user_id)

    ears.receiver._consent = failing
    stream(ears, sender, speech[:5])
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

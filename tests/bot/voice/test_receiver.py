"""The receiver from datagram to frame: who is heard, and with which keys. Everything around it is made up."""

from __future__ import annotations

import itertools
from typing import Any

import davey
import numpy as np
import pytest

from bot.voice.hold import HOLD_S, STREAM_PACKETS
from ser_engine import opus
from tests.fakes.rtp import KEY, RtpSender
from tests.fakes.voice import Ears, FakeConnection, FakeDave, under_dave

pytestmark = pytest.mark.unit

SSRC = 77


class PersonalDave(FakeDave):
    """Packets are sealed for one person, whose key opens no other's."""

    def seal(self, user_id: int, packet: bytes) -> bytes:
        return bytes([user_id]) + packet + b"\xfa\xfa"

    def decrypt(self, user_id: int, media_type: davey.MediaType, packet: bytes) -> bytes:
        if packet[0] != user_id:
            raise ValueError("Failed to decrypt: DecryptionFailed(NoValidCryptorFound)")
        return packet[1:-2]


class OnwardDave(FakeDave):
    """As davey: it opens nothing that was sealed before the first packet that it opened."""

    first: int | None = None

    def seal(self, number: int, packet: bytes) -> bytes:
        return bytes([number]) + packet + b"\xfa\xfa"

    def decrypt(self, user_id: int, media_type: davey.MediaType, packet: bytes) -> bytes:
        if self.first is None:
            self.first = packet[0]
        if packet[0] < self.first:
            raise ValueError("Failed to decrypt: DecryptionFailed(NoValidCryptorFound)")
        return packet[1:-2]


@pytest.mark.parametrize("named_first", [True, False])
@pytest.mark.parametrize("sequence", [7, 65_533], ids=["in the middle", "at the wrap"])
def test_the_first_packets_under_a_key_may_come_in_any_order(
    sequence: int, named_first: bool, speech: list[bytes]
) -> None:
    session = OnwardDave()
    ears = Ears(connection=FakeConnection(session=session, version=1))
    if named_first:
        ears.receiver.speaking(1, SSRC)
    sender = RtpSender(ssrc=SSRC, sequence=sequence)
    datagrams = [sender.packet(session.seal(number, speech[number])) for number in range(8)]
    for number in (3, 1, 0, 2, 7, 5, 6, 4):
        ears.receiver.datagram(datagrams[number])
    ears.receiver.speaking(1, SSRC)
    ears.work()
    ears.wait(0.1)
    assert ears.opus[1] == speech[:8]
    assert ears.counters.held_dave == 0


def test_what_was_spoken_comes_out_exactly_in_one_piece(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    ears.stream(sender, speech)
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
    ears.stream(outsider, [session.encrypt(packet) for packet in speech])
    assert connection.transport_asked == 0
    assert session.asked == []
    assert ears.counters.dropped_excluded == 150
    assert not ears.heard.frames
    # The same call hears the person who is included, so the silence above is consent and not deafness.
    ears.stream(RtpSender(ssrc=SSRC + 1), [session.encrypt(packet) for packet in speech[:10]])
    assert ears.opus == {1: speech[:10]}
    assert set(session.asked) == {1}


def test_an_unknown_sender_is_excluded_and_not_decrypted_even_after_the_hold(ears: Ears, speech: list[bytes]) -> None:
    ears.stream(RtpSender(ssrc=999), speech[:20])
    ears.wait(2.0)
    assert ears.connection.transport_asked == 0
    assert ears.counters.dropped_unknown == 20


def test_packets_that_come_before_their_owner_is_known_are_heard_when_it_is(speech: list[bytes]) -> None:
    ears, sender = Ears(), RtpSender(ssrc=SSRC)
    ears.stream(sender, speech[:60])
    assert ears.connection.transport_asked == 0
    ears.receiver.speaking(1, SSRC)
    ears.work()
    ears.stream(sender, speech[60:])
    assert ears.opus[1] == speech
    assert ears.counters.held_unknown == 60
    # They stand where they were spoken, not where they were told.
    assert ears.heard.frames["1"][0].t_samples < 16_000 // 50


def test_packets_held_for_a_stranger_are_dropped_unheard_when_the_owner_is_not_included(speech: list[bytes]) -> None:
    ears, sender = Ears(included=set()), RtpSender(ssrc=SSRC)
    ears.stream(sender, speech[:10])
    ears.receiver.speaking(1, SSRC)
    ears.work()
    assert ears.connection.transport_asked == 0
    assert ears.counters.dropped_excluded == 10


def test_withdrawing_works_with_the_next_packet_and_forgets_what_waits(speech: list[bytes]) -> None:
    session, ears, sender = under_dave(SSRC)
    ears.stream(sender, [session.encrypt(packet) for packet in speech[:10]])
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


def test_keys_that_come_while_the_loop_stands_still_cost_no_packet(speech: list[bytes]) -> None:
    session, ears, sender = under_dave(SSRC)
    ears.stream(sender, [session.encrypt(packet) for packet in speech[:10]])
    ears.take(sender.packet(session.encrypt(speech[10], epoch=2)))
    ears.clock.advance(2 * HOLD_S)
    ears.receiver.tick()
    session.epochs.add(2)
    ears.receiver.keys_changed()
    ears.work()
    assert ears.opus[1] == speech[:11]
    assert ears.counters.dropped == 0


def test_what_was_said_before_somebody_agreed_is_not_heard_though_it_is_found_out_later_whose_it_was(
    speech: list[bytes],
) -> None:
    ears = Ears(included=set())
    sender = RtpSender(ssrc=SSRC)
    ears.stream(sender, speech[:10])
    ears.receiver.discard(1)
    ears.included.add(1)
    ears.wait(0.02)
    ears.receiver.speaking(1, SSRC)
    ears.work()
    ears.stream(sender, speech[10:20])
    ears.wait(0.2)
    assert ears.opus[1] == speech[10:20]
    assert ears.counters.dropped_withdrawn == 10


def test_what_waited_for_the_transports_key_when_somebody_withdrew_stays_unheard_when_they_agree_again(
    ears: Ears, sender: RtpSender, speech: list[bytes]
) -> None:
    ears.connection.key = None
    ears.stream(sender, speech[:10])
    ears.included.clear()
    ears.receiver.discard(1)
    ears.wait(0.1)
    ears.receiver.discard(1)
    ears.included.add(1)
    ears.wait(0.02)
    ears.connection.key = KEY
    ears.receiver.keys_changed()
    ears.stream(sender, speech[10:20])
    ears.wait(0.2)
    assert ears.opus[1] == speech[10:20]


def test_whoever_comes_back_with_the_same_ssrc_is_heard_from_the_first_word(
    ears: Ears, sender: RtpSender, speech: list[bytes]
) -> None:
    ears.stream(sender, speech[:20])
    ears.receiver.left(1)
    back = RtpSender(ssrc=SSRC, sequence=30_000, timestamp=5)
    ears.stream(back, speech[20:30])  # before the word on whose it is now
    ears.receiver.speaking(1, SSRC)
    ears.work()
    ears.stream(back, speech[30:40])
    ears.wait(0.2)
    assert ears.opus[1] == speech[:40]
    assert ears.counters.dropped == 0


def test_an_epochs_keys_that_come_late_cost_no_packet(speech: list[bytes]) -> None:
    session, ears, sender = under_dave(SSRC)
    ears.stream(sender, [session.encrypt(packet) for packet in speech[:50]])
    ears.stream(sender, [session.encrypt(packet, epoch=2) for packet in speech[50:120]])
    assert len(ears.opus[1]) == 50
    session.epochs.add(2)
    ears.receiver.keys_changed()
    ears.work()
    ears.stream(sender, [session.encrypt(packet, epoch=2) for packet in speech[120:]])
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
    ears.stream(RtpSender(ssrc=SSRC), speech[:100])
    assert ears.receiver.deaf_to() == []  # 2 s are not over yet
    ears.stream(RtpSender(ssrc=SSRC, sequence=100, timestamp=96_000), speech[100:])
    assert ears.receiver.deaf_to() == [1]
    ears.wait(1.6)
    assert ears.counters.as_dict()[counter] == 150
    assert ears.counters.frames == 0


def test_a_packet_sealed_with_another_connections_key_is_counted_and_dropped(ears: Ears, speech: list[bytes]) -> None:
    ears.stream(RtpSender(ssrc=SSRC, key=bytes(32)), speech[:5])
    assert ears.counters.dropped_transport == 5


def test_the_key_is_read_for_each_packet(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    ears.stream(sender, speech[:5])
    sender.key = ears.connection.key = bytes(reversed(range(32)))
    ears.stream(sender, speech[5:10])
    assert ears.opus[1] == speech[:10]


def test_packets_that_overtake_the_transports_key_wait(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    key, ears.connection.key = ears.connection.key, None
    ears.stream(sender, speech[:20])
    ears.connection.key = key
    ears.receiver.keys_changed()
    ears.work()
    ears.stream(sender, speech[20:])
    assert ears.opus[1] == speech


@pytest.mark.parametrize("surroundings", [{"padding": 40}, {"extension": 1}, {"csrcs": 3}, {"marker": 1}])
def test_extension_padding_and_sources_are_stripped(
    ears: Ears, sender: RtpSender, speech: list[bytes], surroundings: dict[str, Any]
) -> None:
    extension = b"\xbe\xde\x00\x01" if surroundings.pop("extension", 0) else b""
    for packet in speech:
        ears.take(sender.packet(packet, extension=extension, **surroundings))
        ears.wait(0.02)
    assert ears.opus[1] == speech


def test_padding_alone_is_dropped_and_is_no_gap(ears: Ears, sender: RtpSender, speech: list[bytes]) -> None:
    ears.stream(sender, speech[:20])
    for _ in range(10):
        ears.take(sender.packet(b"", padding=200))
        sender.pause(-960)
    ears.wait(0.02)
    ears.stream(sender, speech[20:40])
    assert ears.opus[1] == speech[:40]
    assert (ears.counters.dropped_padding, ears.counters.lost, ears.counters.concealed) == (10, 0, 0)


def test_other_payload_types_never_reach_the_queue(ears: Ears, sender: RtpSender) -> None:
    ears.stream(sender, [b"video"] * 5, payload_type=101)
    assert ears.counters.dropped_not_audio == 5


def test_a_duplicate_number_counts_only_after_decryption(speech: list[bytes]) -> None:
    """A forged packet under a real one's number is refused by DAVE, and costs the real one nothing."""
    session = FakeDave()
    ears = Ears(connection=FakeConnection(session=session, version=1))
    ears.receiver.speaking(1, SSRC)
    forger, sender = RtpSender(ssrc=SSRC), RtpSender(ssrc=SSRC)
    for packet in speech[:30]:
        ears.take(forger.packet(session.encrypt(b"forged", epoch=99)))
        real = sender.packet(session.encrypt(packet))
        ears.take(real, real)
        ears.wait(0.02)
    assert ears.opus[1] == speech[:30]
    assert ears.counters.dropped_duplicate == 30
    ears.wait(2.0)
    assert ears.counters.dropped_dave_no_key == 30


@pytest.mark.parametrize("first_included", [True, False])
@pytest.mark.parametrize("version", [0, 1])
def test_a_packet_that_overtakes_op_5_on_an_ssrc_that_another_person_had_is_held(
    speech: list[bytes], first_included: bool, version: int
) -> None:
    session = PersonalDave()
    ears = Ears(included={2} | ({1} if first_included else set()))
    ears.connection.session, ears.connection.version = session if version else None, version
    ears.receiver.speaking(1, SSRC)
    first = RtpSender(ssrc=SSRC, sequence=100)
    ears.stream(first, [session.seal(1, packet) if version else packet for packet in speech[:20]])
    ears.receiver.left(1)
    second = RtpSender(ssrc=SSRC, sequence=30_000)
    for number, packet in enumerate(speech[:50]):
        ears.take(second.packet(session.seal(2, packet) if version else packet))
        if number == 10:
            ears.receiver.speaking(2, SSRC)
        ears.wait(0.02)
    assert ears.opus[2] == speech[:50]
    assert ears.opus.get(1, []) == (speech[:20] if first_included else [])


def test_what_a_person_said_last_before_leaving_is_heard(speech: list[bytes], ears: Ears, sender: RtpSender) -> None:
    ears.stream(sender, speech[:20])
    ears.receiver.left(1)
    ears.stream(sender, speech[20:30])
    assert ears.opus[1] == speech[:30]


def test_the_bounds_are_for_each_stream_and_not_for_all(speech: list[bytes]) -> None:
    """Twenty-five people of whom 1.5 s come at once, before anything is worked off: nothing is lost."""
    people = range(1, 26)
    ears = Ears(included=set(people))
    for person in people:
        ears.receiver.speaking(person, SSRC + person)
        sender = RtpSender(ssrc=SSRC + person)
        for packet in speech[:75]:
            ears.receiver.datagram(sender.packet(packet))
    ears.work()
    ears.wait(0.1)
    assert all(ears.opus[person] == speech[:75] for person in people)
    assert ears.counters.dropped_overflow == 0
    assert not ears.receiver.trouble.overloaded


def test_a_stream_that_floods_loses_its_own_packets_and_nobody_elses(speech: list[bytes]) -> None:
    ears = Ears(included={1, 2})
    for person in (1, 2):
        ears.receiver.speaking(person, SSRC + person)
    flood, sender = RtpSender(ssrc=SSRC + 1), RtpSender(ssrc=SSRC + 2)
    for packet in speech[:75]:
        ears.receiver.datagram(sender.packet(packet))
        for _ in range(10):
            ears.receiver.datagram(flood.packet(packet))
    ears.work()
    ears.wait(0.1)
    assert ears.opus[2] == speech[:75]
    assert ears.counters.dropped_overflow == 750 - STREAM_PACKETS
    assert ears.receiver.trouble.overloaded


def test_many_packets_that_nobody_claims_are_a_person_who_cannot_be_placed(speech: list[bytes]) -> None:
    ears = Ears(included=set())
    stranger = RtpSender(ssrc=999)
    ears.stream(stranger, speech[:20])
    ears.wait(2.0)
    few: bool = ears.receiver.trouble.someone_unplaced
    assert not few  # an accident
    ears.stream(stranger, speech)
    before = ears.receiver.trouble.someone_unplaced
    ears.receiver.speaking(3, 999)
    assert (before, ears.receiver.trouble.someone_unplaced) == (True, False)


def test_a_stranger_whose_packets_are_short_is_noticed_as_well(speech: list[bytes]) -> None:
    """More of them wait than may, so none expires while talk goes on: what is pushed out was given up just the same."""
    ears = Ears(included=set())
    stranger = RtpSender(ssrc=999)
    for turn in range(STREAM_PACKETS):
        for _ in range(2 + turn % 2):
            ears.receiver.datagram(stranger.packet(speech[0]))
        ears.wait(0.02)
    assert ears.counters.dropped_unknown == 0
    assert ears.receiver.trouble.someone_unplaced
    assert not ears.receiver.trouble.overloaded


def test_a_flood_that_nobody_claims_is_no_person(speech: list[bytes]) -> None:
    ears = Ears(included=set())
    stranger = RtpSender(ssrc=999)
    for _ in range(100):
        for _ in range(100):
            ears.receiver.datagram(stranger.packet(speech[0]))
        ears.wait(0.02)
    assert ears.counters.dropped_overflow > 9_000
    assert not ears.receiver.trouble.someone_unplaced

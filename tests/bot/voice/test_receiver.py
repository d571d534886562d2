"""The receiver from datagram to frame: who is heard, and what of it. Everything around it is made up."""

from __future__ import annotations

import itertools
from typing import Any

import davey
import numpy as np
import pytest

from ser_engine import opus
from tests.fakes.rtp import RtpSender
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

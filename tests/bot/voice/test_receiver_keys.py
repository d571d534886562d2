"""The receiver and the keys of both encryptions: late, changed, missing, and asked for again at each packet."""

from __future__ import annotations

import itertools

import davey
import pytest

from bot.voice.hold import HOLD_S
from tests.fakes.rtp import KEY, RtpSender
from tests.fakes.voice import Ears, FakeConnection, FakeDave, under_dave

pytestmark = pytest.mark.unit

SSRC = 77


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

"""The receiver when more comes than it can keep, and when nobody says whose it is."""

from __future__ import annotations

import pytest

from bot.voice.hold import STREAM_PACKETS
from tests.fakes.rtp import RtpSender
from tests.fakes.voice import Ears

pytestmark = pytest.mark.unit

SSRC = 77


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

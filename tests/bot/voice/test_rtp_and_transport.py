from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.voice.rtp import MIN_DATAGRAM_BYTES, is_audio, media_of, parse_header, ssrc_of
from bot.voice.transport import AES256_GCM, MODES, XCHACHA20, Opener, seal_gcm
from tests.fakes.rtp import KEY, RtpSender

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("mode", [XCHACHA20, AES256_GCM])
@given(
    media=st.binary(min_size=0, max_size=300),
    extension=st.integers(0, 8).map(lambda words: bytes(range(4 * words))),
    csrcs=st.integers(0, 15),
    padding=st.integers(0, 255),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
)
def test_whatever_surrounds_the_media_is_taken_off(
    mode: str, media: bytes, extension: bytes, csrcs: int, padding: int, sequence: int, timestamp: int, ssrc: int
) -> None:
    sender = RtpSender(ssrc=ssrc, mode=mode, sequence=sequence, timestamp=timestamp)
    datagram = sender.packet(media, extension=extension, csrcs=csrcs, padding=padding)
    header = parse_header(datagram)
    assert header is not None
    assert (header.sequence, header.timestamp, header.ssrc) == (sequence, timestamp, ssrc)
    assert is_audio(datagram)
    assert ssrc_of(datagram) == ssrc
    opened = Opener().open(datagram, header, mode, KEY)
    assert opened is not None
    assert media_of(header, opened) == media


@given(data=st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused_but_never_raise(data: bytes) -> None:
    is_audio(data)
    header = parse_header(data)
    if header is None:
        return
    assert len(data) >= MIN_DATAGRAM_BYTES
    for mode in (*MODES, "xsalsa20_poly1305"):
        assert Opener().open(data, header, mode, KEY) is None
    media_of(header, data)


@given(flip=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_flipped_bit_breaks_the_seal(flip: int, bit: int) -> None:
    datagram = bytearray(RtpSender(ssrc=5).packet(b"speech" * 5, extension=bytes(8), padding=7))
    datagram[flip % len(datagram)] ^= 1 << bit
    header = parse_header(bytes(datagram))
    assert header is None or Opener().open(bytes(datagram), header, XCHACHA20, KEY) is None


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), bytes(32)])
def test_a_wrong_key_opens_nothing(key: bytes) -> None:
    datagram = RtpSender(ssrc=5).packet(b"speech")
    header = parse_header(datagram)
    assert header is not None
    assert all(Opener().open(datagram, header, mode, key) is None for mode in MODES)


def test_padding_longer_than_the_packet_and_padding_of_zero_are_malformed() -> None:
    header = parse_header(RtpSender(ssrc=5).packet(b"x", padding=3))
    assert header is not None
    assert media_of(header, b"abc\x04") == b""
    assert media_of(header, b"abc\x05") is None
    assert media_of(header, b"abc\x00") is None
    assert media_of(header, b"") is None


def test_an_extension_longer_than_the_packet_is_malformed() -> None:
    header = parse_header(RtpSender(ssrc=5).packet(b"media", extension=bytes(8)))
    assert header is not None
    assert media_of(header, bytes(7)) is None
    assert media_of(header, bytes(8)) == b""


def test_what_is_sealed_for_sending_opens_again() -> None:
    header = RtpSender(ssrc=5).packet(b"")[:12]
    datagram = seal_gcm(header, b"chime", 7, KEY)
    parsed = parse_header(datagram)
    assert parsed is not None
    assert Opener().open(datagram, parsed, AES256_GCM, KEY) == b"chime"


@pytest.mark.parametrize("payload_type", [0, 72, 101, 102, 111, 121])
def test_other_payload_types_are_no_audio(payload_type: int) -> None:
    assert not is_audio(RtpSender(ssrc=5).packet(b"video", payload_type=payload_type))


def test_the_marker_bit_is_no_part_of_the_payload_type() -> None:
    assert is_audio(RtpSender(ssrc=5).packet(b"speech", marker=True))

"""RTP and transport encryption: what one end seals the other opens, and nothing else."""

from __future__ import annotations

import struct

import nacl.secret
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.voice.transport import MODES, BadPacket, Mode, Rtp, Transport, ssrc_of

pytestmark = pytest.mark.unit

packets = st.builds(
    Rtp,
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(max_size=1200),
    payload_type=st.integers(0, 127),
    extension=st.integers(0, 4).flatmap(lambda words: st.binary(min_size=4 * words, max_size=4 * words)),
    padding=st.integers(0, 255),
    sources=st.lists(st.integers(0, 0xFFFFFFFF), max_size=15).map(tuple),
)
modes = st.sampled_from(MODES)


@given(packets, modes)
def test_a_packet_comes_out_as_it_went_in(packet: Rtp, mode: Mode) -> None:
    sender = Transport(mode)
    datagram = sender.seal(packet)
    assert ssrc_of(datagram) == packet.ssrc
    assert Transport(mode, sender.key).open(datagram) == packet


@given(st.binary(max_size=1500), modes)
def test_noise_is_a_bad_packet_and_no_other_error(data: bytes, mode: Mode) -> None:
    with pytest.raises(BadPacket):
        Transport(mode).open(data)


@given(packets, modes, st.data())
def test_any_changed_bit_is_noticed(packet: Rtp, mode: Mode, data: st.DataObject) -> None:
    transport = Transport(mode)
    datagram = bytearray(transport.seal(packet))
    at = data.draw(st.integers(0, len(datagram) - 1))
    datagram[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(BadPacket):
        transport.open(bytes(datagram))


@given(packets)
def test_a_cut_datagram_is_a_bad_packet(packet: Rtp) -> None:
    transport = Transport(MODES[0])
    datagram = transport.seal(packet)
    for size in (0, 1, 11, 12, 15, 31, len(datagram) - 1):
        with pytest.raises(BadPacket):
            transport.open(datagram[:size])


@pytest.mark.parametrize("mode", MODES)
def test_no_nonce_is_used_twice(mode: Mode) -> None:
    transport = Transport(mode)
    packet = Rtp(sequence=1, timestamp=2, ssrc=3, payload=b"frame")
    assert len({transport.seal(packet)[-4:] for _ in range(1000)}) == 1000


def test_discord_pys_own_packets_are_opened() -> None:
    """The layout is discord.py's: written here with PyNaCl as its voice client writes it."""
    transport = Transport("aead_xchacha20_poly1305_rtpsize")
    header = struct.pack(">BBHII", 0x80, 0x78, 7, 960, 42)
    nonce = struct.pack(">I", 5)
    box = nacl.secret.Aead(transport.key)
    datagram = header + box.encrypt(b"frame", header, nonce + bytes(20)).ciphertext + nonce
    assert transport.open(datagram) == Rtp(sequence=7, timestamp=960, ssrc=42, payload=b"frame")


def test_padding_that_is_longer_than_the_packet_is_refused() -> None:
    transport = Transport(MODES[0])
    clear = bytes([0xA0, 0x78]) + bytes(10)
    for plain in (b"", b"\0", b"ab\x04"):
        sealed = transport._aead.seal(plain, clear, b"\0\0\0\1")
        with pytest.raises(BadPacket, match="padding"):
            transport.open(clear + sealed + b"\0\0\0\1")


def test_an_extension_that_is_longer_than_the_packet_is_refused() -> None:
    transport = Transport(MODES[0])
    clear = bytes([0x90, 0x78]) + bytes(10) + b"\xbe\xde\0\x09"
    sealed = transport._aead.seal(b"short", clear, b"\0\0\0\1")
    with pytest.raises(BadPacket, match="extension"):
        transport.open(clear + sealed + b"\0\0\0\1")

"""libopus through ctypes: what goes in comes out, at 16 kHz mono, and bad packets cost an error and no more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_engine import opus

pytestmark = pytest.mark.unit

RATE_HZ = 48_000


def tone(seconds: float, hz: float = 440.0, rate_hz: int = RATE_HZ) -> opus.Samples:
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def test_the_library_is_found_and_names_itself() -> None:
    assert opus.version().startswith("libopus ")


def test_a_tone_survives_the_way_to_16_khz_mono() -> None:
    decoder = opus.Decoder()
    packets = list(opus.Encoder().packets(tone(1.0)))
    assert len(packets) == 50
    heard = np.concatenate([decoder.decode(packet) for packet in packets])
    assert heard.dtype == np.float32
    assert heard.shape == (16_000,)
    spectrum = np.abs(np.fft.rfft(heard[4000:12_000]))
    assert np.argmax(spectrum) * 16_000 / 8000 == pytest.approx(440, abs=4)
    assert np.sqrt(np.mean(heard[4000:12_000] ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


def test_wideband_speech_keeps_its_onset_where_it_was() -> None:
    """Pre-echo before a first word would move a window's beginning: the way of speech has none, that of music has."""
    silence, word = np.zeros(48_000 // 5, dtype=np.float32), tone(0.2)
    onsets = {}
    for speech in (True, False):
        encoder = opus.Encoder(application="voip" if speech else "audio", wideband_speech=speech)
        decoder = opus.Decoder()
        heard = np.concatenate([decoder.decode(packet) for packet in encoder.packets(np.concatenate([silence, word]))])
        onsets[speech] = int(np.argmax(np.abs(heard) > 10 ** (-62 / 20)))
    assert onsets[True] >= 3200
    assert onsets[False] < onsets[True]


def test_stereo_packets_become_mono() -> None:
    both = np.stack([tone(0.2), tone(0.2)], axis=1)
    decoder = opus.Decoder()
    heard = [decoder.decode(packet) for packet in opus.Encoder(channels=2).packets(both)]
    assert {frame.shape for frame in heard} == {(320,)}


def test_stereo_can_be_kept() -> None:
    left = np.stack([tone(0.2), np.zeros(9600, dtype=np.float32)], axis=1)
    decoder = opus.Decoder(48_000, 2)
    heard = np.concatenate([decoder.decode(packet) for packet in opus.Encoder(channels=2).packets(left)])
    assert heard.shape == (9600, 2)
    assert np.abs(heard[4800:, 0]).mean() > 20 * np.abs(heard[4800:, 1]).mean()


def test_a_frame_is_the_callers_to_keep() -> None:
    decoder = opus.Decoder()
    packets = list(opus.Encoder().packets(tone(0.1)))
    first = decoder.decode(packets[0])
    kept = first.copy()
    for packet in packets[1:]:
        decoder.decode(packet)
    np.testing.assert_array_equal(first, kept)


def test_silence_is_twenty_quiet_milliseconds() -> None:
    assert opus.packet_samples(opus.SILENCE) == 960
    assert opus.packet_samples(opus.SILENCE, 16_000) == 320
    heard = opus.Decoder().decode(opus.SILENCE)
    assert heard.shape == (320,)
    assert np.abs(heard).max() < 1e-3


def test_a_loss_is_concealed_with_something_like_what_came_before() -> None:
    decoder = opus.Decoder()
    for packet in opus.Encoder().packets(tone(0.5)):
        decoder.decode(packet)
    filled = decoder.conceal(320)
    assert filled.shape == (320,)
    assert np.sqrt(np.mean(filled**2)) > 0.1


def test_a_lost_packet_is_recovered_from_the_next_one() -> None:
    speech = (tone(1.0, 200) * (1 + tone(1.0, 5))).astype(np.float32)
    encoder = opus.Encoder(bitrate_bps=24_000, application="voip", expected_loss_percent=30)
    packets = list(encoder.packets(speech))
    decoder = opus.Decoder()
    for packet in packets[:30]:
        decoder.decode(packet)
    assert decoder.recover(packets[31], 320).shape == (320,)


def test_reset_forgets_the_stream() -> None:
    packets = list(opus.Encoder().packets(tone(0.1)))
    fresh, used = opus.Decoder(), opus.Decoder()
    for packet in packets:
        used.decode(packet)
    used.reset()
    np.testing.assert_array_equal(used.decode(packets[0]), fresh.decode(packets[0]))


def test_the_last_packet_is_filled_up() -> None:
    assert len(list(opus.Encoder().packets(tone(0.05)))) == 3
    assert list(opus.Encoder().packets(np.zeros(0, dtype=np.float32))) == []


@pytest.mark.parametrize("samples", [0, -320, 1921])
def test_conceal_says_what_it_takes(samples: int) -> None:
    with pytest.raises(ValueError, match="conceal takes"):
        opus.Decoder().conceal(samples)


def test_an_impossible_frame_length_is_refused() -> None:
    with pytest.raises(opus.OpusError, match="961 samples"):
        opus.Encoder().encode(np.zeros(961, dtype=np.float32))


def test_an_empty_packet_is_refused() -> None:
    with pytest.raises(opus.OpusError, match="empty"):
        opus.Decoder().decode(b"")
    with pytest.raises(opus.OpusError):
        opus.packet_samples(b"")


@given(st.binary(min_size=1, max_size=1500))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_samples_or_an_opus_error(data: bytes) -> None:
    decoder = opus.Decoder()
    try:
        frame = decoder.decode(data)
    except opus.OpusError as error:
        assert error.status is not None  # noqa: PT017  (either outcome is right; neither may be anything else)
    else:
        assert 0 < len(frame) <= 1920
    assert decoder.decode(opus.SILENCE).shape == (320,)


def test_the_length_of_a_packet_is_what_libopus_says() -> None:
    lib = opus.library()
    for first in range(256):
        for second in range(64):
            packet = bytes((first, second, 0))
            expected = lib.opus_packet_get_nb_samples(packet, len(packet), 16_000)
            if expected < 0:
                with pytest.raises(opus.OpusError):
                    opus.packet_samples(packet, 16_000)
            else:
                assert opus.packet_samples(packet, 16_000) == expected, packet
    with pytest.raises(opus.OpusError):
        opus.packet_samples(b"\x03")


def test_packets_in_a_block_are_the_samples_of_single_packets() -> None:
    packets = list(opus.Encoder().packets(tone(0.2)))
    block, together, alone = opus.Block(3_200), opus.Decoder(), opus.Decoder()
    for packet in packets:
        together.append(packet, block)
    assert (block.length, block.room) == (3_200, 0)
    with pytest.raises(opus.OpusError):
        together.append(packets[0], block)
    assert np.array_equal(block.take(), np.concatenate([alone.decode(packet) for packet in packets]))
    assert (block.length, block.room) == (0, 3_200)
    for bad in (b"", b"\xff\xff\xff"):
        with pytest.raises(opus.OpusError):
            together.append(bad, block)
    assert block.length == 0

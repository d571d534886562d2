"""Any file a person may send becomes the same sound at 16 kHz, or is refused in words, at once and without harm."""

from __future__ import annotations

import io
import tarfile
import wave
from functools import cache
from pathlib import Path
from typing import BinaryIO, cast

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_engine.audio import DecodeLimits, decode, level_dbfs, peak_dbfs, resample, windows_of
from ser_engine.errors import (
    AudioError,
    AudioTooLarge,
    AudioTooLong,
    DecodeTimeout,
    EmptyAudio,
    InvalidSamples,
    UndecodableAudio,
    UnsupportedFormat,
)
from ser_engine.types import SAMPLE_RATE_HZ
from tests.fakes.clips import clip_paths
from tests.fakes.media import KINDS, encode
from tests.fakes.recordings import Recording, Refusal, content, unsteady
from tests.fakes.recordings_table import REFUSED, TAKEN

pytestmark = pytest.mark.unit


def tones(rate_hz: int, seconds: float = 1.0) -> np.ndarray:
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    return 0.2 * np.sin(2 * np.pi * 440 * t) + 0.1 * np.sin(2 * np.pi * 1234 * t)


def likeness(got: np.ndarray, expected: np.ndarray) -> float:
    """Best correlation over small shifts (lossy codecs delay), of the middle parts."""
    middle = expected[2000:12_000]
    return max(float(np.corrcoef(got[2000 + d : 12_000 + d], middle)[0, 1]) for d in range(-1200, 1201, 4))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_decoded(kind: str) -> None:
    rate = 48_000 if KINDS[kind][1] == "libopus" else 44_100
    got = decode(encode(tones(rate), rate, kind))
    assert got.dtype == np.float32
    assert len(got) == pytest.approx(SAMPLE_RATE_HZ, abs=1700)
    assert likeness(got, tones(SAMPLE_RATE_HZ)) > (0.99 if kind == "wav8" else 0.98)
    assert level_dbfs(got[2000:12_000]) == pytest.approx(level_dbfs(tones(SAMPLE_RATE_HZ)[2000:12_000]), abs=0.6)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000])
def test_every_rate_is_resampled_exactly(rate: int) -> None:
    got = decode(encode(tones(rate), rate, "wavf"))
    assert abs(len(got) - SAMPLE_RATE_HZ) <= 1
    assert np.abs(got[500:15_500] - tones(SAMPLE_RATE_HZ)[500:15_500]).max() < 1e-3


def test_what_lies_above_the_new_band_does_not_fold_back() -> None:
    t = np.arange(48_000) / 48_000
    got = decode(encode(0.5 * np.sin(2 * np.pi * 11_000 * t), 48_000, "wavf"))
    assert peak_dbfs(got[1000:-1000]) < -90


def test_channels_are_mixed() -> None:
    left, right = tones(16_000), -0.5 * tones(16_000)
    assert np.allclose(decode(encode(np.stack([left, right]), 16_000, "wavf")), 0.25 * left, atol=1e-6)
    six = decode(encode(np.stack([tones(48_000)] * 6), 48_000, "wav24"))
    assert np.abs(six[500:15_500] - tones(16_000)[500:15_500]).max() < 1e-3


def test_decoding_is_by_blocks_without_seams() -> None:
    long = tones(44_100, 5.3)
    got = decode(encode(long, 44_100, "wavf"))
    assert np.abs(got - resample(long.astype(np.float32), 44_100)[: len(got)]).max() < 1e-5


def test_the_name_does_not_matter_where_the_content_speaks() -> None:
    data = encode(tones(48_000), 48_000, "webm")
    for name in (None, "blob", "recording.wav", "x.exe"):
        assert len(decode(data, filename=name)) > 15_000


def test_8_bit_silence_is_silence() -> None:
    assert not decode(encode(np.zeros(16_000), 16_000, "wav8")).any()


@pytest.mark.parametrize("n", [1, 160])
def test_very_short_files_are_decoded(n: int) -> None:
    assert len(decode(encode(tones(16_000)[:n], 16_000, "wav"))) == n


def test_empty_files_are_refused() -> None:
    header = io.BytesIO()
    with wave.open(header, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
    for data in (b"", header.getvalue()):
        with pytest.raises(EmptyAudio):
            decode(data)


@pytest.mark.parametrize(
    ("data", "name", "error"),
    [
        (b"these are only words, not sound", "notes.wav", UndecodableAudio),
        (b"these are only words, not sound", "notes.txt", UnsupportedFormat),
        (b"these are only words, not sound", None, UnsupportedFormat),
        (b"#EXTM3U\nhttp://localhost/x.ts\n", "list.mp3", UndecodableAudio),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a.png", UnsupportedFormat),
        (b"RIFF\x00\x00\x00\x00WAVE", "a.wav", UndecodableAudio),
        (b"RIFF\x00\x00\x00\x00WAVEfmt " + bytes(200), "a.wav", UndecodableAudio),
        (b"ID3" + bytes(500), "a.mp3", UndecodableAudio),
        (b"OggS" + bytes(500), "a.ogg", UndecodableAudio),
        (b"fLaC" + bytes(500), "a.flac", UndecodableAudio),
        (b"\x1a\x45\xdf\xa3" + bytes(500), "blob", UndecodableAudio),
        (b"\x00\x00\x00\x20ftypM4A " + bytes(500), "a.m4a", UndecodableAudio),
    ],
)
def test_what_is_not_audio_is_refused_in_words(data: bytes, name: str | None, error: type[AudioError]) -> None:
    with pytest.raises(error) as refused:
        decode(data, filename=name)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize("kind", ["wav", "mp3", "ogg", "webm", "flac", "m4a"])
def test_truncated_files_give_what_is_there_or_are_refused(kind: str) -> None:
    rate = 48_000 if kind in ("ogg", "webm") else 16_000
    data = encode(tones(rate, 3.0), rate, kind)
    for share in (0.01, 0.1, 0.5, 0.9):
        try:
            got = decode(data[: int(len(data) * share)])
        except AudioError:
            continue
        assert 1 <= len(got) <= 3.2 * SAMPLE_RATE_HZ
        assert np.isfinite(got).all()


@given(st.binary(max_size=300), st.sampled_from(["wav", "mp3", "ogg", "webm", "flac", "m4a"]), st.data())
@settings(max_examples=80, deadline=None)
def test_damaged_files_never_raise_anything_else(noise: bytes, kind: str, data: st.DataObject) -> None:
    whole = bytearray(DAMAGED[kind])
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at : at + len(noise)] = noise
    try:
        got = decode(bytes(whole))
    except AudioError:
        return
    assert np.isfinite(got).all()
    assert np.abs(got).max() <= 1


DAMAGED = {kind: encode(tones(48_000, 0.3), 48_000, kind) for kind in ("wav", "mp3", "ogg", "webm", "flac", "m4a")}


def test_too_many_bytes_are_refused_before_decoding() -> None:
    with pytest.raises(AudioTooLarge, match="at most 25 MB"):
        decode(bytes(25 * 1024 * 1024 + 1))


@cache
def hour_of_flac() -> bytes:
    return encode(np.zeros(3600 * 8000, dtype=np.float32), 8_000, "flac")


def test_an_hour_is_refused_by_its_counted_packets_before_any_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = hour_of_flac()
    monkeypatch.setattr("ser_engine.timeline.frames_of", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(AudioTooLong, match="at most 10 minutes"):
        decode(data)


def test_an_hour_without_a_stated_length_is_cut_off() -> None:
    data = bytearray(hour_of_flac())
    data[8 + 13] &= 0xF0  # the total of samples in STREAMINFO: unknown, as in a live recording
    data[8 + 14 : 8 + 18] = bytes(4)
    with pytest.raises(AudioTooLong):
        decode(bytes(data))


def test_a_wav_with_an_open_header_is_decoded() -> None:
    data = bytearray(encode(tones(16_000), 16_000, "wav"))
    data[4:8] = b"\xff\xff\xff\xff"
    at = data.index(b"data")
    data[at + 4 : at + 8] = b"\xff\xff\xff\xff"
    assert len(decode(bytes(data))) == SAMPLE_RATE_HZ


@pytest.mark.parametrize("kind", ["wav8", "wav", "wav24", "wav32", "wavf", "wavd"])
def test_what_is_just_short_enough_is_taken_whatever_its_width(kind: str) -> None:
    """How long a WAV is follows from its bytes and from how many of them make a sample."""
    got = decode(encode(tones(16_000, 1.0), 16_000, kind), limits=DecodeLimits(max_duration_s=1.0))
    assert len(got) == SAMPLE_RATE_HZ


def test_limits_are_kept() -> None:
    data = encode(tones(16_000, 2.0), 16_000, "wav")
    with pytest.raises(AudioTooLong):
        decode(data, limits=DecodeLimits(max_duration_s=1.0))
    with pytest.raises(DecodeTimeout):
        decode(data, limits=DecodeLimits(max_decode_s=0.0))


def test_numbers_that_are_not_sound_are_refused() -> None:
    for bad in (np.nan, np.inf, -np.inf):
        samples = tones(16_000)
        samples[::100] = bad
        with pytest.raises(InvalidSamples):
            decode(encode(samples, 16_000, "wavf"))


def test_float_files_over_full_scale_are_brought_back() -> None:
    got = decode(encode(20 * tones(16_000), 16_000, "wavf"))
    assert np.abs(got).max() == pytest.approx(1)
    assert likeness(got, tones(16_000)) > 0.9999


def test_a_length_that_is_an_estimate_refuses_nothing() -> None:
    with av.open(io.BytesIO(unsteady()), mode="r") as container:
        assert container.duration is not None
        assert container.duration / av.time_base > 600
    assert list(windows_of(unsteady()))[-1].end_s == pytest.approx(100, abs=1.5)


def test_a_recording_in_an_archive_is_read_as_its_bytes_are(tmp_path: Path) -> None:
    """Such a stream seeks, and has no file of the system's to be looked at as a whole."""
    with tarfile.open(tmp_path / "clips.tar", "w") as archive:
        archive.add(clip_paths()[0], "clip")
    with tarfile.open(tmp_path / "clips.tar") as archive:
        member = archive.extractfile("clip")
        assert member is not None
        np.testing.assert_array_equal(decode(cast(BinaryIO, member)), decode(clip_paths()[0].read_bytes()))


def test_a_stream_whose_packets_were_counted_is_decoded_as_its_bytes_are() -> None:
    """Who counts reads the same stream, from which the decoder goes on reading."""
    data = unsteady()
    np.testing.assert_array_equal(decode(io.BytesIO(data)), decode(data))


def told(row: Recording | Refusal) -> str:
    return row.title if isinstance(row, Recording) else row.what


ODD = ("joined", "behind", "a header alone", "encrypted", "no byte", "never written")
"""What is found out by looking at more of a file than its first bytes."""
ROWS: tuple[Recording | Refusal, ...] = (*TAKEN, *REFUSED)


@pytest.mark.parametrize("row", [row for row in ROWS if any(word in told(row) for word in ODD)], ids=told)
def test_a_stream_is_read_as_its_bytes_are(row: Recording | Refusal, tmp_path: Path) -> None:
    """A large file is not held: it is read from the disk, and its parts are stretches of it."""

    def read(source: bytes | BinaryIO) -> tuple[str, list[float]]:
        try:
            return "", decode(source, filename=row.name).tolist()
        except AudioError as error:
            return str(error), []

    said = read(content(row))
    (tmp_path / "file").write_bytes(content(row))
    with (tmp_path / "file").open("rb") as stream:
        assert read(stream) == said
    assert read(io.BytesIO(content(row))) == said


def test_levels() -> None:
    assert level_dbfs(np.full(100, 0.1, np.float32)) == pytest.approx(-20)
    assert peak_dbfs(np.asarray([0.0, -0.5], np.float32)) == pytest.approx(-6.02, abs=0.01)
    assert level_dbfs(np.zeros(0, np.float32)) == peak_dbfs(np.zeros(9, np.float32)) == -120

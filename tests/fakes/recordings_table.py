"""The rows of the table: what is taken and what is refused. `recordings` makes them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from tests.fakes.recordings import (
    FMT,
    Recording,
    Refusal,
    Samples,
    ape_tag,
    chunks,
    faint_noise,
    file,
    film,
    first_box,
    id3,
    index_first,
    inverted,
    mp3,
    numberless,
    only,
    open_ended,
    rifx,
    s16,
    silence,
    spiked,
    two,
    unsteady,
    voice,
    wav,
    without_box,
)


def _row(
    container: str,
    codec: str,
    oddity: str,
    name: str,
    make: Callable[[], bytes],
    *,
    alike: float = 0.9,
    windows: int = 1,
) -> Recording:
    return Recording(
        container=container, codec=codec, oddity=oddity, name=name, make=make, alike=alike, windows=windows
    )


def _pcm(codec: str, alike: float = 0.999) -> Recording:
    return _row("WAV", codec, "", "voice.wav", lambda: wav(codec=codec), alike=alike)


def _m4a(**options: str) -> bytes:
    return file("ipod", "aac", options=options)


def _mix(samples: Callable[[], Samples], oddity: str, alike: float = 0.99) -> Recording:
    return _row("WAV", "pcm_s16le", oddity, "voice.wav", lambda: wav(samples(), 48_000), alike=alike)


def _float(samples: Callable[[], Samples], oddity: str) -> Recording:
    return _row("WAV", "pcm_f32le", oddity, "voice.wav", lambda: wav(samples(), codec="pcm_f32le"), alike=0.99)


_FRAGMENTS: Final = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "500000"}
_LIVE: Final = {"live": "1"}

TAKEN: Final[tuple[Recording, ...]] = (
    # WAV and its relatives
    _pcm("pcm_u8", 0.9),
    _pcm("pcm_s16le"),
    _pcm("pcm_s24le"),
    _pcm("pcm_s32le"),
    _pcm("pcm_s64le"),
    _pcm("pcm_f32le"),
    _pcm("pcm_f64le"),
    _pcm("pcm_alaw", 0.98),
    _pcm("pcm_mulaw", 0.98),
    _pcm("adpcm_ms", 0.95),
    _pcm("adpcm_ima_wav", 0.95),
    _row("WAV", "mp3", "", "voice.wav", lambda: file("wav", "libmp3lame")),
    _row("WAV", "pcm_s16le", "8 kHz", "phone.wav", lambda: wav(rate=8_000), alike=0.8),
    _row("WAV", "pcm_s24le", "192 kHz", "studio.wav", lambda: wav(rate=192_000, codec="pcm_s24le"), alike=0.99),
    _row("WAV", "pcm_s16le", "lengths 0", "stream.wav", lambda: open_ended(0), alike=0.999),
    _row("WAV", "pcm_s16le", "lengths 0xFFFFFFFF", "stream.wav", lambda: open_ended(0xFFFFFFFF), alike=0.999),
    _row(
        "WAV",
        "pcm_s16le",
        "chunks in an odd order, one of odd length",
        "voice.wav",
        lambda: chunks((b"LIST", b"INFOabc"), (b"junk", bytes(31)), (b"fmt ", FMT), (b"data", s16())),
        alike=0.999,
    ),
    _row("WAV", "pcm_s16le", "cut in the middle of a sample", "voice.wav", lambda: wav()[:-3001], alike=0.999),
    _row("WAV", "pcm_s16le", "behind an ID3 tag", "voice.wav", lambda: id3(300) + wav(), alike=0.999),
    _row("WAV", "pcm_s16le", "behind zeros", "voice.wav", lambda: bytes(517) + wav(), alike=0.999),
    _row("WAV", "pcm_s16be", "big-endian (RIFX)", "voice.wav", lambda: rifx(16), alike=0.999),
    _row("WAV", "pcm_s24be", "big-endian (RIFX)", "voice.wav", lambda: rifx(24), alike=0.999),
    _row("WAV", "pcm_s16le", "RF64", "voice.rf64", lambda: file("wav", "pcm_s16le", options={"rf64": "always"})),
    _row("Wave64", "pcm_s16le", "", "voice.w64", lambda: file("w64", "pcm_s16le")),
    _row("AIFF", "pcm_s16be", "", "voice.aiff", lambda: file("aiff", "pcm_s16be")),
    _row("AIFF", "pcm_f32be", "compressed kind (AIFC)", "voice.aifc", lambda: file("aiff", "pcm_f32be")),
    _row("CAF", "pcm_s16le", "", "voice.caf", lambda: file("caf", "pcm_s16le")),
    _row("CAF", "alac", "", "voice.caf", lambda: file("caf", "alac")),
    _row("AU", "pcm_mulaw", "", "voice.au", lambda: file("au", "pcm_mulaw", voice(8_000), rate=8_000), alike=0.8),
    # channels and levels
    _mix(inverted, "one channel inverted"),
    _mix(lambda: inverted(second=-0.8), "one channel inverted and softer"),
    _mix(lambda: only(1, 2), "only the right channel"),
    _mix(lambda: np.stack([voice(48_000), 0.01 * voice(48_000)]), "one soft channel"),
    _mix(lambda: np.stack([voice(48_000), 0.2 * voice(48_000)]), "unequal channels"),
    _mix(lambda: only(2, 6), "5.1, only the centre"),
    _mix(lambda: only(3, 6), "5.1, only the bass channel"),
    _mix(lambda: only(5, 8), "7.1, only one channel"),
    _mix(lambda: np.stack([voice(48_000), -voice(48_000)] * 2), "quad, two inverted"),
    _mix(lambda: 0.02 * voice(48_000), "very soft", 0.98),
    _mix(lambda: voice(48_000) + np.float32(0.2), "with an offset"),
    _float(spiked, "two samples of 900 and more"),
    _float(lambda: 20 * voice(), "over full scale"),
    _float(lambda: np.float32(3e38) * voice(), "near the largest number"),
    _row("WAV", "pcm_f64le", "a few samples of 1e300", "voice.wav", lambda: _doubles(spike=1e300), alike=0.99),
    _float(lambda: numberless(20), "a few samples that are no numbers"),
    _row(
        "WAV",
        "pcm_f32le",
        "samples of 900 at 44.1 kHz",
        "voice.wav",
        lambda: wav(spiked(44_100), 44_100, "pcm_f32le"),
        alike=0.99,
    ),
    # MP3
    _row("MP3", "mp3", "", "voice.mp3", lambda: mp3(write_xing="1", id3v2_version="4")),
    _row("MP3", "mp3", "bare frames", "voice.mp3", mp3),
    _row("MP3", "mp3", "22 kHz", "voice.mp3", lambda: mp3(22_050)),
    _row("MP3", "mp3", "behind zeros", "voice.mp3", lambda: bytes(731) + mp3()),
    _row("MP3", "mp3", "behind junk", "voice.mp3", lambda: b"HTTP/1.1 200 OK\r\n\r\n" + mp3()),
    _row("MP3", "mp3", "cut in the middle of a frame", "voice.mp3", lambda: mp3()[302:]),
    _row("MP3", "mp3", "ID3 tag with a footer", "voice.mp3", lambda: id3(99, footer=True) + mp3()),
    _row("MP3", "mp3", "two ID3 tags", "voice.mp3", lambda: id3(99) + id3(2000) + mp3()),
    _row("MP3", "mp3", "APE tag", "voice.mp3", lambda: mp3() + ape_tag()),
    _row("MP3", "mp3", "two rates joined", "voice.mp3", lambda: mp3(44_100) + mp3(22_050), windows=2, alike=0.8),
    _row("MP3", "mp3", "VBR without a header, quiet at first", "talk.mp3", unsteady, windows=32, alike=0.6),
    _row("MP3", "mp3", "damaged in the middle", "voice.mp3", lambda: _damaged(mp3()), alike=0.5),
    _row("MP3", "mp2", "", "voice.mp2", lambda: file("mp2", "mp2")),
    # FLAC, AAC and other bare streams
    _row("FLAC", "flac", "", "voice.flac", lambda: file("flac", "flac"), alike=0.99),
    _row("FLAC", "flac", "behind an ID3 tag", "voice.flac", lambda: id3(63) + file("flac", "flac"), alike=0.99),
    _row("FLAC", "flac", "behind zeros", "voice.flac", lambda: bytes(99) + file("flac", "flac"), alike=0.99),
    _row("AAC", "aac", "ADTS", "voice.aac", lambda: file("adts", "aac")),
    _row("AAC", "aac", "ADTS behind an ID3 tag", "voice.aac", lambda: id3(77) + file("adts", "aac")),
    _row("AAC", "aac", "ADTS behind junk", "voice.aac", lambda: b"not a frame\r\n" * 30 + file("adts", "aac")),
    _row("AAC (LATM)", "aac", "", "voice.latm", lambda: file("latm", "aac")),
    _row("AC-3", "ac3", "", "voice.ac3", lambda: file("ac3", "ac3")),
    _row("E-AC-3", "eac3", "", "voice.eac3", lambda: file("eac3", "eac3")),
    _row(
        "AMR",
        "amr_nb",
        "",
        "memo.amr",
        lambda: file("amr", "libopencore_amrnb", voice(8_000), rate=8_000, bit_rate=12_200),
        alike=0.6,
    ),
    _row("WavPack", "wavpack", "", "voice.wv", lambda: file("wv", "wavpack"), alike=0.99),
    _row("TTA", "tta", "", "voice.tta", lambda: file("tta", "tta"), alike=0.99),
    _row("Creative Voice", "pcm_s16le", "", "voice.voc", lambda: file("voc", "pcm_s16le")),
    # MP4 and QuickTime
    _row("MP4", "aac", "", "voice.m4a", _m4a),
    _row("MP4", "aac", "index first", "voice.m4a", lambda: index_first(_m4a())),
    _row("MP4", "aac", "in fragments", "voice.mp4", lambda: file("mp4", "aac", options=_FRAGMENTS)),
    _row("MP4", "opus", "in fragments", "voice.mp4", lambda: file("mp4", "libopus", options=_FRAGMENTS)),
    _row("MP4", "alac", "", "voice.m4a", lambda: file("ipod", "alac"), alike=0.99),
    _row("MP4", "flac", "", "voice.mp4", lambda: file("mp4", "flac"), alike=0.99),
    _row("MP4", "mp3", "", "voice.mp4", lambda: file("mp4", "libmp3lame")),
    _row("MP4", "aac", "with a picture", "recording.mp4", lambda: file("mp4", "aac", video=True)),
    _row("MP4", "aac", "free space first", "voice.m4a", lambda: first_box(_m4a(), b"free")),
    _row("MP4", "aac", "no first box, index first", "voice.m4a", lambda: first_box(index_first(_m4a()), b"skip")),
    _row("MP4", "aac", "7.1, only one channel", "voice.m4a", lambda: file("ipod", "aac", only(1, 8))),
    _row("3GP", "amr_nb", "", "memo.3gp", lambda: _amr_in("3gp"), alike=0.6),
    _row("3G2", "aac", "", "memo.3g2", lambda: file("3g2", "aac")),
    _row("QuickTime", "pcm_s16le", "wide first", "voice.mov", lambda: first_box(_mov(), b"wide")),
    _row("QuickTime", "pcm_s16le", "skip first", "voice.mov", lambda: first_box(_mov(), b"skip")),
    _row("QuickTime", "aac", "with a picture", "video.mov", lambda: file("mov", "aac", video=True)),
    # Ogg, Matroska and WebM
    _row("Ogg", "opus", "", "voice.ogg", lambda: file("ogg", "libopus")),
    _row("Ogg", "opus", "in capitals", "VOICE.OPUS", lambda: file("opus", "libopus")),
    _row("Ogg", "vorbis", "", "voice.oga", lambda: file("ogg", "vorbis", np.stack([voice(48_000)] * 2))),
    _row("Ogg", "flac", "", "voice.oga", lambda: file("ogg", "flac"), alike=0.99),
    _row("Ogg", "opus", "its clock begins at 3 h", "cut.ogg", lambda: file("ogg", "libopus", starts_s=10_800)),
    _row("Ogg", "opus", "two streams joined", "radio.ogg", lambda: file("ogg", "libopus") * 2, windows=2, alike=0.8),
    _row(
        "Ogg",
        "opus",
        "mono and stereo joined",
        "radio.ogg",
        lambda: file("ogg", "libopus") + file("ogg", "libopus", np.stack([voice(48_000)] * 2)),
        windows=2,
        alike=0.8,
    ),
    _row(
        "Ogg",
        "vorbis",
        "Opus and Vorbis joined",
        "radio.ogg",
        lambda: file("ogg", "libopus") + file("ogg", "vorbis", np.stack([voice(44_100)] * 2), rate=44_100),
        windows=2,
        alike=0.8,
    ),
    _row("Ogg", "opus", "cut off", "voice.ogg", lambda: file("ogg", "libopus")[:-500]),
    _row("WebM", "opus", "", "blob", lambda: file("webm", "libopus")),
    _row("WebM", "opus", "live: no length, no index", "blob", lambda: file("webm", "libopus", options=_LIVE)),
    _row(
        "WebM",
        "opus",
        "paused for 20 s",
        "voice.webm",
        lambda: file("webm", "libopus", two(), pause=(2.9, 20.0)),
        windows=2,
    ),
    _row("WebM", "vorbis", "", "voice.webm", lambda: file("webm", "vorbis", np.stack([voice(48_000)] * 2))),
    _row("Matroska", "pcm_s16le", "", "voice.mka", lambda: file("matroska", "pcm_s16le"), alike=0.99),
    _row(
        "Matroska",
        "aac",
        "a silent track first",
        "stream.mkv",
        lambda: file("matroska", "aac", silence(), voice(48_000), video=True, default=0),
    ),
    _row(
        "Matroska",
        "aac",
        "the second track marked",
        "stream.mkv",
        lambda: file("matroska", "aac", -0.5 * voice(48_000)[::-1], voice(48_000), default=1),
    ),
    _row(
        "Matroska",
        "flac",
        "two tracks of hiss, then the voice",
        "stream.mkv",
        lambda: file("matroska", "flac", faint_noise(), faint_noise(), voice(48_000)),
        alike=0.99,
    ),
    _row(
        "Matroska",
        "flac",
        "seventy tracks",
        "table.mka",
        lambda: file("matroska", "flac", *[voice(8_000)] * 70, rate=8_000),
        alike=0.8,
    ),
    # others that hold sound
    _row("Windows Media", "wmav2", "", "voice.wma", lambda: file("asf", "wmav2", bit_rate=128_000)),
    _row("Windows Media", "wmav1", "", "voice.wma", lambda: file("asf", "wmav1", bit_rate=128_000)),
    _row("AVI", "pcm_s16le", "", "video.avi", lambda: file("avi", "pcm_s16le", video=True)),
    _row("AVI", "mp3", "", "video.avi", lambda: file("avi", "libmp3lame", video=True)),
    _row("Flash video", "aac", "", "video.flv", lambda: file("flv", "aac")),
    _row("MPEG transport stream", "aac", "", "tv.ts", lambda: file("mpegts", "aac")),
    _row("MPEG transport stream", "mp2", "", "tv.ts", lambda: file("mpegts", "mp2")),
    _row("MPEG", "mp2", "", "disc.vob", lambda: file("vob", "mp2")),
    _row("NUT", "opus", "", "voice.nut", lambda: file("nut", "libopus")),
    _row("RealMedia", "ac3", "", "voice.rm", lambda: file("rm", "ac3", np.stack([voice(44_100)] * 2), rate=44_100)),
)


def _mov() -> bytes:
    return file("mov", "pcm_s16le")


def _amr_in(muxer: str) -> bytes:
    return file(muxer, "libopencore_amrnb", voice(8_000), rate=8_000, bit_rate=12_200)


def _damaged(data: bytes) -> bytes:
    """A hole of 900 bytes in the middle."""
    middle = len(data) // 2
    return data[:middle] + b"\x55" * 900 + data[middle + 900 :]


def _encrypted() -> bytes:
    """As shops sold songs: the sample entry says so."""
    return _m4a().replace(b"mp4a", b"drms")


def _unfinished() -> bytes:
    return without_box(_m4a(), b"moov")


def _cover_only() -> bytes:
    body = (
        b"APIC"
        + struct.pack(">I", 200)[1:].rjust(4, b"\0")
        + b"\0\0"
        + b"\0image/png\0\3\0\x89PNG\r\n\x1a\n"
        + bytes(176)
    )
    return id3(400, body=body)


def _slow(rate: int) -> bytes:
    return chunks((b"fmt ", struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)), (b"data", s16()))


def _doubles(*, spike: float) -> bytes:
    samples = voice().astype("<f8")
    samples[[100, 9000]] = spike, -spike
    return chunks((b"fmt ", struct.pack("<HHIIHH", 3, 1, 16_000, 128_000, 8, 64)), (b"data", samples.tobytes()))


def _many() -> bytes:
    return file("matroska", "pcm_s16le", *[np.zeros(80, np.float32)] * 300, rate=8_000)


def _text(words: str) -> bytes:
    return (words * 200).encode("utf-16")


REFUSED: Final[tuple[Refusal, ...]] = (
    Refusal(name="empty.mp3", what="no byte", make=lambda: b"", key="empty_file"),
    Refusal(name="notes.mp3", what="text", make=lambda: b"Nothing but words.\n" * 50, key="not_as_named"),
    Refusal(name="notes.txt", what="text", make=lambda: b"Nothing but words.\n" * 50, key="not_audio"),
    Refusal(name="notes.wav", what="text of Windows", make=lambda: _text("Nur Worte – §.\r\n"), key="not_as_named"),
    Refusal(name="notes.txt", what="Russian text of Windows", make=lambda: _text("Просто слова. "), key="not_audio"),
    Refusal(name="list.mp3", what="a playlist", make=lambda: b"#EXTM3U\nhttp://127.0.0.1/a.ts\n", key="not_as_named"),
    Refusal(name="photo.jpg", what="a picture", make=lambda: b"\xff\xd8\xff\xe0" + bytes(500), key="not_audio"),
    Refusal(name="voice.zip", what="an archive", make=lambda: b"PK\x03\x04" + bytes(500), key="not_audio"),
    Refusal(name="song.mid", what="notes", make=lambda: b"MThd\0\0\0\6\0\1\0\1\0`" + bytes(50), key="not_audio"),
    Refusal(name="x.bin", what="random bytes", make=lambda: np.random.default_rng(1).bytes(5000), key="not_known"),
    Refusal(name="zeros.wav", what="zeros", make=lambda: bytes(5000), key="not_known_as_named"),
    Refusal(name="a.wav", what="a header alone", make=lambda: b"RIFF\0\0\0\0WAVE", key="damaged"),
    Refusal(name="a.wav", what="no sample", make=lambda: chunks((b"fmt ", FMT), (b"data", b"")), key="no_sound"),
    Refusal(name="cover.mp3", what="a cover picture alone", make=_cover_only, key="damaged"),
    Refusal(name="film.mp4", what="video alone", make=film, key="no_track"),
    Refusal(name="many.mka", what="more tracks than anybody has", make=_many, key="too_many_tracks"),
    Refusal(name="cut.m4a", what="its index was never written", make=_unfinished, key="no_index"),
    Refusal(name="song.m4p", what="encrypted", make=_encrypted, key="protected"),
    Refusal(name="silence.ogg", what="silence", make=lambda: file("ogg", "libopus", silence()), key="no_speech"),
    Refusal(name="rain.flac", what="noise", make=lambda: file("flac", "flac", 1e3 * faint_noise()), key="only_noise"),
    Refusal(
        name="broken.wav",
        what="hardly a number",
        make=lambda: wav(numberless(9_000), codec="pcm_f32le"),
        key="not_finite",
    ),
    Refusal(name="word.wav", what="half a second", make=lambda: wav(voice()[8000 : 8000 + 8000]), key="no_speech"),
    Refusal(
        name="lecture.wav",
        what="eleven minutes",
        make=lambda: chunks((b"fmt ", struct.pack("<HHIIHH", 1, 1, 4000, 4000, 1, 8)), (b"data", bytes(660 * 4_000))),
        key="too_long",
    ),
    Refusal(name="big.wav", what="more than 25 MB", make=lambda: bytes(25 * 2**20 + 1), key="too_large"),
    Refusal(name="slow.wav", what="1 kHz", make=lambda: _slow(1000), key="odd_shape"),
    Refusal(name="slow.wav", what="1 Hz, so more than ten minutes", make=lambda: _slow(1), key="odd_shape"),
)


assert len({row.title for row in TAKEN}) == len(TAKEN)


def as_markdown() -> str:
    """The list in docs/recordings.md: `python -m tests.fakes.recordings_table` writes it."""
    kinds: dict[str, dict[str, list[str]]] = {}
    for row in TAKEN:
        kinds.setdefault(row.container, {}).setdefault(row.codec, []).append(row.oddity)
    lines = ["| container | with | also |", "|---|---|---|"]
    for container, codecs in kinds.items():
        odd = "; ".join(dict.fromkeys(oddity for oddities in codecs.values() for oddity in oddities if oddity))
        lines.append(f"| {container} | {', '.join(codecs)} | {odd} |")
    return "\n".join(lines)


LIST: Final = Path(__file__).parents[2] / "docs" / "recordings.md"
_BEGIN: Final = "<!-- the table of the tests begins -->\n"
_END: Final = "\n<!-- the table of the tests ends -->"


def written() -> str:
    """The document, with the list as it ought to be."""
    before, _, rest = LIST.read_text(encoding="utf-8").partition(_BEGIN)
    return before + _BEGIN + as_markdown() + _END + rest.partition(_END)[2]


if __name__ == "__main__":
    LIST.write_text(written(), encoding="utf-8")

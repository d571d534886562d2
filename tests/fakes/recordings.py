"""A table of recordings as people have them: container, codec, oddity. Made in memory with PyAV and by hand.

Each row is the same voice (a clip of CREMA-D that ships with the sandbox, whose licence stands beside it there), so
each must sound the same. `TAKEN` are analysed by every door, `REFUSED` are refused by every door in one sentence.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from ser_engine.types import SAMPLE_RATE_HZ
from tests.fakes.clips import clip, clip_paths

Samples = NDArray[np.float32]
ANGRY = next(path for path in clip_paths() if path.name == "1030_IEO_ANG_HI.flac")
LAYOUTS = {1: "mono", 2: "stereo", 4: "quad", 6: "5.1", 8: "7.1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    container: str
    codec: str
    oddity: str
    name: str
    """As the person's file is called."""
    make: Callable[[], bytes]
    alike: float = 0.9
    """How like the original the decoded voice must be, as a correlation."""
    windows: int = 1

    @property
    def title(self) -> str:
        return ", ".join(part for part in (self.container, self.codec, self.oddity) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    name: str
    what: str
    make: Callable[[], bytes]
    key: str


@cache
def content(row: Recording | Refusal) -> bytes:
    """The file of a row. Some take seconds to make, so each process makes one once."""
    return row.make()


@cache
def voice(rate_hz: int = SAMPLE_RATE_HZ) -> Samples:
    return np.asarray(soxr.resample(clip(ANGRY), SAMPLE_RATE_HZ, rate_hz), dtype=np.float32)


def file(
    muxer: str,
    codec: str,
    *tracks: Samples,
    rate: int = 48_000,
    options: Mapping[str, str] | None = None,
    codec_options: Mapping[str, str] | None = None,
    bit_rate: int | None = None,
    default: int | None = None,
    video: bool = False,
    starts_s: float = 0.0,
    pause: tuple[float, float] | None = None,
) -> bytes:
    """A file of `tracks` (one voice where none is given), each of shape ``(n,)`` or ``(channels, n)``.

    `default` is the track that is marked; `pause` is where the clock jumps and by how much.
    """
    out = io.BytesIO()
    with av.open(out, "w", format=muxer, options=dict(options or {})) as container:
        picture = _picture_track(container) if video else None
        streams = []
        for k, samples in enumerate(tracks or (voice(rate),)):
            channels = np.atleast_2d(samples).astype(np.float32)
            stream: Any = container.add_stream(codec, rate=rate, layout=LAYOUTS[len(channels)])
            stream.codec_context.options = {"strict": "experimental"} | dict(codec_options or {})
            stream.codec_context.format = (av.Codec(codec, "w").audio_formats or [])[0]
            if bit_rate is not None:
                stream.bit_rate = bit_rate
            if default is not None:
                stream.disposition = av.stream.Disposition.default if k == default else 0
            streams.append((stream, channels))
        if picture is not None:
            _black(container, picture)
        for stream, channels in streams:
            _encode(container, stream, channels, rate, starts_s, pause)
    return out.getvalue()


def film() -> bytes:
    """Video alone."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        _black(container, _picture_track(container))
    return out.getvalue()


def _encode(
    container: Any, stream: Any, channels: Samples, rate: int, starts_s: float, pause: tuple[float, float] | None
) -> None:
    layout = LAYOUTS[len(channels)]
    packed = np.ascontiguousarray(channels.T).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
    if not stream.codec_context.is_open:  # the first packet of another track opened all of them
        stream.codec_context.open()
    resampler = av.AudioResampler(
        format=stream.codec_context.format, layout=layout, rate=rate, frame_size=stream.codec_context.frame_size or 1024
    )
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        late_s = pause[1] if pause is not None and piece.pts is not None and piece.pts >= pause[0] * rate else 0.0
        if piece.pts is not None:
            piece.pts += round((starts_s + late_s) * rate)
        container.mux(stream.encode(piece))
    container.mux(stream.encode(None))


def _picture_track(container: Any) -> Any:
    stream = container.add_stream("mpeg4", rate=5)
    stream.width = stream.height = 32
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, 5)
    return stream


def _black(container: Any, stream: Any, frames: int = 10) -> None:
    for k in range(frames):
        frame = av.VideoFrame(32, 32, "yuv420p")
        frame.pts, frame.time_base = k, Fraction(1, 5)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def wav(samples: Samples | None = None, rate: int = SAMPLE_RATE_HZ, codec: str = "pcm_s16le") -> bytes:
    return file("wav", codec, voice(rate) if samples is None else samples, rate=rate)


def chunks(*parts: tuple[bytes, bytes], size: int | None = None, order: str = "<", kind: bytes = b"RIFF") -> bytes:
    """A WAV by hand."""
    body = b"WAVE" + b"".join(
        name + struct.pack(f"{order}I", len(data)) + data + bytes(len(data) % 2) for name, data in parts
    )
    return kind + struct.pack(f"{order}I", len(body) if size is None else size) + body


FMT = struct.pack("<HHIIHH", 1, 1, SAMPLE_RATE_HZ, 2 * SAMPLE_RATE_HZ, 2, 16)


def s16(order: str = "<") -> bytes:
    return (voice() * 32767).astype(f"{order}i2").tobytes()


def rifx(bits: int) -> bytes:
    width = bits // 8
    samples = (voice().astype(np.float64) * (2 ** (bits - 1) - 1)).astype(">i4" if bits > 16 else ">i2")
    raw = samples.tobytes()
    if bits == 24:
        raw = samples.view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()
    fmt = struct.pack(">HHIIHH", 1, 1, SAMPLE_RATE_HZ, width * SAMPLE_RATE_HZ, width, bits)
    return chunks((b"fmt ", fmt), (b"data", raw), order=">", kind=b"RIFX")


def open_ended(size: int) -> bytes:
    """A WAV from a stream: nobody came back to write the lengths."""
    data = bytearray(chunks((b"fmt ", FMT), (b"data", s16())))
    data[4:8] = data[40:44] = struct.pack("<I", size)
    return bytes(data)


def mp3(rate: int = 44_100, **options: Any) -> bytes:
    plain = {"id3v2_version": "0", "write_xing": "0", "write_id3v1": "0"}
    return file("mp3", "libmp3lame", voice(rate), rate=rate, options=plain | options, bit_rate=96_000)


@cache
def unsteady() -> bytes:
    """100 s of VBR MP3 that begins with silence and has no header: players estimate eleven minutes and a half."""
    samples = np.concatenate([np.zeros(4 * 16_000, np.float32), np.tile(voice(16_000), 45)])[: 100 * 16_000]
    return file(
        "mp3",
        "libmp3lame",
        samples,
        rate=16_000,
        options={"id3v2_version": "0", "write_xing": "0", "write_id3v1": "0"},
        codec_options={"flags": "+qscale", "global_quality": "0"},
    )


def id3(size: int, *, footer: bool = False, body: bytes = b"") -> bytes:
    """A tag of ID3 2.4, with the footer that 2.4 allows."""
    syncsafe = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    head = b"\x04\x00" + (b"\x10" if footer else b"\x00") + syncsafe
    return b"ID3" + head + body + bytes(size - len(body)) + (b"3DI" + head if footer else b"")


def ape_tag() -> bytes:
    item = struct.pack("<II", 5, 0) + b"Title\x00voice"
    head = struct.pack("<IIII8x", 2000, len(item) + 32, 1, 0xA0000000)
    foot = struct.pack("<IIII8x", 2000, len(item) + 32, 1, 0x80000000)
    return b"APETAGEX" + head + item + b"APETAGEX" + foot


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """The outermost boxes of an MP4 file."""
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        found.append((data[at + 4 : at + 8], data[at : at + size]))
        at += size
    return found


def first_box(data: bytes, kind: bytes) -> bytes:
    """`ftyp` replaced, as in files from before it was invented."""
    return data[:4] + kind + data[8:]


def index_first(data: bytes) -> bytes:
    """An MP4 file whose index stands before the sound, as on web servers; its offsets move with it."""
    parts = dict(boxes(data))
    moov = parts.pop(b"moov")
    first = parts.pop(b"ftyp")
    return first + moved(moov, len(moov)) + b"".join(parts.values())


def moved(moov: bytes, by: int) -> bytes:
    """The index of a file whose sound stands that many bytes later."""
    made = bytearray(moov)
    at = made.index(b"stco") + 8
    for k in range(int.from_bytes(made[at : at + 4])):
        place = slice(at + 4 + 4 * k, at + 8 + 4 * k)
        made[place] = (int.from_bytes(made[place]) + by).to_bytes(4)
    return bytes(made)


def without_box(data: bytes, kind: bytes) -> bytes:
    return b"".join(body for name, body in boxes(data) if name != kind)


def only(channel: int, of: int, rate: int = 48_000) -> Samples:
    samples = np.zeros((of, len(voice(rate))), np.float32)
    samples[channel] = voice(rate)
    return samples


def inverted(rate: int = 48_000, second: float = -1.0) -> Samples:
    return np.stack([voice(rate), np.float32(second) * voice(rate)])


def spiked(rate: int = SAMPLE_RATE_HZ) -> Samples:
    samples = voice(rate).copy()
    samples[[100, 9000]] = 900, -4000
    return samples


def numberless(count: int) -> Samples:
    """The voice at 16 kHz with so many samples that are NaN or infinite, spread over all of it."""
    samples = voice().copy()
    samples[:: len(samples) // count] = np.nan
    samples[1000] = -np.inf
    return samples


def silence(rate: int = 48_000) -> Samples:
    return np.zeros_like(voice(rate))


def faint_noise(rate: int = 48_000) -> Samples:
    return np.asarray(np.random.default_rng(3).standard_normal(len(voice(rate))) * 1e-4, dtype=np.float32)


def two(rate: int = 48_000) -> Samples:
    return np.concatenate([voice(rate), np.zeros(rate, np.float32), voice(rate)])

"""Any audio file, in memory and within bounds, to what the engine hears: 16 kHz, mono, float32.

PyAV decodes from bytes: nothing is written to a disk and no program is started. The container is told by its content,
not by its name, and only the demuxers of `KINDS` are ever opened, so a playlist or a script that calls itself audio is
refused before FFmpeg sees it. Channels are mixed before resampling (soxr HQ, −136 dB of alias), block by block, so that
a hostile file costs no more memory than an honest one.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ser_engine.errors import AudioError, EngineError
from ser_engine.refusals import refusal, too_large
from ser_engine.types import SAMPLE_RATE_HZ, Pcm

if TYPE_CHECKING:
    import av

KINDS: Final = ("wav", "mp3", "webm", "ogg", "flac", "m4a")
"""What is taken, as people name it."""

_DEMUXERS: Final = {"wav": "wav", "mp3": "mp3", "webm": "matroska", "ogg": "ogg", "flac": "flac", "m4a": "mp4"}
_EXTENSIONS: Final = frozenset({"wav", "wave", "mp3", "webm", "mka", "ogg", "oga", "opus", "flac", "m4a", "mp4"})
_MIN_RATE_HZ: Final = 4_000
_MAX_RATE_HZ: Final = 384_000
_MAX_CHANNELS: Final = 64
_STATED_MARGIN: Final = 1.2  # a length that is only estimated (mp3) may be off by this much
_BLOCK_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeLimits:
    """How much of a stranger's file is taken on."""

    max_bytes: int = 25 * 1024 * 1024
    max_duration_s: float = 600.0
    max_decode_s: float = 60.0

    @property
    def in_words(self) -> str:
        return f"up to {self.max_bytes / 2**20:.0f} MB and {self.max_duration_s / 60:g} minutes"


DEFAULT_LIMITS: Final = DecodeLimits()


def sniff(data: bytes) -> str | None:
    """The kind of audio file by its first bytes (one of `KINDS`), or None."""
    head = data[:12]
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"OggS":
        return "ogg"
    if head[:4] == b"fLaC":
        return "flac"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "webm"
    if head[4:8] == b"ftyp":
        return "m4a"
    # An ID3 tag, or the frame sync of MPEG audio layer 3 (bits: 11 × sync, version, layer 01).
    if head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2):
        return "mp3"
    return None


def decode(data: bytes, *, filename: str | None = None, limits: DecodeLimits = DEFAULT_LIMITS) -> Pcm:
    """Samples of a whole audio file, mono float32 at 16 kHz, shape ``(n,)``, n ≥ 1, finite and within ±1.

    `filename` only words the refusal. A file that breaks off is decoded as far as it goes. Raises EmptyAudio,
    AudioTooLarge, AudioTooLong (from the stated length, before decoding, where there is one), UnsupportedFormat,
    UndecodableAudio, DecodeTimeout, InvalidSamples.
    """
    if not data:
        raise refusal("empty_file")
    if len(data) > limits.max_bytes:
        raise too_large(limits.max_bytes)
    kind = sniff(data)
    if kind is None:
        extension = PurePath(filename or "").suffix.lower().lstrip(".")
        if extension in _EXTENSIONS:
            raise refusal("not_as_named", ending=extension)
        raise refusal("not_audio", kinds=", ".join(KINDS))

    import av  # a quarter of a second: only those who decode pay

    try:
        with av.open(io.BytesIO(data), mode="r", format=_DEMUXERS[kind]) as container:
            pcm = _decode_container(container, len(data), limits)
    except AudioError:
        raise
    except (av.FFmpegError, ValueError, IndexError, EOFError) as error:
        raise refusal("damaged", kind=kind) from error
    if len(pcm) == 0:
        raise refusal("no_sound")
    return checked(pcm)


def checked(pcm: NDArray[np.floating[Any]]) -> Pcm:
    """`pcm` as float32 within ±1; float files may exceed full scale and are scaled back as a whole.

    Raises InvalidSamples for NaN, infinity or more than one dimension.
    """
    if pcm.ndim != 1:
        raise refusal("not_mono")
    samples = np.ascontiguousarray(pcm, dtype=np.float32)
    if not np.isfinite(samples).all():
        raise refusal("not_finite")
    peak = float(np.abs(samples).max()) if len(samples) else 0.0
    return samples if peak <= 1 else np.asarray(samples / np.float32(peak), dtype=np.float32)


def resample(pcm: Pcm, rate_hz: int) -> Pcm:
    """Mono samples at `rate_hz` to 16 kHz (soxr HQ)."""
    if rate_hz == SAMPLE_RATE_HZ:
        return pcm
    import soxr

    return np.asarray(soxr.resample(pcm, rate_hz, SAMPLE_RATE_HZ, quality="HQ"), dtype=np.float32)


def change_speed(pcm: Pcm, factor: float) -> Pcm:
    """`pcm` played `factor` times as fast; the pitch goes along, as with another size of vocal tract. Never empty."""
    if factor == 1 or len(pcm) < 2:
        return pcm
    import soxr

    return np.asarray(soxr.resample(pcm, SAMPLE_RATE_HZ * factor, SAMPLE_RATE_HZ), dtype=np.float32)


def level_dbfs(pcm: Pcm) -> float:
    """Root mean square in dB relative to a full-scale square wave; −120 for silence."""
    if len(pcm) == 0:
        return -120.0
    rms = float(np.sqrt(np.mean(np.square(pcm, dtype=np.float64))))
    return 20 * float(np.log10(max(rms, 1e-6)))


def peak_dbfs(pcm: Pcm) -> float:
    """Largest magnitude in dB relative to full scale; −120 for silence."""
    return 20 * float(np.log10(max(float(np.abs(pcm).max()) if len(pcm) else 0.0, 1e-6)))


def _decode_container(container: av.container.InputContainer, size: int, limits: DecodeLimits) -> Pcm:
    if not container.streams.audio:
        raise refusal("no_track")
    stream = container.streams.audio[0]
    codec: Any = stream.codec_context  # None for a codec that FFmpeg does not know, whatever the types say
    if codec is None:
        raise refusal("bad_header")
    rate, channels = codec.sample_rate, codec.channels
    if not _MIN_RATE_HZ <= rate <= _MAX_RATE_HZ or not 1 <= channels <= _MAX_CHANNELS:
        raise refusal("odd_shape", rate_hz=rate, channels=channels)
    stated = _stated_duration_s(container, stream, size)
    if stated is not None and stated > limits.max_duration_s * _STATED_MARGIN:
        raise _too_long(limits)
    return _resampled(_mono_blocks(container, stream, rate, limits), rate)


def _stated_duration_s(
    container: av.container.InputContainer, stream: av.audio.stream.AudioStream, size: int
) -> float | None:
    codec = stream.codec_context
    if codec.name.startswith("pcm_"):  # a header may lie or be left open by a recorder; the bytes do not
        width = re.search(r"\d+", codec.name)  # pcm_s16le, pcm_f32be; pcm_alaw and pcm_mulaw have eight bits
        bits = int(width[0]) if width else 8
        return size * 8 / (bits * codec.channels * codec.sample_rate)
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1_000_000


def _too_long(limits: DecodeLimits) -> EngineError:
    return refusal("too_long", minutes=f"{limits.max_duration_s / 60:g}")


def _mono_blocks(
    container: av.container.InputContainer, stream: av.audio.stream.AudioStream, rate: int, limits: DecodeLimits
) -> Iterator[Pcm]:
    """Mixed-down blocks of about a second at the file's own rate."""
    deadline = time.monotonic() + limits.max_decode_s
    pending: list[Pcm] = []
    held, total, most = 0, 0, int(limits.max_duration_s * rate)
    for frame in _frames(container, stream):
        if time.monotonic() > deadline:
            raise refusal("decode_late", seconds=f"{limits.max_decode_s:g}")
        if frame.sample_rate != rate:
            raise refusal("rate_changes")
        mono = _mono(frame)
        total += len(mono)
        held += len(mono)
        if total > most:
            raise _too_long(limits)
        pending.append(mono)
        if held >= _BLOCK_S * rate:
            yield np.concatenate(pending)
            pending, held = [], 0
    if pending:
        yield np.concatenate(pending)


def _frames(container: av.container.InputContainer, stream: av.audio.stream.AudioStream) -> Iterator[Any]:
    """Decoded frames; broken packets are passed over unless they are the rule."""
    import av

    good, bad = 0, 0
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.InvalidDataError:
                bad += 1
                continue
            good += len(frames)
            yield from frames
    except av.InvalidDataError:
        bad += 1
    if bad > max(1, good // 10):
        raise refusal("too_damaged")


def _mono(frame: Any) -> Pcm:
    """Mean of a frame's channels, float32."""
    samples = frame.to_ndarray()
    channels = len(frame.layout.channels)
    by_channel = samples if frame.format.is_planar else samples.reshape(-1, channels).T
    if by_channel.dtype.kind == "u":
        scaled = (by_channel.astype(np.float32) - 128) / 128
    elif by_channel.dtype.kind == "i":
        scaled = by_channel.astype(np.float32) / np.float32(2.0 ** (8 * by_channel.dtype.itemsize - 1))
    else:
        scaled = by_channel
    return np.asarray(scaled.mean(axis=0), dtype=np.float32)


def _resampled(blocks: Iterator[Pcm], rate: int) -> Pcm:
    if rate == SAMPLE_RATE_HZ:
        out = list(blocks)
    else:
        import soxr

        stream = soxr.ResampleStream(rate, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        out = [stream.resample_chunk(block) for block in blocks]
        out.append(stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
    return np.concatenate(out) if out else np.zeros(0, dtype=np.float32)

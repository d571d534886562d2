"""A track's decoded frames to mono pieces at 16 kHz, each in its place on the recording's timeline.

What counts against the longest length is what was decoded, never what a header or a clock says. The container's times
are used for one thing: where they jump ahead, the recording was paused, and what follows keeps its place. Where the
rate or the channels change, the rest is a new piece, resampled on its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ser_engine.downmix import Downmix
from ser_engine.level import without_spikes
from ser_engine.refusals import refusal
from ser_engine.types import SAMPLE_RATE_HZ, Pcm, PcmFrame

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

    from ser_engine.limits import DecodeLimits

_MIN_RATE_HZ: Final = 4_000
_MAX_RATE_HZ: Final = 384_000
_MAX_CHANNELS: Final = 64
_MOST_PLANES: Final = 7
_BLOCK_S: Final = 1.0
_MAX_BLOCK_SAMPLES: Final = 4_000_000
"""Of all channels together: 64 channels at 384 kHz are mixed in shorter blocks."""
_PAUSE_S: Final = 0.5
"""A jump of the container's times that is a pause; less is a clock's inaccuracy or a lost packet."""
_LONGEST_PAUSE_S: Final = 24 * 3600.0
"""A larger jump is another clock, not a pause."""


def can_be_heard(rate_hz: int, channels: int) -> bool:
    """Whether sound of this rate and so many channels is decoded."""
    return _MIN_RATE_HZ <= rate_hz <= _MAX_RATE_HZ and 1 <= channels <= _MAX_CHANNELS


class Deadline:
    """How long a file may be decoded, whichever track it is."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._ends = time.monotonic() + limit_s

    def check(self) -> None:
        """Raises DecodeTimeout."""
        if time.monotonic() > self._ends:
            raise refusal("decode_late", seconds=f"{self._limit_s:g}")


def pieces_of(
    container: InputContainer, track: AudioStream, limits: DecodeLimits, deadline: Deadline, *, swapped: bool = False
) -> Iterator[PcmFrame]:
    """The track in pieces, in order; between two there may be a pause.

    `swapped`: the samples' bytes are the other way round than the demuxer takes them for (RIFX).
    Raises AudioTooLong, UnsupportedFormat (odd rates), InvalidSamples, DecodeTimeout.
    """
    joined = _Joined(limits, narrow=swapped and track.codec_context.name.startswith("pcm_s24"), swapped=swapped)
    for frame in frames_of(container, track, deadline):
        yield from joined.add(frame)
    yield from joined.end()


def frames_of(container: InputContainer, track: AudioStream, deadline: Deadline) -> Iterator[Any]:
    """Decoded frames; broken packets are passed over, as players do, unless they are the rule."""
    import av

    good = bad = failures = 0
    ended = False
    while not ended:
        before = good + bad
        try:
            for packet in container.demux(track):
                deadline.check()
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    bad += 1
                    continue
                good += len(frames)
                yield from frames
            ended = True
        except av.FFmpegError:
            failures += 1
            ended = good + bad == before  # it does not get past this place
    if bad + failures > max(1, good):
        raise refusal("too_damaged")


def counted_s(container: InputContainer, track: AudioStream, limit_s: float, deadline: Deadline) -> float:
    """Seconds of sound in the track's packets, counted without decoding them, up to a little over `limit_s`."""
    total = 0.0
    for packet in container.demux(track):
        deadline.check()
        if packet.duration and packet.time_base:
            total += min(_LONGEST_PACKET_S, float(packet.duration * packet.time_base))
        if total > limit_s:
            break
    return total


_LONGEST_PACKET_S: Final = 2.0
"""A longer one is a pause, written as the length of what stands before it."""


class _Joined:
    """Frames put together into blocks, mixed, resampled and placed."""

    def __init__(self, limits: DecodeLimits, *, swapped: bool, narrow: bool) -> None:
        self._limits = limits
        self._swapped = swapped
        self._narrow = narrow  # 24 bits, which FFmpeg hands out as the upper ones of 32
        self._shape: tuple[int, int] | None = None  # rate and channels of what is being put together
        self._downmix = Downmix(1)
        self._pending: list[NDArray[np.float32]] = []
        self._pending_samples = 0
        self._resampler: _Resampler | None = None
        self._next = 0  # where the next piece begins on the timeline, in samples at 16 kHz
        self._earlier_s = 0.0  # what was decoded at other rates
        self._shape_samples = 0
        self._pauses_s = 0.0
        self._origin_s: float | None = None

    def add(self, frame: Any) -> Iterator[PcmFrame]:
        shape = (frame.sample_rate, len(frame.layout.channels))
        if shape != self._shape:
            yield from self.end()
            self._begin(*shape)
        yield from self._paused(frame)
        samples = _by_channel(frame, swapped=self._swapped, narrow=self._narrow)
        self._shape_samples += samples.shape[1]
        if self._decoded_s > self._limits.max_duration_s:
            raise refusal("too_long", minutes=f"{self._limits.max_duration_s / 60:g}")
        self._pending.append(samples)
        self._pending_samples += samples.shape[1]
        if self._pending_samples >= min(_BLOCK_S * shape[0], _MAX_BLOCK_SAMPLES / shape[1]):
            yield from self._block()

    def end(self) -> Iterator[PcmFrame]:
        """What is pending, and the rest that the resampler holds back."""
        yield from self._block()
        if self._resampler is not None:
            yield from self._placed(self._resampler.rest())
            self._resampler = None

    def _begin(self, rate: int, channels: int) -> None:
        if not can_be_heard(rate, channels):
            raise refusal("odd_shape", rate_hz=rate, channels=channels)
        if self._shape is None or self._shape[1] != channels:
            self._downmix = Downmix(channels)
        self._earlier_s, self._shape_samples = self._decoded_s, 0
        self._shape = (rate, channels)

    @property
    def _decoded_s(self) -> float:
        return self._earlier_s + (self._shape_samples / self._shape[0] if self._shape else 0.0)

    def _paused(self, frame: Any) -> Iterator[PcmFrame]:
        """Follow the container's clock where it jumps ahead; where it is set back, go on from there."""
        at_s = frame.time  # not pts times time_base: each look at that makes a fraction, a fifth of a frame's cost
        if at_s is None:
            return
        if self._origin_s is None:
            self._origin_s = at_s
        ahead_s = at_s - self._origin_s - self._decoded_s - self._pauses_s
        if _PAUSE_S <= ahead_s <= _LONGEST_PAUSE_S:
            yield from self.end()
            self._pauses_s += ahead_s
            self._next = max(self._next, round((self._decoded_s + self._pauses_s) * SAMPLE_RATE_HZ))
        elif abs(ahead_s) >= _PAUSE_S:
            self._origin_s += ahead_s

    def _block(self) -> Iterator[PcmFrame]:
        if not self._pending or self._shape is None:
            return
        block = np.concatenate(self._pending, axis=1)
        self._pending, self._pending_samples = [], 0
        block = without_spikes(block)
        if not np.isfinite(block).all():
            raise refusal("not_finite")
        if self._resampler is None:
            self._resampler = _Resampler(self._shape[0])
        yield from self._placed(self._resampler.more(self._downmix.mix(block)))

    def _placed(self, pcm: Pcm) -> Iterator[PcmFrame]:
        if len(pcm):
            yield PcmFrame(speaker="file", t_samples=self._next, pcm=pcm)
            self._next += len(pcm)


class _Resampler:
    """A stretch of one rate to 16 kHz (soxr HQ, −136 dB of alias), block by block and without seams."""

    def __init__(self, rate_hz: int) -> None:
        self._stream: Any = None
        if rate_hz != SAMPLE_RATE_HZ:
            import soxr

            self._stream = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")

    def more(self, pcm: Pcm) -> Pcm:
        if self._stream is None:
            return np.ascontiguousarray(pcm)
        return np.asarray(self._stream.resample_chunk(np.ascontiguousarray(pcm)), dtype=np.float32)

    def rest(self) -> Pcm:
        nothing = np.zeros(0, dtype=np.float32)
        if self._stream is None:
            return nothing
        return np.asarray(self._stream.resample_chunk(nothing, last=True), dtype=np.float32)


def _by_channel(frame: Any, *, swapped: bool, narrow: bool) -> NDArray[np.float32]:
    """A frame's samples, shape ``(channels, n)``, full scale ±1."""
    channels = len(frame.layout.channels)
    if frame.format.name in ("s64", "s64p") or (frame.format.is_planar and channels > _MOST_PLANES):
        return _through_float(frame, channels)
    samples = frame.to_ndarray()
    if swapped:
        samples = samples.byteswap() << 8 if narrow else samples.byteswap()
    by_channel = samples if frame.format.is_planar else samples.reshape(-1, channels).T
    if by_channel.dtype.kind == "u":
        return np.asarray((by_channel.astype(np.float32) - 128) / 128, dtype=np.float32)
    if by_channel.dtype.kind == "i":
        full = np.float32(2.0 ** (8 * by_channel.dtype.itemsize - 1))
        return np.asarray(by_channel.astype(np.float32) / full, dtype=np.float32)
    with np.errstate(over="ignore"):  # doubles beyond it become infinite, and are bridged or refused as such
        return np.asarray(by_channel, dtype=np.float32)


def _through_float(frame: Any, channels: int) -> NDArray[np.float32]:
    """What PyAV does not hand to numpy (64-bit samples), or hands out wrongly (eight planes and more: it crashes)."""
    import av

    resampler = av.AudioResampler(format="flt", layout=frame.layout, rate=frame.sample_rate)
    parts = [part.to_ndarray() for part in [*resampler.resample(frame), *resampler.resample(None)]]
    return np.asarray(np.concatenate(parts, axis=1).reshape(-1, channels).T, dtype=np.float32)

"""Opus through the libopus that PyAV's wheel carries: packets straight to 16 kHz mono, and 48 kHz audio to packets.

Why not PyAV or discord.py: libopus decodes at 16 kHz mono by itself, which is what the engine takes, in a fifth of the
time that decoding at 48 kHz stereo and resampling takes; it conceals lost packets; and no system package is needed.
An encoder or decoder keeps the state of one stream and is not to be shared between threads.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import weakref
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

FRAME_MS: Final = 20
"""What Discord's clients put into a packet."""
SILENCE: Final = b"\xf8\xff\xfe"
"""The packet Discord's clients send for silence; it passes end-to-end encryption unchanged."""
MAX_PACKET_BYTES: Final = 1275 * 3 + 7
"""The longest packet of up to 120 ms (RFC 6716, section 3.4)."""
MAX_PACKET_MS: Final = 120

_FRAMES_OF_CODE: Final = (1, 2, 2)
"""How many frames a packet holds whose first byte ends in 0, 1 or 2; with 3 the second byte says."""

_OK: Final = 0
_APPLICATIONS: Final = {"voip": 2048, "audio": 2049}
_SET_BITRATE: Final = 4002
_SET_MAX_BANDWIDTH: Final = 4004
_WIDEBAND: Final = 1103
_SET_SIGNAL: Final = 4024
_VOICE: Final = 3001
_SET_INBAND_FEC: Final = 4012
_SET_PACKET_LOSS_PERC: Final = 4014
_RESET_STATE: Final = 4028

Rate = Literal[8_000, 12_000, 16_000, 24_000, 48_000]


class OpusError(Exception):
    """libopus refused a packet or a setting, or is not there."""

    def __init__(self, what: str, status: int | None = None) -> None:
        detail = "" if status is None else f": {library().opus_strerror(status).decode('ascii', 'replace')}"
        super().__init__(f"{what}{detail}")
        self.status = status


def _candidates() -> Iterator[str]:
    spec = importlib.util.find_spec("av")
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        for folder, pattern in (
            (package.parent / "av.libs", "*opus*"),  # Linux and Windows wheels
            (package / ".dylibs", "*opus*"),  # macOS wheels
        ):
            yield from map(str, sorted(folder.glob(pattern)))
    system = ctypes.util.find_library("opus")
    if system is not None:
        yield system


@cache
def library() -> ctypes.CDLL:
    """The loaded libopus, its functions declared.

    Raises:
        OpusError: PyAV's wheel carries none, and the system has none either.
    """
    for path in _candidates():
        try:
            lib = ctypes.CDLL(path)
        except OSError:
            continue
        if hasattr(lib, "opus_decode_float"):
            return _declare(lib)
    raise OpusError("libopus was not found: reinstall the package av from its wheel")


def _declare(lib: ctypes.CDLL) -> ctypes.CDLL:
    state, number, size, raw = ctypes.c_void_p, ctypes.c_int, ctypes.c_int32, ctypes.c_void_p
    lib.opus_strerror.argtypes, lib.opus_strerror.restype = [number], ctypes.c_char_p
    lib.opus_get_version_string.argtypes, lib.opus_get_version_string.restype = [], ctypes.c_char_p
    lib.opus_packet_get_nb_samples.argtypes = [ctypes.c_char_p, size, size]
    lib.opus_decoder_create.argtypes, lib.opus_decoder_create.restype = [size, number, raw], state
    lib.opus_decoder_destroy.argtypes, lib.opus_decoder_destroy.restype = [state], None
    lib.opus_decode_float.argtypes = [state, ctypes.c_char_p, size, raw, number, number]
    lib.opus_encoder_create.argtypes, lib.opus_encoder_create.restype = [size, number, number, raw], state
    lib.opus_encoder_destroy.argtypes, lib.opus_encoder_destroy.restype = [state], None
    lib.opus_encode_float.argtypes, lib.opus_encode_float.restype = [state, raw, number, raw, size], size
    # Both are variadic: only the fixed arguments are declared, as some platforms pass the others differently.
    lib.opus_decoder_ctl.argtypes = lib.opus_encoder_ctl.argtypes = [state, number]
    return lib


def version() -> str:
    """libopus' own name for itself, such as ``libopus 1.6``."""
    return str(library().opus_get_version_string().decode("ascii", "replace"))


def _frame_durations() -> tuple[int, ...]:
    """By configuration, the first five bits of a packet: a frame's length in samples at 48 kHz (RFC 6716, table 2)."""
    silk, hybrid, celt = (480, 960, 1_920, 2_880), (480, 960), (120, 240, 480, 960)
    return silk * 3 + hybrid * 2 + celt * 4


_FRAME_SAMPLES_48K: Final = _frame_durations()
_PACKET_SAMPLES_48K: Final = tuple(
    0 if first & 3 == 3 else _FRAMES_OF_CODE[first & 3] * _FRAME_SAMPLES_48K[first >> 3] for first in range(256)
)
"""By a packet's first byte; 0 where the second one says how many frames there are."""


def packet_samples(packet: bytes, rate_hz: Rate = 48_000) -> int:
    """How many samples a channel `packet` holds at `rate_hz`, from its first bytes.

    Raises:
        OpusError: the bytes are no Opus packet.
    """
    if not packet:
        raise OpusError("not an Opus packet")
    if samples := _PACKET_SAMPLES_48K[packet[0]]:
        return samples * rate_hz // 48_000
    if len(packet) < 2:
        raise OpusError("not an Opus packet")
    samples = (packet[1] & 0x3F) * _FRAME_SAMPLES_48K[packet[0] >> 3]
    if samples > 48 * MAX_PACKET_MS:
        raise OpusError("not an Opus packet")
    return samples * rate_hz // 48_000


class Block:
    """Room for samples (mono) that lie one behind the other, so that several packets become one array."""

    def __init__(self, samples: int) -> None:
        self.length = 0
        """Samples that are in it."""
        self.room = samples
        self._pcm = np.empty(samples, dtype=np.float32)
        self.address = self._pcm.ctypes.data

    def take(self) -> Samples:
        """What is in it; it is empty afterwards."""
        pcm = self._pcm[: self.length].copy()
        self.room += self.length
        self.length = 0
        return pcm


class Decoder:
    """One stream's packets to samples; 16 kHz mono unless told otherwise. About 50 µs a packet of 20 ms."""

    def __init__(self, rate_hz: Rate = 16_000, channels: Literal[1, 2] = 1) -> None:
        lib = library()
        status = ctypes.c_int()
        pointer = lib.opus_decoder_create(rate_hz, channels, ctypes.byref(status))
        if status.value != _OK or not pointer:
            raise OpusError("no Opus decoder", status.value)
        self.rate_hz = rate_hz
        self.channels = channels
        self._state = ctypes.c_void_p(pointer)
        self._capacity = rate_hz * MAX_PACKET_MS // 1000
        self._buffer = np.empty((self._capacity, channels), dtype=np.float32)
        self._out = ctypes.c_void_p(self._buffer.ctypes.data)
        self._decode = lib.opus_decode_float
        weakref.finalize(self, lib.opus_decoder_destroy, self._state)

    def decode(self, packet: bytes) -> Samples:
        """The samples of `packet`: shape ``(n,)`` when mono, ``(n, 2)`` when stereo, full scale ±1 (may go beyond).

        Raises:
            OpusError: the bytes are no Opus packet; the decoder stays usable.
        """
        if not packet:
            raise OpusError("an empty packet is none; conceal() fills a loss")
        return self._run(packet, len(packet), self._capacity, fec=0)

    def append(self, packet: bytes, block: Block) -> None:
        """Like `decode`, for mono: the samples are put behind those in `block`.

        Raises:
            OpusError: the bytes are no Opus packet, or there is no room for it; nothing is put there.
        """
        if not packet or self.channels != 1:
            raise OpusError("an empty packet is none, and a block is mono")
        count = self._decode(self._state, packet, len(packet), block.address + 4 * block.length, block.room, 0)
        if count < 0:
            raise OpusError("not an Opus packet", count)
        block.length += count
        block.room -= count

    def conceal(self, samples: int) -> Samples:
        """Up to 120 ms made up for lost packets; `samples` a channel, a multiple of 2.5 ms."""
        if not 0 < samples <= self._capacity:
            raise ValueError(f"conceal takes 1 to {self._capacity} samples, not {samples}")
        return self._run(None, 0, samples, fec=0)

    def recover(self, following: bytes, samples: int) -> Samples:
        """The packet before `following` from the copy that `following` may carry (in-band FEC); concealed when not."""
        if not 0 < samples <= self._capacity:
            raise ValueError(f"recover takes 1 to {self._capacity} samples, not {samples}")
        return self._run(following, len(following), samples, fec=1)

    def reset(self) -> None:
        """Forget the stream so far, as for a new one."""
        status = library().opus_decoder_ctl(self._state, _RESET_STATE)
        if status != _OK:
            raise OpusError("the decoder cannot be reset", status)

    def _run(self, packet: bytes | None, size: int, capacity: int, *, fec: int) -> Samples:
        count = self._decode(self._state, packet, size, self._out, capacity, fec)
        if count < 0:
            raise OpusError("not an Opus packet", count)
        pcm = self._buffer[:count]
        return (pcm[:, 0] if self.channels == 1 else pcm).copy()


class Encoder:
    """Samples to one stream's packets, as Discord's clients make them: 48 kHz, 20 ms, 64 kbit/s."""

    def __init__(
        self,
        rate_hz: Rate = 48_000,
        channels: Literal[1, 2] = 1,
        *,
        bitrate_bps: int = 64_000,
        application: Literal["voip", "audio"] = "audio",
        expected_loss_percent: int = 0,
        wideband_speech: bool = False,
    ) -> None:
        """`wideband_speech`: the material is speech that was sampled at 16 kHz; no bits go to the empty bands above."""
        lib = library()
        status = ctypes.c_int()
        pointer = lib.opus_encoder_create(rate_hz, channels, _APPLICATIONS[application], ctypes.byref(status))
        if status.value != _OK or not pointer:
            raise OpusError("no Opus encoder", status.value)
        self.rate_hz = rate_hz
        self.channels = channels
        self.frame_samples = rate_hz * FRAME_MS // 1000
        self._state = ctypes.c_void_p(pointer)
        self._packet = ctypes.create_string_buffer(MAX_PACKET_BYTES)
        weakref.finalize(self, lib.opus_encoder_destroy, self._state)
        self._set(_SET_BITRATE, bitrate_bps)
        if wideband_speech:
            self._set(_SET_MAX_BANDWIDTH, _WIDEBAND)
            self._set(_SET_SIGNAL, _VOICE)
        if expected_loss_percent:
            self._set(_SET_INBAND_FEC, 1)
            self._set(_SET_PACKET_LOSS_PERC, expected_loss_percent)

    def encode(self, pcm: Samples) -> bytes:
        """One packet of `pcm`: shape ``(n,)`` or ``(n, channels)``, full scale ±1, n = 2.5, 5, 10, 20, 40 or 60 ms.

        Raises:
            OpusError: the number of samples is none of these.
            ValueError: the samples do not divide into the channels.
        """
        block = np.ascontiguousarray(pcm, dtype=np.float32)
        if block.size % self.channels:
            raise ValueError("the samples do not divide into the channels")
        samples = block.size // self.channels
        size = library().opus_encode_float(
            self._state, block.ctypes.data_as(ctypes.c_void_p), samples, self._packet, MAX_PACKET_BYTES
        )
        if size < 0:
            raise OpusError(f"{samples} samples cannot be one packet", size)
        return self._packet.raw[:size]

    def packets(self, pcm: Samples) -> Iterator[bytes]:
        """`pcm` of any length as packets of 20 ms, the last one filled up with zeros."""
        block = np.asarray(pcm, dtype=np.float32).reshape(-1, self.channels)
        for start in range(0, len(block), self.frame_samples):
            piece = block[start : start + self.frame_samples]
            missing = self.frame_samples - len(piece)
            yield self.encode(np.pad(piece, ((0, missing), (0, 0))) if missing else piece)

    def _set(self, request: int, value: int) -> None:
        status = library().opus_encoder_ctl(self._state, request, ctypes.c_int32(value))
        if status != _OK:
            raise OpusError("the encoder refuses a setting", status)

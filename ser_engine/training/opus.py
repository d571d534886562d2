"""What a call's codec does to a voice, for training: Opus at 48 kHz and back to 16 kHz, with packets lost on the way.

libopus is the one in PyAV's wheel, reached through ctypes as the voice layer does; the engine may not import that
layer, so this holds the little that training needs: one coder, one decoder, one concealment.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
from functools import cache
from pathlib import Path
from typing import Final, Literal

import numpy as np
import soxr

from ser_engine.types import SAMPLE_RATE_HZ, Pcm

_CODEC_RATE_HZ: Final = 48_000
_FRAME: Final = _CODEC_RATE_HZ // 50
_FRAME_OUT: Final = SAMPLE_RATE_HZ // 50
_LOOKAHEAD_OUT: Final = 104
"""The coder's delay, 312 samples at 48 kHz, as samples at 16 kHz."""
_MAX_PACKET_BYTES: Final = 4000
_APPLICATIONS: Final = {"voip": 2048, "audio": 2049}
_SET_BITRATE: Final = 4002


@cache
def _library() -> ctypes.CDLL:
    spec = importlib.util.find_spec("av")
    package = Path(spec.origin).parent if spec is not None and spec.origin is not None else Path()
    found = [*sorted((package.parent / "av.libs").glob("*opus*")), *sorted((package / ".dylibs").glob("*opus*"))]
    system = ctypes.util.find_library("opus")
    for path in [*map(str, found), *([system] if system else [])]:
        lib = ctypes.CDLL(path)
        lib.opus_encoder_create.restype = lib.opus_decoder_create.restype = ctypes.c_void_p
        lib.opus_encode_float.argtypes = [
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int32,
        ]
        lib.opus_decode_float.argtypes = [
            *(ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32),
            *(ctypes.c_void_p, ctypes.c_int, ctypes.c_int),
        ]
        lib.opus_encoder_ctl.argtypes = [ctypes.c_void_p, ctypes.c_int]
        for name in ("opus_encoder_destroy", "opus_decoder_destroy"):
            getattr(lib, name).argtypes, getattr(lib, name).restype = [ctypes.c_void_p], None
        return lib
    raise OSError("libopus was not found: reinstall the package av from its wheel")


def through_opus(
    pcm: Pcm,
    bitrate_bps: int,
    rng: np.random.Generator,
    *,
    loss: float = 0.0,
    application: Literal["voip", "audio"] = "audio",
) -> Pcm:
    """`pcm` as the other side of a call hears it, same length: coded at `bitrate_bps`, `loss` of the packets concealed.

    Raises OSError when there is no libopus, ValueError when the codec refuses.
    """
    lib = _library()
    status = ctypes.c_int()
    encoder = lib.opus_encoder_create(_CODEC_RATE_HZ, 1, _APPLICATIONS[application], ctypes.byref(status))
    decoder = lib.opus_decoder_create(SAMPLE_RATE_HZ, 1, ctypes.byref(status))
    try:
        lib.opus_encoder_ctl(encoder, _SET_BITRATE, ctypes.c_int32(bitrate_bps))
        wide = soxr.resample(pcm, SAMPLE_RATE_HZ, _CODEC_RATE_HZ).astype(np.float32)
        frames = -(-(len(wide) + 3 * _LOOKAHEAD_OUT) // _FRAME)
        wide = np.pad(wide, (0, frames * _FRAME - len(wide)))
        lost = rng.random(frames) < loss
        out = np.zeros((frames, _FRAME_OUT), dtype=np.float32)
        packet = ctypes.create_string_buffer(_MAX_PACKET_BYTES)
        for i in range(frames):
            block = wide[i * _FRAME : (i + 1) * _FRAME]
            size = lib.opus_encode_float(encoder, block.ctypes.data, _FRAME, packet, _MAX_PACKET_BYTES)
            data, size = (None, 0) if lost[i] else (packet, size)
            got = lib.opus_decode_float(decoder, data, size, out[i].ctypes.data, _FRAME_OUT, 0)
            if size < 0 or got != _FRAME_OUT:
                raise ValueError(f"Opus refused a frame (coded {size}, decoded {got})")
    finally:
        lib.opus_encoder_destroy(encoder)
        lib.opus_decoder_destroy(decoder)
    return out.reshape(-1)[_LOOKAHEAD_OUT : _LOOKAHEAD_OUT + len(pcm)].copy()

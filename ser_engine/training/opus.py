"""What a call's codec does to a voice: Opus at 48 kHz and back to 16 kHz, with packets lost on the way."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import soxr

from ser_engine import opus
from ser_engine.types import SAMPLE_RATE_HZ, Pcm

_CODEC_RATE_HZ: Final = 48_000
_FRAME: Final = _CODEC_RATE_HZ // 50
_FRAME_OUT: Final = SAMPLE_RATE_HZ // 50
_LOOKAHEAD_OUT: Final = 104
"""The coder's delay, 312 samples at 48 kHz, as samples at 16 kHz."""


def through_opus(
    pcm: Pcm,
    bitrate_bps: int,
    rng: np.random.Generator,
    *,
    loss: float = 0.0,
    application: Literal["voip", "audio"] = "audio",
) -> Pcm:
    """`pcm` as the other side of a call hears it, same length: coded at `bitrate_bps`, `loss` of the packets concealed.

    Raises OpusError when there is no libopus, or it refuses.
    """
    encoder = opus.Encoder(_CODEC_RATE_HZ, bitrate_bps=bitrate_bps, application=application)
    decoder = opus.Decoder(SAMPLE_RATE_HZ)
    wide = soxr.resample(pcm, SAMPLE_RATE_HZ, _CODEC_RATE_HZ).astype(np.float32)
    frames = -(-(len(wide) + 3 * _LOOKAHEAD_OUT) // _FRAME)
    wide = np.pad(wide, (0, frames * _FRAME - len(wide)))
    lost = rng.random(frames) < loss
    heard = [
        decoder.conceal(_FRAME_OUT) if missing else decoder.decode(packet)
        for packet, missing in zip(encoder.packets(wide), lost, strict=True)
    ]
    return np.concatenate(heard)[_LOOKAHEAD_OUT : _LOOKAHEAD_OUT + len(pcm)].copy()

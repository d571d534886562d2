"""Audio files of any kind, made in memory with PyAV: what a phone, a browser or a studio might send."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np

KINDS = {
    # kind: (muxer, codec, sample format)
    "wav": ("wav", "pcm_s16le", "s16"),
    "wav8": ("wav", "pcm_u8", "u8"),
    "wav24": ("wav", "pcm_s24le", "s32"),
    "wav32": ("wav", "pcm_s32le", "s32"),
    "wavf": ("wav", "pcm_f32le", "flt"),
    "wavd": ("wav", "pcm_f64le", "dbl"),
    "mp3": ("mp3", "libmp3lame", "fltp"),
    "ogg": ("ogg", "libopus", "flt"),
    "webm": ("webm", "libopus", "flt"),
    "flac": ("flac", "flac", "s16"),
    "m4a": ("mp4", "aac", "fltp"),
}
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def encode(samples: np.ndarray, rate_hz: int, kind: str) -> bytes:
    """A file of `samples` (shape ``(n,)`` or ``(channels, n)``, ±1)."""
    muxer, codec, sample_format = KINDS[kind]
    channels = np.atleast_2d(samples).astype(np.float32)
    out = io.BytesIO()
    with av.open(out, "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=LAYOUTS[len(channels)])
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.format = sample_format
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels), format="fltp", layout=LAYOUTS[len(channels)])
        frame.sample_rate = rate_hz
        frame.time_base = Fraction(1, rate_hz)
        frame.pts = 0
        resampler = av.AudioResampler(
            format=sample_format,
            layout=LAYOUTS[len(channels)],
            rate=rate_hz,
            frame_size=stream.codec_context.frame_size or None,
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return out.getvalue()

"""The short chime that says *somebody listens now*: two soft notes, made when first needed."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Final

RATE_HZ: Final = 48_000
NOTES_HZ: Final = (587.33, 880.0)
"""D5 and A5: a rising fifth."""
NOTE_MS: Final = 160
LEVEL_DB: Final = -18.0


@lru_cache(maxsize=1)
def chime_pcm() -> bytes:
    """About 0.4 s of 48 kHz stereo, 16-bit little-endian, as Discord's Opus wants it."""
    with warnings.catch_warnings():  # pydub looks for an ffmpeg at import, which tones do not need
        warnings.simplefilter("ignore")
        from pydub import AudioSegment
        from pydub.generators import Sine

    tones = AudioSegment.silent(duration=20, frame_rate=RATE_HZ)
    for hertz in NOTES_HZ:
        note = Sine(hertz, sample_rate=RATE_HZ, bit_depth=16).to_audio_segment(duration=NOTE_MS, volume=LEVEL_DB)
        tones += note.fade_in(8).fade_out(100)
    tones += AudioSegment.silent(duration=60, frame_rate=RATE_HZ)
    return bytes(tones.set_channels(2).set_sample_width(2).set_frame_rate(RATE_HZ).raw_data)

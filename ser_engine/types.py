"""The hot data of the engine: a frame of speech, a window of it, and what it sounds like.

Frozen, slotted and keyword-only: thousands of them are alive at once, and nobody downstream may change what somebody
upstream still holds. They cross process borders by pickling, so they hold arrays and plain values only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ: Final = 16_000
"""The engine's one sample rate; everything is resampled to it at the door."""

WINDOW_S: Final = 3.0
WINDOW_SAMPLES: Final = int(WINDOW_S * SAMPLE_RATE_HZ)

MIN_SPEECH_S: Final = 0.8
"""Less speech than this says nothing about how somebody sounds."""

Pcm = NDArray[np.float32]
"""Mono samples at 16 kHz, shape ``(n,)``, full scale ±1."""


def nothing() -> Pcm:
    """No samples."""
    return np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class PcmFrame:
    """A stretch of one speaker's audio (mostly 100 ms of a Discord call), placed on that speaker's timeline."""

    speaker: str
    """Opaque key of the speaker, stable within a session."""
    t_samples: int
    """Position of the first sample on the speaker's timeline, in samples at 16 kHz since the session's start."""
    pcm: Pcm
    concealed: bool = False
    """True when the samples were made up for a packet that was lost (packet-loss concealment or zeros)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """At most 3 s of one speaker: the unit that is recognised."""

    speaker: str
    start_s: float
    """Seconds since the session's (or the file's) start."""
    pcm: Pcm
    speech_ratio: float
    """Share of the window in which a voice-activity detector hears speech, 0 to 1."""
    gap_ratio: float
    """Share of the window that was lost on the way and filled in, 0 to 1."""
    before: Pcm = field(default_factory=nothing)
    """What the speaker said directly before, where the window goes on from a full one; with `pcm` at most 3 s. It is
    heard as well, for the end of a sentence alone tells little, and belongs to the earlier window otherwise. Nothing
    where a gate refuses that window."""

    @property
    def heard(self) -> Pcm:
        """What a network is given."""
        return np.concatenate([self.before, self.pcm]) if len(self.before) else self.pcm

    @property
    def duration_s(self) -> float:
        return len(self.pcm) / SAMPLE_RATE_HZ

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a window, or a summary of several, sounds like."""

    probabilities: Mapping[str, float]
    """Calibrated probability of each of the model's labels; they sum to 1."""
    emotion: str
    """The most probable label."""
    confidence: float
    """The calibrated probability of `emotion`."""
    unclear: bool
    """True when the answer should not be relied on: unsure, too little speech, clipped."""
    reason: str | None = None
    """Why it is unclear, as a stable code (``unsure``, ``no_speech``, ``too_short``, ``clipped``); None when clear."""
    unclear_below: float = 0.0
    """The confidence that the model asks of a clear answer with this label."""
    engine: str | None = None
    """The model that answered, where it is not the one that serves: more speech came than that could recognise."""
    earlier_windows: int | None = None
    """How many of the speaker's earlier windows it was compared with; None where it stands for itself."""

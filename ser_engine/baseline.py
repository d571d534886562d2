"""A speaker as their own yardstick: how they sounded earlier in this session, and what that makes of the next window.

An angry voice is angry beside how this person speaks otherwise; a single message cannot know that, a call can. What is
kept of a window is what the engine made of it: its pooled states (mean and spread of the encoder's output) and the
logarithms of its probabilities. No audio, no words. A baseline lives in the memory of the process that made it, cannot
be pickled, and shows nothing of itself in a log.
"""

from __future__ import annotations

import io
import zipfile
from bisect import bisect_left, insort
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from ser_engine.errors import ModelError
from ser_engine.gates import Reason
from ser_engine.models import BASELINE_NPZ
from ser_engine.networks import logarithms, softmax

Vector = NDArray[np.float32]

MOST_WINDOWS: Final = 32
"""So many of a speaker's latest windows count: a minute and a half of speech, 100 KB."""
SETTLED_AFTER: Final = 4
"""From so many windows on, a speaker's baseline is no longer short."""
MOST_COUNTED: Final = 16
"""The head learned from up to so many earlier windows; more count as this many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowOutput:
    """What the engine makes of one window by itself."""

    gated: Reason | None
    """Why it should not be relied on whatever the network says."""
    log_probabilities: Vector
    """(labels,), before any temperature; even for what is no speech, which the network is not asked about."""
    pooled: Vector
    """Mean and spread over time of the encoder's states; empty where nothing is compared."""
    engine: str | None = None
    """The model that heard it, where it is not the one that serves."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class _Earlier:
    start_s: float
    heard: WindowOutput = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a baseline says to a window: means over the speaker's earlier windows."""

    windows: int
    log_probabilities: Vector
    pooled: Vector


class SpeakerBaseline:
    """The latest windows of one speaker in one session, by their place on the timeline.

    Only what began earlier counts for a window, so the order in which windows arrive does not matter as long as the
    earlier ones have arrived. Pure: no clock, no files, no randomness.
    """

    __slots__ = ("_earlier",)

    def __init__(self) -> None:
        self._earlier: list[_Earlier] = []

    @property
    def heard(self) -> int:
        """How many windows count."""
        return len(self._earlier)

    @property
    def settled(self) -> bool:
        """False while the engine still gets to know this voice."""
        return self.heard >= SETTLED_AFTER

    def update(self, start_s: float, heard: WindowOutput) -> None:
        """Take in what was heard of the window that began at `start_s`; the same window again changes nothing."""
        at = bisect_left(self._earlier, start_s, key=lambda one: one.start_s)
        if at < len(self._earlier) and self._earlier[at].start_s == start_s:
            return
        insort(self._earlier, _Earlier(start_s=start_s, heard=heard))
        del self._earlier[:-MOST_WINDOWS]

    def discard(self) -> None:
        """Forget everything."""
        self._earlier.clear()

    def before(self, start_s: float) -> Context | None:
        """Means over the windows that began before `start_s`; None when there is none."""
        earlier = [one.heard for one in self._earlier if one.start_s < start_s]
        if not earlier:
            return None
        return Context(
            windows=len(earlier),
            log_probabilities=np.mean([heard.log_probabilities for heard in earlier], axis=0, dtype=np.float32),
            pooled=np.mean([heard.pooled for heard in earlier], axis=0, dtype=np.float32),
        )

    def __repr__(self) -> str:
        return f"SpeakerBaseline(heard={self.heard})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a speaker's baseline stays in the process that made it")


Baselines = MutableMapping[str, SpeakerBaseline]
"""Those of one session (or one file) by `Window.speaker`; who is missing is put in when first heard."""


def pooled_states(states: NDArray[np.float32]) -> Vector:
    """Mean and standard deviation over time of an encoder's states (steps, width): (2 · width,)."""
    return np.concatenate([states.mean(axis=0), states.std(axis=0)]).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineHead:
    """The learned comparison of a window with its speaker's baseline: two dense layers, as plain arrays.

    ``baseline.keras`` is the artifact of record, ``baseline.npz`` holds the same weights for serving. Inputs are the
    window's pooled states less ``k / (k + 2)`` of the baseline's, the baseline's log-probabilities and the share
    ``k / (k + 1)``; k is the number of earlier windows.
    """

    hidden: tuple[Vector, Vector]
    """Kernel (inputs, units) and bias."""
    output: tuple[Vector, Vector]

    @classmethod
    def from_bytes(cls, data: bytes) -> BaselineHead:
        """Read ``baseline.npz``. Raises ModelError when it is something else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as kept:
                arrays = [np.asarray(kept[name], np.float32) for name in ("w1", "b1", "w2", "b2")]
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ModelError(f"{BASELINE_NPZ} does not hold the arrays of a baseline's head.") from error
        w1, b1, w2, b2 = arrays
        if w1.ndim != 2 or w2.ndim != 2 or b1.shape != w1.shape[1:] or b2.shape != w2.shape[1:] or len(w2) != len(b1):
            raise ModelError(f"{BASELINE_NPZ} holds arrays that do not fit one another.")
        if not all(np.isfinite(array).all() for array in arrays):
            raise ModelError(f"{BASELINE_NPZ} holds numbers that are not finite.")
        return cls(hidden=(w1, b1), output=(w2, b2))

    @property
    def labels(self) -> int:
        """How many labels it tells."""
        return len(self.output[1])

    @property
    def width(self) -> int:
        """How long the pooled states are that it was made for."""
        return len(self.hidden[0]) - self.labels - 1

    def to_bytes(self, beside: Mapping[str, Vector] | None = None) -> bytes:
        """The content of ``baseline.npz``, with the arrays `beside`; the same weights give the same bytes."""
        stream = io.BytesIO()
        names = dict(zip(("w1", "b1", "w2", "b2"), (*self.hidden, *self.output), strict=True))
        np.savez(stream, allow_pickle=False, **names, **(beside or {}))
        return stream.getvalue()

    def log_probabilities(self, heard: WindowOutput, context: Context) -> Vector:
        """Of the window given its context, mixed with the engine's own by how much the context holds: (labels,)."""
        inputs = baseline_inputs(heard.pooled, context.pooled, context.log_probabilities, context.windows)
        hidden = np.maximum(inputs @ self.hidden[0] + self.hidden[1], 0)
        said = logarithms(softmax(hidden @ self.output[0] + self.output[1]))
        share = share_of(context.windows)
        return np.asarray((1 - share) * heard.log_probabilities + share * said, np.float32)


def baseline_inputs(pooled: Vector, mean_pooled: Vector, mean_log_probabilities: Vector, windows: int) -> Vector:
    """What `BaselineHead` is given: (width + labels + 1,)."""
    counted = min(windows, MOST_COUNTED)
    subtracted = pooled - np.float32(counted / (counted + 2)) * mean_pooled
    return np.concatenate([subtracted, mean_log_probabilities, [share_of(windows)]]).astype(np.float32)


def share_of(windows: int) -> float:
    """How much the comparing head decides after so many earlier windows, 0 to 1."""
    counted = min(windows, MOST_COUNTED)
    return counted / (counted + 1)

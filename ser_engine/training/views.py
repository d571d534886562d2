"""Each recording as it is, and as it is heard in several ways over a call: the material an epoch is drawn from.

A view is made once and kept in the work directory, because making it (resampling, rooms, the codec) costs more than
an epoch's worth of arithmetic. It is kept in half precision: 0.001 of a feature's standard deviation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ser_engine.features import Features, FeatureSettings, extract
from ser_engine.training.augment import MIN_WINDOW_SAMPLES, vary
from ser_engine.training.corpus import Clip
from ser_engine.training.made_sounds import not_speech
from ser_engine.training.recipes import Progress
from ser_engine.types import WINDOW_SAMPLES, Pcm

AS_RECORDED: Final = 0
"""The view that is the recording itself, cut to one window."""
CLEANED_FROM: Final = 5
"""From this view on, half of the recordings have their background taken out first: see `augment.clean`."""
NO_SPEECH_WINDOWS: Final = 600
_BABBLE_CLIPS: Final = 64
_SILENT: Final = 33
"""−60 dBFS, of 16 bits."""
_CLEANED_SHARE: Final = 0.5
_Heard = TypeVar("_Heard")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Features of every clip, one after another."""

    frames: NDArray[np.float16]
    """Shape (all frames, dims)."""
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    """Where each clip lies in `frames`: shape (clips,) each."""

    def __len__(self) -> int:
        return len(self.begins)

    def __getitem__(self, clip: int) -> Features:
        return np.asarray(self.frames[self.begins[clip] : self.ends[clip]], np.float32)

    def __iter__(self) -> Iterator[Features]:
        return (self[clip] for clip in range(len(self)))

    def of(self, rows: Sequence[int]) -> View:
        """Only the clips `rows`."""
        return View(frames=self.frames, begins=self.begins[list(rows)], ends=self.ends[list(rows)])


class ViewsOfClips(Protocol):
    """View after view of the same clips: `ClipViews`, or some clips of one."""

    def __getitem__(self, number: int) -> View: ...


class ClipViews:
    """Makes view after view of the same clips, or finds it in `folder`."""

    def __init__(
        self,
        clips: Sequence[Clip],
        settings: FeatureSettings,
        *,
        seed: int,
        folder: Path,
        progress: Progress,
    ) -> None:
        self._clips = clips
        self._settings = settings
        self._seed = seed
        self._folder = folder
        self._progress = progress
        self._pcm: list[NDArray[np.int16]] = []
        self._made: dict[int, View] = {}

    def __getitem__(self, number: int) -> View:
        """View `number`: `AS_RECORDED`, or 1, 2, … for another augmented view each.

        Raises CorpusError when a recording cannot be read.
        """
        if number not in self._made:
            self._made[number] = self._find(number) or self._make(number)
        return self._made[number]

    def sounds(self, number: int) -> list[Pcm]:
        """What view `number` consists of, before its features are taken: a window of samples of each clip."""
        text = f"listening to view {number}"
        return list(self._each(text, lambda pcm, others, k: self._sound(pcm, others, number, k)))

    def _find(self, number: int) -> View | None:
        frames, starts = self._folder / f"view-{number}.npy", self._folder / f"view-{number}-starts.npy"
        if not (frames.is_file() and starts.is_file()):
            return None
        return _as_view(np.load(frames, mmap_mode="r"), np.load(starts))

    def _make(self, number: int) -> View:
        text = "listening" if number == AS_RECORDED else f"view {number}"
        return self._keep(number, list(self._each(text, lambda pcm, others, k: self._hear(pcm, others, number, k))))

    def _each(self, text: str, hear: Callable[[Pcm, Sequence[Pcm], int], _Heard]) -> Iterator[_Heard]:
        """`hear(samples, other people's clips, number)` of every clip."""
        self._read()
        self._progress.stage(text, len(self._clips))
        rng = np.random.default_rng([self._seed, 7])
        chosen = rng.permutation(len(self._pcm))[:_BABBLE_CLIPS]
        others = [_to_float(self._pcm[k]) for k in chosen]
        for k, pcm in enumerate(self._pcm):
            yield hear(_to_float(pcm), others, k)
            self._progress.advance()

    def _keep(self, number: int, features: Sequence[NDArray[np.float16]]) -> View:
        frames, starts = np.concatenate(features), np.cumsum([0, *map(len, features)])
        for array, called in ((frames, f"view-{number}"), (starts, f"view-{number}-starts")):  # then both are whole
            draft = self._folder / f"draft-{os.getpid()}-{called}.npy"
            np.save(draft, array)
            draft.replace(self._folder / f"{called}.npy")  # who reads an older one goes on reading that
        return self._find(number) or _as_view(frames, starts)

    def _hear(self, pcm: Pcm, others: Sequence[Pcm], number: int, clip: int) -> NDArray[np.float16]:
        return self._features(self._sound(pcm, others, number, clip))

    def _sound(self, pcm: Pcm, others: Sequence[Pcm], number: int, clip: int) -> Pcm:
        if number == AS_RECORDED:
            return pcm[:WINDOW_SAMPLES]
        cleaned = _CLEANED_SHARE if number >= CLEANED_FROM else 0.0
        rng = np.random.default_rng([self._seed, number, clip])
        return vary(pcm, rng, others, cleaned=cleaned)

    def _features(self, pcm: Pcm) -> NDArray[np.float16]:
        return extract(pcm, self._settings).astype(np.float16)

    def _read(self) -> None:
        if self._pcm:
            return
        self._progress.stage("reading", len(self._clips))
        for clip in self._clips:
            self._pcm.append(np.clip(np.round(clip.read() * 32768), -32768, 32767).astype(np.int16))
            self._progress.advance()
        poor = [k for k, pcm in enumerate(self._pcm) if len(pcm) < MIN_WINDOW_SAMPLES or np.abs(pcm).max() < _SILENT]
        if poor:
            text = f"{len(poor)} of {len(self._pcm)} recordings are silent or shorter than 0.8 s and teach nothing"
            named = [self._clips[k].path.name for k in poor[:3]] + ["…"] * (len(poor) > 3)
            self._progress.note(f"{text}: {', '.join(named)}")


def no_speech(
    settings: FeatureSettings, *, seed: int, progress: Progress, count: int = NO_SPEECH_WINDOWS
) -> list[Features]:
    """Features of `count` windows that nobody spoke: noise, hum, made music. Their target is every label alike."""
    progress.stage("what is no speech", count)
    out = []
    for k in range(count):
        out.append(extract(not_speech(np.random.default_rng([seed, 99, k])), settings))
        progress.advance()
    return out


def _as_view(frames: NDArray[np.float16], starts: NDArray[np.int64]) -> View:
    return View(frames=frames, begins=starts[:-1], ends=starts[1:])


def _to_float(pcm: NDArray[np.int16]) -> Pcm:
    return pcm.astype(np.float32) / np.float32(32768)

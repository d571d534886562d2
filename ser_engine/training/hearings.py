"""Each recording as it is, and as it is heard in several ways over a call: the material an epoch is drawn from.

A hearing is made once and kept in the work directory, because making it (resampling, rooms, the codec) costs more than
an epoch's worth of arithmetic. It is kept in half precision: 0.001 of a feature's standard deviation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ser_engine.features import Features, FeatureSettings, extract
from ser_engine.training.augment import vary
from ser_engine.training.corpus import Clip
from ser_engine.training.recipes import Progress
from ser_engine.types import WINDOW_SAMPLES, Pcm

AS_RECORDED: Final = 0
"""The hearing that is the recording itself, cut to one window."""
_BABBLE_CLIPS: Final = 64
_CLEANED_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """Features of every clip, one after another."""

    frames: NDArray[np.float16]
    """Shape (all frames, dims)."""
    starts: NDArray[np.int64]
    """Where each clip begins, and the end: shape (clips + 1,)."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, clip: int) -> Features:
        return np.asarray(self.frames[self.starts[clip] : self.starts[clip + 1]], np.float32)

    def __iter__(self) -> Iterator[Features]:
        return (self[clip] for clip in range(len(self)))


class Hearings:
    """Makes hearing after hearing of the same clips, or finds it in `folder`."""

    def __init__(
        self,
        clips: Sequence[Clip],
        settings: FeatureSettings,
        *,
        seed: int,
        folder: Path,
        progress: Progress,
        cleaned_from: int | None = None,
    ) -> None:
        """From hearing number `cleaned_from` on, half of the recordings have their background taken out first."""
        self._clips = clips
        self._settings = settings
        self._seed = seed
        self._folder = folder
        self._progress = progress
        self._cleaned_from = cleaned_from
        self._pcm: list[NDArray[np.int16]] = []
        self._made: dict[int, Hearing] = {}

    def __getitem__(self, number: int) -> Hearing:
        """Hearing `number`: `AS_RECORDED`, or 1, 2, … for another random hearing each.

        Raises CorpusError when a recording cannot be read.
        """
        if number not in self._made:
            self._made[number] = self._find(number) or self._make(number)
        return self._made[number]

    def _find(self, number: int) -> Hearing | None:
        frames, starts = self._folder / f"hearing-{number}.npy", self._folder / f"hearing-{number}-starts.npy"
        if not (frames.is_file() and starts.is_file()):
            return None
        return Hearing(frames=np.load(frames, mmap_mode="r"), starts=np.load(starts))

    def _make(self, number: int) -> Hearing:
        self._read()
        self._progress.stage("listening" if number == AS_RECORDED else f"hearing {number}", len(self._clips))
        rng = np.random.default_rng([self._seed, 7])
        chosen = rng.permutation(len(self._pcm))[:_BABBLE_CLIPS]
        others = [_to_float(self._pcm[k]) for k in chosen]
        features = []
        for k, pcm in enumerate(self._pcm):
            features.append(self._hear(_to_float(pcm), others, number, k).astype(np.float16))
            self._progress.advance()
        starts = np.cumsum([0, *map(len, features)])
        hearing = Hearing(frames=np.concatenate(features), starts=starts)
        np.save(self._folder / f"hearing-{number}.npy", hearing.frames)
        np.save(self._folder / f"hearing-{number}-starts.npy", hearing.starts)  # written last: both are whole
        return self._find(number) or hearing

    def _hear(self, pcm: Pcm, others: Sequence[Pcm], number: int, clip: int) -> Features:
        if number == AS_RECORDED:
            return extract(pcm[:WINDOW_SAMPLES], self._settings)
        cleaned = _CLEANED_SHARE if self._cleaned_from is not None and number >= self._cleaned_from else 0.0
        rng = np.random.default_rng([self._seed, number, clip])
        return extract(vary(pcm, rng, others, cleaned=cleaned), self._settings)

    def _read(self) -> None:
        if self._pcm:
            return
        self._progress.stage("reading", len(self._clips))
        for clip in self._clips:
            self._pcm.append(np.clip(np.round(clip.read() * 32768), -32768, 32767).astype(np.int16))
            self._progress.advance()


def _to_float(pcm: NDArray[np.int16]) -> Pcm:
    return pcm.astype(np.float32) / np.float32(32768)

"""What of a model is computed in bytes: as much as moves no answer over real clips too far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ser_engine.models import ENCODER_ONNX, NETWORK_ONNX, find_model, open_directory, write_manifest
from ser_engine.quick import WAYS, Plan, places
from ser_engine.recognizer import Recognizer
from ser_engine.types import Window

MOST_MOVED: Final = 0.02
"""What a probability may differ by from the exact graph's."""
_MARGIN: Final = 0.9
_LATER: Final = (0, 80, 160)
"""Samples by which a window begins later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One plan, and what it does to the answers."""

    plan: Plan
    moved: float
    """The largest difference of a probability from the exact graph's."""
    mean_moved: float
    """The mean over the windows of each one's largest difference."""
    share: float
    """Share of the weights of large products and recurrences that are bytes."""


def answers(model: str | Path, windows: Sequence[Window], plan: Plan | None = None) -> NDArray[np.float64]:
    """Probabilities, (2 · windows, labels): of each window alone, and of each after the ones before it."""
    recognizer = Recognizer.load(model, quick=plan)
    heard = recognizer.hear(windows)
    both = recognizer.decider.decide(windows, heard) + recognizer.decider.decide(windows, heard, {})
    return np.array([list(one.probabilities.values()) for one in both])


def quicken(model: str | Path, windows: Sequence[Window], say: Callable[[Tried], object]) -> Tried:
    """Write a plan that holds over `windows` into the manifest, and return it.

    The way that gains most is tried first, then the next for what is left. Each is tried from the end of the graph on,
    for what comes late moves the answers least. Raises ModelError.
    """
    directory = open_directory(find_model(model))
    files = [name for name in (ENCODER_ONNX, NETWORK_ONNX) if directory.has(name)]
    found = [place for name in files for place in places(directory.read(name))]
    taken = Tried(plan={}, moved=0.0, mean_moved=0.0, share=0.0)
    if found:
        trial = _Trial(directory.path, windows)
        weights = {place.name: place.weights for place in found}
        for way in WAYS:
            for place in reversed(found):
                if way not in place.ways or place.name in taken.plan:
                    continue
                plan = {**taken.plan, place.name: way}
                moved = trial(plan)
                share = sum(weights[name] for name in plan) / sum(weights.values())
                tried = Tried(plan=plan, moved=float(moved.max()), mean_moved=float(moved.mean()), share=share)
                say(tried)
                if tried.moved <= MOST_MOVED * _MARGIN:
                    taken = tried
    write_manifest(directory.path, directory.manifest.model_copy(update={"quick": dict(taken.plan)}))
    return taken


class _Trial:
    """How far a plan moves the answers. A rounding is as good as thrown dice, and another processor throws them anew,
    so each window is tried as it is and begun a little later, twice."""

    def __init__(self, path: Path, windows: Sequence[Window]) -> None:
        self._path = path
        self._sets = [[replace(one, pcm=one.pcm[late:]) for one in windows] for late in _LATER]
        self._exact = [answers(path, some, {}) for some in self._sets]

    def __call__(self, plan: Plan) -> NDArray[np.float64]:
        """Each answer's largest difference; no more is tried after one that is too large."""
        moved = np.zeros(0)
        for windows, exact in zip(self._sets, self._exact, strict=True):
            moved = np.append(moved, np.abs(answers(self._path, windows, plan) - exact).max(axis=1))
            if moved.max() > MOST_MOVED * _MARGIN:
                break
        return moved

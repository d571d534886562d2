"""What of a model is computed in bytes when it is loaded: as much as moves no answer over real clips too far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ser_engine.models import NETWORK_ONNX, find_model, open_directory, write_manifest
from ser_engine.quick import WAYS, Plan, places
from ser_engine.recognizer import Recognizer
from ser_engine.types import Window

MOST_MOVED: Final = 0.02
"""What a probability may differ by from the exact graph's."""
_MARGIN: Final = 0.9
_LATER: Final = (0, 80, 160)
"""Samples by which a window begins later. How an answer is rounded is a matter of chance, and another processor rounds
it otherwise. So each window is tried three times: as it is, and begun a little later, twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One plan, and what it does to the answers."""

    plan: Plan
    moved: float
    """The largest difference of a probability from the exact graph's."""
    mean_moved: float
    """The mean over the windows of each one's largest difference."""

    @property
    def holds(self) -> bool:
        """With a margin, for other windows than those that were tried."""
        return self.moved <= MOST_MOVED * _MARGIN


def answers(model: str | Path, windows: Sequence[Window], plan: Plan | None = None) -> NDArray[np.float64]:
    """Probabilities, (2 · windows, labels): of each window alone, and of each after the ones before it."""
    recognizer = Recognizer.load(model, quick=plan)
    heard = recognizer.hear(windows)
    both = recognizer.decider.decide(windows, heard) + recognizer.decider.decide(windows, heard, {})
    return np.array([list(one.probabilities.values()) for one in both])


def quicken(model: str | Path, windows: Sequence[Window], say: Callable[[Tried], object]) -> Tried:
    """Write a plan that holds over `windows` into the manifest, and return it. Raises ModelError.

    The LSTMs are taken one after another, the largest first, each in the cheapest way that the answers allow, if any.
    """
    directory = open_directory(find_model(model))
    found = places(directory.read(NETWORK_ONNX)) if directory.has(NETWORK_ONNX) else {}
    sets = [[replace(one, pcm=one.pcm[late:]) for one in windows] for late in _LATER]
    exact = [answers(directory.path, some, {}) for some in sets] if found else []
    taken = Tried(plan={}, moved=0.0, mean_moved=0.0)
    for name in sorted(found, key=lambda one: -found[one]):
        for way in WAYS:
            plan = {**taken.plan, name: way}
            both = zip(sets, exact, strict=True)
            apart = [np.abs(answers(directory.path, some, plan) - said).max(axis=1) for some, said in both]
            tried = Tried(plan=plan, moved=float(np.max(apart)), mean_moved=float(np.mean(apart)))
            say(tried)
            if tried.holds:
                taken = tried
                break
    write_manifest(directory.path, directory.manifest.model_copy(update={"quick": dict(taken.plan)}))
    return taken

"""What of a model is computed in bytes: as much as moves no answer over real clips too far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ser_engine.models import ENCODER_ONNX, NETWORK_ONNX, find_model, open_directory, write_manifest
from ser_engine.quick import GAIN, Candidate, Plan, Way, places
from ser_engine.recognizer import Recognizer
from ser_engine.types import Window

MOST_MOVED: Final = 0.02
"""What a probability may differ by from the exact graph's."""
_MARGIN: Final = 0.9
_EXCHANGES: Final = 300
"""Plans that are drawn beside the best one; those that gain nothing are not tried."""
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


NOTHING: Final = Tried(plan={}, moved=0.0, mean_moved=0.0, share=0.0)


def answers(model: str | Path, windows: Sequence[Window], plan: Plan | None = None) -> NDArray[np.float64]:
    """Probabilities, (2 · windows, labels): of each window alone, and of each after the ones before it."""
    recognizer = Recognizer.load(model, quick=plan)
    heard = recognizer.hear(windows)
    both = recognizer.decider.decide(windows, heard) + recognizer.decider.decide(windows, heard, {})
    return np.array([list(one.probabilities.values()) for one in both])


def quicken(model: str | Path, windows: Sequence[Window], say: Callable[[Tried], object]) -> Tried:
    """Write a plan that holds over `windows` into the manifest, and return it. Raises ModelError.

    First each way of computing each product or LSTM is tried by itself; then they are taken together, one after
    another, as long as the answers allow. The order is by what is gained for the square of how far it moves the answers
    by itself, for what moves them independently adds up in squares. At last plans that gain more than the one found,
    and differ from it in a place or two, are tried at random; the same seed each time.
    """
    directory = open_directory(find_model(model))
    files = [name for name in (ENCODER_ONNX, NETWORK_ONNX) if directory.has(name)]
    found = [place for name in files for place in places(directory.read(name))]
    taken = Search(found, _Trial(directory.path, windows), say).best() if found else NOTHING
    write_manifest(directory.path, directory.manifest.model_copy(update={"quick": dict(taken.plan)}))
    return taken


class Trial(Protocol):
    """How far a plan moves each answer."""

    def once(self, plan: Plan) -> NDArray[np.float64]:
        """Of the windows as they are."""

    def __call__(self, plan: Plan) -> NDArray[np.float64]:
        """Of these and of others; no more are tried after one that is moved too far."""


class Search:
    """A plan for the places `found`, by what `trial` says of plans."""

    def __init__(self, found: Sequence[Candidate], trial: Trial, say: Callable[[Tried], object]) -> None:
        self._found, self._trial, self._say = found, trial, say
        self._weights = {place.name: place.weights for place in found}
        self._seen: set[frozenset[tuple[str, str]]] = set()

    def best(self) -> Tried:
        """The plan that gains most of those that hold."""
        taken = NOTHING
        for name, way in self._by_worth():
            if name not in taken.plan:
                taken = self._better({**taken.plan, name: way}) or taken
        rng = np.random.default_rng(1)
        for _ in range(_EXCHANGES):
            plan = dict(taken.plan)
            for at in rng.permutation(len(self._found))[: rng.integers(1, 3)]:
                place = self._found[at]
                plan.pop(place.name, None)
                if (drawn := rng.integers(0, len(place.ways) + 1)) < len(place.ways):
                    plan[place.name] = place.ways[drawn]
            if self._gain(plan) > self._gain(taken.plan) and frozenset(plan.items()) not in self._seen:
                taken = self._better(plan) or taken
        return taken

    def _by_worth(self) -> list[tuple[str, Way]]:
        worth = {}
        for place in self._found:
            for way in place.ways:
                moved = self._tried({place.name: way}, self._trial.once).mean_moved
                worth[place.name, way] = self._gain({place.name: way}) / max(moved, 1e-9) ** 2
        return sorted(worth, key=lambda one: -worth[one])

    def _better(self, plan: Plan) -> Tried | None:
        """The plan, where it holds."""
        self._seen.add(frozenset(plan.items()))
        tried = self._tried(plan, self._trial)
        return tried if tried.moved <= MOST_MOVED * _MARGIN else None

    def _tried(self, plan: Plan, trial: Callable[[Plan], NDArray[np.float64]]) -> Tried:
        moved, share = trial(plan), sum(self._weights[name] for name in plan) / sum(self._weights.values())
        tried = Tried(plan=plan, moved=float(moved.max()), mean_moved=float(moved.mean()), share=share)
        self._say(tried)
        return tried

    def _gain(self, plan: Plan) -> float:
        return sum(self._weights[name] * GAIN.get(way, 0.0) for name, way in plan.items())


class _Trial:
    """How far a plan moves the answers. A rounding is as good as thrown dice, and another processor throws them anew,
    so each window is tried as it is and begun a little later, twice."""

    def __init__(self, path: Path, windows: Sequence[Window]) -> None:
        self._path = path
        self._sets = [[replace(one, pcm=one.pcm[late:]) for one in windows] for late in _LATER]
        self._exact = [answers(path, some, {}) for some in self._sets]

    def once(self, plan: Plan) -> NDArray[np.float64]:
        return self._moved(plan, 0)

    def __call__(self, plan: Plan) -> NDArray[np.float64]:
        moved = np.zeros(0)
        for number in range(len(self._sets)):
            moved = np.append(moved, self._moved(plan, number))
            if moved.max() > MOST_MOVED * _MARGIN:
                break
        return moved

    def _moved(self, plan: Plan, number: int) -> NDArray[np.float64]:
        """Each answer's largest difference."""
        return np.asarray(np.abs(answers(self._path, self._sets[number], plan) - self._exact[number]).max(axis=1))

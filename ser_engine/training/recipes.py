"""Which recipe trains which engine, and what all recipes have in common.

A recipe is a function `train(corpus, out, options, progress)` that leaves a finished model directory in `out`. Its
module also has a `RECIPE`: the frozen settings that a cross-validation varies (`variable.VariableRecipe`). It is
imported only when it is needed, because it loads TensorFlow.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from ser_engine.errors import CorpusError

if TYPE_CHECKING:
    from ser_engine.training.corpus import Corpus

RECIPES: Final[Mapping[str, str]] = {
    "seed": "ser_engine.training.seed",
    "fast": "ser_engine.training.fast",
    "default": "ser_engine.training.default",
}
"""Engine name → module with `train` and `RECIPE`."""


class Progress(Protocol):
    """Who watches a training: the command line's bar, or nobody."""

    def stage(self, text: str, total: int) -> None:
        """A new stretch of work of `total` steps begins, for example ``epoch 3 of 24``."""
        ...

    def advance(self, steps: int = 1) -> None:
        """`steps` of the present stage are done."""
        ...

    def note(self, text: str) -> None:
        """A line to keep, for example an epoch's figures."""
        ...


class Silent:
    """Nobody watches."""

    def stage(self, text: str, total: int) -> None: ...

    def advance(self, steps: int = 1) -> None: ...

    def note(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What the person at the command line may decide; everything else is the recipe's."""

    seed: int = 1
    """Decides initial weights, augmentation, order and dropout; the same seed gives the same bytes."""
    epochs: int | None = None
    """Passes over the corpus; None is the recipe's own number."""
    units: int | None = None
    """Width of the first recurrent layer (the others follow); None is the recipe's own. For trying out, take few."""
    threads: int = 1
    """Threads of TensorFlow. One is what the shipped engines were made with; several add in another order, and the
    weights then differ in their last digits."""
    restart: bool = False
    """Begin anew instead of going on from the checkpoint in the out directory."""


class Recipe(Protocol):
    def __call__(self, corpus: Corpus, out: Path, options: TrainOptions, progress: Progress) -> None:
        """Train on `corpus` and write a model directory. Interrupted, it goes on from its checkpoint when called again.

        Raises CorpusError when the corpus cannot train this engine.
        """
        ...


def recipe(engine: str) -> Recipe:
    """The recipe of `engine`. Raises CorpusError for a name that has none."""
    if engine not in RECIPES:
        known = ", ".join(RECIPES)
        raise CorpusError(f"There is no recipe for an engine called {engine!r}. Say which with --engine: {known}.")
    train: Recipe = importlib.import_module(RECIPES[engine]).train
    return train

"""What a cross-validation varies: the settings of a recipe, by names as they are typed at the command line."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol, TypeVar

from ser_engine.errors import CorpusError
from ser_engine.features import Features, FeatureSettings
from ser_engine.training import metrics
from ser_engine.training.corpus import Clip
from ser_engine.training.recipes import RECIPES, Progress
from ser_engine.training.views import ViewsOfClips

_R = TypeVar("_R", bound="VariableRecipe")


class VariableRecipe(Protocol):
    """What can be cross-validated: a frozen data class, whose fields `vary` changes."""

    labels: ClassVar[tuple[str, ...]]
    features: ClassVar[FeatureSettings]
    unheard: ClassVar[tuple[str, ...]]
    """Fields in which two trainings here would not differ: they decide what comes after, or who teaches."""

    def answer(
        self,
        clips: Sequence[Clip],
        heard: ViewsOfClips,
        asked: Mapping[str, Sequence[Features]],
        *,
        seed: int,
        work: Path,
        progress: Progress,
    ) -> dict[str, metrics.Floats]:
        """Train on `clips` as `heard`; logits (clips, labels) of the trained network for each of `asked`.

        What it leaves in `work` lets it go on from there after an interruption.
        """
        ...


_SHARES: Final = ("coverage", "dropout", "smoothing")
"""And every name that ends so."""


def recipe_of(engine: str) -> VariableRecipe:
    """The `RECIPE` of the engine's module, untaught: a teacher may have heard the speakers that judge here."""
    found: Any = importlib.import_module(RECIPES[engine]).RECIPE
    untaught: VariableRecipe = replace(found, teacher=None) if getattr(found, "teacher", None) else found
    return untaught


def vary(recipe: _R, changes: Sequence[str]) -> _R:
    """`recipe` with ``name=value`` for each of `changes`; ``stages.epochs=4`` reaches into its stages.

    Raises CorpusError for a name that it has not, or a value of another kind.
    """
    for change in changes:
        name, _, value = change.partition("=")
        if name in recipe.unheard:
            raise CorpusError(f"{change!r}: {name} has no part in these trainings, so the figures would not change.")
        recipe = _replaced(recipe, name.split("."), value, change)
    return recipe


def _replaced(thing: Any, path: Sequence[str], value: str, change: str) -> Any:
    known = [field.name for field in fields(thing)]
    if path[0] not in known:
        raise CorpusError(f"{change!r}: there is no {path[0]!r}. There are: {', '.join(known)}.")
    now = getattr(thing, path[0])
    if is_dataclass(now) and len(path) > 1:
        return replace(thing, **{path[0]: _replaced(now, path[1:], value, change)})
    try:
        new = json.loads(value)
    except json.JSONDecodeError as error:
        raise CorpusError(f"{change!r}: the value must be written as in JSON, for example layers=3.") from error
    new = tuple(new) if isinstance(new, list) else new
    kinds = (int, float) if isinstance(now, float) else (type(now),)
    if len(path) > 1 or isinstance(new, bool) != isinstance(now, bool) or not isinstance(new, kinds):
        raise CorpusError(f"{change!r}: {path[0]} is of another kind, now {now!r}.")
    if (path[0].endswith("share") or path[0] in _SHARES) and not 0 <= new <= 1:
        raise CorpusError(f"{change!r}: {path[0]} is a share, 0 to 1.")
    return replace(thing, **{path[0]: new})

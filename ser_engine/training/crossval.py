"""Choosing without hearing who judges: a recipe trained once for each group of speakers, and measured on that group.

Two groups are held out in turn: speakers, and on request sentences as well. A corpus of acted sentences is learned by
heart in part, so figures on sentences that the training heard promise more than another corpus will give; those on a
fold's own sentences, held out and not, tell how much. What is compared is one recipe against another on the same
folds: `undertone crossvalidate`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from ser_engine.errors import CorpusError
from ser_engine.training import finish, metrics, tuned
from ser_engine.training.corpus import LABELS, Corpus
from ser_engine.training.hearings import AS_RECORDED, Hearing, Hearings
from ser_engine.training.recipes import Progress
from ser_engine.training.split import choose, folds

FOUR: Final = len(LABELS) - 1
"""The old app's labels come first."""
HEARD_AS: Final = {"as recorded": AS_RECORDED, "over a call": tuned.CLEANED_FROM}
"""What the held-out speakers are heard as: name → number of the hearing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Who and what is held out of one training."""

    speakers: tuple[str, ...]
    sentences: tuple[str, ...]
    """The fold's own sentences; the training hears them unless they are held out, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """UAR over all folds together, with its 95 % interval by bootstrap over the speakers."""

    heard_as: str
    recordings: str
    """``all`` of the held-out speakers, or only those of each fold's ``own sentences``."""
    clips: int
    four: float
    four_interval: tuple[float, float]
    five: float
    five_interval: tuple[float, float]


class _Part:
    """Some clips of all hearings."""

    def __init__(self, heard: Hearings, rows: Sequence[int]) -> None:
        self._heard, self._rows = heard, rows

    def __getitem__(self, number: int) -> Hearing:
        return self._heard[number].of(self._rows)

    def twins(self, number: int) -> tuple[Hearing, Hearing]:
        before, after = self._heard.twins(number)
        return before.of(self._rows), after.of(self._rows)


def vary(recipe: tuned.TunedRecipe, changes: Sequence[str]) -> tuned.TunedRecipe:
    """`recipe` with ``name=value`` for each of `changes`; ``stages.epochs=4`` reaches into its stages.

    Raises CorpusError for a name that it has not, or a value of another kind.
    """
    for change in changes:
        name, _, value = change.partition("=")
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
    return replace(thing, **{path[0]: new})


def divide(corpus: Corpus, count: int, *, seed: int) -> list[Fold]:
    """`count` folds of `corpus`' speakers, and of its sentences where it has enough of them.

    Raises CorpusError when there are fewer speakers than folds.
    """
    sentences = sorted({clip.sentence for clip in corpus.clips if clip.sentence})
    groups = folds(sentences, count, seed=seed) if len(sentences) >= count else [()] * count
    return [
        Fold(speakers=speakers, sentences=own)
        for speakers, own in zip(folds(corpus.speakers, count, seed=seed), groups, strict=True)
    ]


def cross_validate(
    recipe: tuned.TunedRecipe,
    corpus: Corpus,
    *,
    count: int,
    hold_out_sentences: bool,
    seed: int,
    work: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Train `recipe` once for each of `count` folds of the training speakers of `corpus`; figures on the held-out ones.

    A teacher is left out: it may have heard the speakers that judge here. `work` keeps hearings and what the trainings
    leave, so a run that was interrupted goes on. Raises CorpusError when the corpus cannot be divided so.
    """
    usable = choose(corpus.with_labels(LABELS), "train")
    divided = divide(usable, count, seed=seed)
    if hold_out_sentences and not all(fold.sentences for fold in divided):
        raise CorpusError(f"{corpus.name} has not enough sentences to hold some out in {count} folds.")
    recipe = replace(recipe, teacher=None)
    about = {"recipe": asdict(recipe), "folds": count, "sentences_held_out": hold_out_sentences, "seed": seed}
    key = finish.key_of(usable, tuned.FEATURES, about)
    heard = Hearings(
        usable.clips,
        tuned.FEATURES,
        seed=seed,
        folder=finish.hearing_folder(work, usable, tuned.FEATURES, seed),
        progress=progress,
        cleaned_from=tuned.CLEANED_FROM,
    )
    answered = {name: np.zeros((len(usable.clips), len(LABELS))) for name in HEARD_AS}
    for number, fold in enumerate(divided, start=1):
        judges = [k for k, clip in enumerate(usable.clips) if clip.speaker in fold.speakers]
        folder = work / f"{key}-{number}"
        kept = folder / "answers.npz"
        if not kept.is_file():
            progress.note(f"fold {number} of {count}: {', '.join(fold.speakers)} judge")
            _train_and_ask(recipe, usable, heard, fold, judges, hold_out_sentences, kept, seed, progress)
        with np.load(kept) as found:
            for name in HEARD_AS:
                answered[name][judges] = found[name]
    return about | {
        "corpus": usable.name,
        "speakers": len(usable.speakers),
        "divided": [asdict(fold) for fold in divided],
        "figures": [asdict(figure) for figure in _figures(usable, divided, answered)],
    }


def _train_and_ask(
    recipe: tuned.TunedRecipe,
    corpus: Corpus,
    heard: Hearings,
    fold: Fold,
    judges: Sequence[int],
    hold_out_sentences: bool,
    kept: Path,
    seed: int,
    progress: Progress,
) -> None:
    hidden = fold.sentences if hold_out_sentences else ()
    rows = [
        k for k, clip in enumerate(corpus.clips) if clip.speaker not in fold.speakers and clip.sentence not in hidden
    ]
    kept.parent.mkdir(parents=True, exist_ok=True)
    wanted = tuned.smoothed_targets([corpus.clips[k] for k in rows], recipe)
    keras.utils.clear_session()
    fitted = tuned.fit(recipe, _Part(heard, rows), wanted, seed=seed, key="fold", work=kept.parent, progress=progress)
    logits = {
        name: tuned.logits_of(fitted.encoder, fitted.head, list(heard[number].of(judges)))
        for name, number in HEARD_AS.items()
    }
    np.savez(kept, **logits)  # type: ignore[arg-type]  # numpy's stub takes its keyword for an array
    for checkpoint in kept.parent.glob("*checkpoint.npz"):
        checkpoint.unlink()


def _figures(corpus: Corpus, divided: Sequence[Fold], answered: Mapping[str, metrics.Floats]) -> list[Figure]:
    truth = np.array([LABELS.index(clip.label) for clip in corpus.clips])
    speakers = np.array([clip.speaker for clip in corpus.clips])
    own_of = {speaker: fold.sentences for fold in divided for speaker in fold.speakers}
    own = np.array([clip.sentence in own_of[clip.speaker] for clip in corpus.clips])
    found = []
    for name, logits in answered.items():
        for recordings, inside in (("all", np.ones(len(truth), bool)), ("own sentences", own)):
            if not inside.any():
                continue
            uars, intervals = [], []
            for labels in (FOUR, len(LABELS)):
                rows = np.flatnonzero(inside & (truth < labels))
                decided = logits[rows, :labels].argmax(axis=1)

                def uar(drawn: metrics.Ints, rows: Any = rows, decided: Any = decided, labels: int = labels) -> float:
                    return metrics.uar(metrics.confusion(truth[rows][drawn], decided[drawn], labels))

                uars.append(uar(np.arange(len(rows))))
                intervals.append(metrics.bootstrap(speakers[rows].tolist(), uar))
            found.append(
                Figure(
                    heard_as=name,
                    recordings=recordings,
                    clips=int(inside.sum()),
                    four=uars[0],
                    four_interval=intervals[0],
                    five=uars[1],
                    five_interval=intervals[1],
                )
            )
    return found

"""Cross-validation: a recipe is trained once for each group of speakers, and measured on the group left out.

The group that is measured takes no part in the training. On request a quarter of the sentences is left out as well: a
corpus of acted sentences is partly learned by heart, so figures on known sentences promise more than another corpus
will give. The rows of a fold's own sentences, left out and not, tell how much more.

Two recipes are compared on the same folds: `undertone crossvalidate`. Every fold's network also answers the validation
speakers, whom none of them heard. Shipped networks are reported on those speakers, so it matters whether they are
easier than others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from ser_engine.errors import CorpusError
from ser_engine.features import Features
from ser_engine.training import metrics
from ser_engine.training.calibrate import fit_temperature
from ser_engine.training.corpus import LABELS, Clip, Corpus
from ser_engine.training.recipes import Progress
from ser_engine.training.split import choose, folds
from ser_engine.training.variable import VariableRecipe
from ser_engine.training.views import AS_RECORDED, CLEANED_FROM, ClipViews, View
from ser_engine.training.work import clear, digest, views_of

FOUR: Final = len(LABELS) - 1
"""The old app's labels come first."""
VALIDATION: Final = "validation speakers"
EVERYBODY: Final = "all speakers"
"""Those of all folds, and the validation speakers as the first fold's network hears them."""
ASKED_AS: Final = {"as recorded": AS_RECORDED, "over a call": CLEANED_FROM}
"""What the held-out speakers are heard as: name → number of the view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Who and what is held out of one training."""

    speakers: tuple[str, ...]
    sentences: tuple[str, ...]
    """The fold's own sentences; the training hears them unless they are held out, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """UAR over all folds together, with its 95 % interval by bootstrap over the speakers."""

    view: str
    recordings: str
    """``all`` of the held-out speakers, only those of each fold's ``own sentences``, `EVERYBODY` or `VALIDATION`."""
    clips: int
    """How many answers; the validation speakers are asked once a fold."""
    four: float
    four_interval: tuple[float, float]
    five: float | None
    """None for an engine of four labels."""
    five_interval: tuple[float, float] | None
    temperature: float
    """Under which these answers are calibrated best: above another's, the same network would be too sure here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """What the folds' networks say of some recordings: one row an answer."""

    view: str
    recordings: str
    logits: metrics.Floats
    clips: Sequence[Clip]

    def of(self, recordings: str, inside: Sequence[bool]) -> _Answers:
        rows = [k for k, among in enumerate(inside) if among]
        return replace(self, recordings=recordings, logits=self.logits[rows], clips=[self.clips[k] for k in rows])


class _Part:
    """Some clips of all views."""

    def __init__(self, heard: ClipViews, rows: Sequence[int]) -> None:
        self._heard, self._rows = heard, rows

    def __getitem__(self, number: int) -> View:
        return self._heard[number].of(self._rows)


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
    recipe: VariableRecipe,
    corpus: Corpus,
    *,
    count: int,
    hold_out_sentences: bool,
    seed: int,
    work: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Train `recipe` once for each of `count` folds of the training speakers of `corpus`; figures on the held-out ones.

    `work` keeps views and what the trainings leave, so a run that was interrupted goes on. Raises CorpusError when
    the corpus cannot be divided so.
    """
    labels, settings = recipe.labels, recipe.features
    labelled = corpus.with_labels(labels)
    usable = choose(labelled, "train")
    beside = labelled.of_speakers(clip.speaker for clip in labelled.clips if clip.split == "validation")
    divided = divide(usable, count, seed=seed)
    if hold_out_sentences and not all(fold.sentences for fold in divided):
        raise CorpusError(f"{corpus.name} has not enough sentences to hold some out in {count} folds.")
    about = {
        "recipe": asdict(recipe),  # type: ignore[call-overload]  # no protocol can ask for a data class
        "folds": count,
        "sentences_held_out": hold_out_sentences,
        "seed": seed,
        "divided": [asdict(fold) for fold in divided],
    }
    key = digest({"train": usable, "validation": beside}, settings, about)
    heard, beside_heard = (
        views_of(side, settings, seed=seed, work=work, progress=progress) for side in (usable, beside)
    )
    answered = {name: np.zeros((len(usable.clips), len(labels))) for name in ASKED_AS}
    of_beside: dict[str, list[metrics.Floats]] = {name: [] for name in ASKED_AS}
    for number, fold in enumerate(divided, start=1):
        judges = [k for k, clip in enumerate(usable.clips) if clip.speaker in fold.speakers]
        kept = work / f"{key}-{number}" / "answers.npz"
        if not kept.is_file():
            progress.note(f"fold {number} of {count}: {', '.join(fold.speakers)} judge")
            asked = {name: list(heard[view].of(judges)) for name, view in ASKED_AS.items()}
            if beside.clips:
                asked |= {f"{name}, {VALIDATION}": list(beside_heard[view]) for name, view in ASKED_AS.items()}
            _train_and_ask(recipe, usable, heard, fold, asked, hold_out_sentences, kept, seed, progress)
        with np.load(kept) as found:
            for name in ASKED_AS:
                answered[name][judges] = found[name]
                if beside.clips:
                    of_beside[name].append(found[f"{name}, {VALIDATION}"])
    own_sentences = _own_sentences(usable.clips, divided)
    answers = [
        group
        for name in ASKED_AS
        for group in _grouped(name, answered[name], usable.clips, own_sentences, of_beside[name], beside.clips)
    ]
    return about | {
        "corpus": usable.name,
        "speakers": len(usable.speakers),
        "figures": [asdict(_figure(one)) for one in answers if one.clips],
    }


def _train_and_ask(
    recipe: VariableRecipe,
    corpus: Corpus,
    heard: ClipViews,
    fold: Fold,
    asked: Mapping[str, Sequence[Features]],
    hold_out_sentences: bool,
    kept: Path,
    seed: int,
    progress: Progress,
) -> None:
    hidden = fold.sentences if hold_out_sentences else ()
    rows = [
        k for k, clip in enumerate(corpus.clips) if clip.speaker not in fold.speakers and clip.sentence not in hidden
    ]
    clips, training = [corpus.clips[k] for k in rows], kept.with_name("training")
    training.mkdir(parents=True, exist_ok=True)
    keras.utils.clear_session()
    logits = recipe.answer(clips, _Part(heard, rows), asked, seed=seed, work=training, progress=progress)
    draft = training / kept.name
    np.savez(draft, **logits)  # type: ignore[arg-type]  # numpy's stub takes its keyword for an array
    draft.replace(kept)
    clear(training)


def _grouped(
    view: str,
    logits: metrics.Floats,
    clips: Sequence[Clip],
    own_sentences: Sequence[bool],
    of_beside: Sequence[metrics.Floats],
    beside: Sequence[Clip],
) -> Iterator[_Answers]:
    """The answers to one view, a group for each of a figure's `recordings`.

    `logits` are those of the held-out speakers, a row for each of `clips`; `of_beside` those of the validation
    speakers, a matrix for each fold with a row for each of `beside`, where there are any.
    """
    everyone = _Answers(view=view, recordings="all", logits=logits, clips=clips)
    yield everyone
    yield everyone.of("own sentences", own_sentences)
    if beside:
        first = np.concatenate([logits, of_beside[0]])
        yield _Answers(view=view, recordings=EVERYBODY, logits=first, clips=[*clips, *beside])
        every = np.concatenate(of_beside)
        yield _Answers(view=view, recordings=VALIDATION, logits=every, clips=[*beside] * len(of_beside))


def _own_sentences(clips: Sequence[Clip], divided: Sequence[Fold]) -> list[bool]:
    """Which of `clips` are of a sentence of the very fold that holds out their speaker."""
    own_of = {speaker: fold.sentences for fold in divided for speaker in fold.speakers}
    return [clip.sentence in own_of[clip.speaker] for clip in clips]


def _figure(answers: _Answers) -> Figure:
    truth = np.array([LABELS.index(clip.label) for clip in answers.clips])
    speakers = np.array([clip.speaker for clip in answers.clips])

    def among(labels: int) -> tuple[float, tuple[float, float]]:
        rows = np.flatnonzero(truth < labels)
        decided = answers.logits[rows, :labels].argmax(axis=1)

        def uar(drawn: metrics.Ints) -> float:
            return metrics.uar(metrics.confusion(truth[rows][drawn], decided[drawn], labels))

        return uar(np.arange(len(rows))), metrics.bootstrap(speakers[rows].tolist(), uar)

    four, four_interval = among(FOUR)
    five, five_interval = among(len(LABELS)) if answers.logits.shape[1] == len(LABELS) else (None, None)
    return Figure(
        view=answers.view,
        recordings=answers.recordings,
        clips=len(truth),
        four=four,
        four_interval=four_interval,
        five=five,
        five_interval=five_interval,
        temperature=fit_temperature(answers.logits, truth),
    )

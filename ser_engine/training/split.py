"""Who trains and who judges: by speaker, never by clip.

Clips of one person on both sides inflate every figure, so nothing here divides a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ser_engine.errors import CorpusError
from ser_engine.training.corpus import SPLITS, Corpus

VALIDATION_SHARE: Final = 1 / 8
"""Share of the speakers held out where the table states no split; CREMA-D's own is 9 of 72."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Two sets of recordings that share no speaker. Rows that the table calls ``test`` are in neither."""

    train: Corpus
    validation: Corpus

    def __post_init__(self) -> None:
        shared = set(self.train.speakers) & set(self.validation.speakers)
        if shared:
            raise CorpusError(f"Speakers on both sides of a split: {', '.join(sorted(shared))}.")


def split_corpus(corpus: Corpus, labels: Sequence[str], *, seed: int) -> Split:
    """The table's own split, or one speaker in eight (one at least) held out, drawn by `seed`; only clips of `labels`.

    Raises CorpusError when a side lacks a label, or nobody can be held out.
    """
    usable = corpus.with_labels(labels)
    if any(clip.split for clip in usable.clips):
        train = [clip.speaker for clip in usable.clips if clip.split == "train"]
        held = [clip.speaker for clip in usable.clips if clip.split == "validation"]
    else:
        speakers = list(usable.speakers)
        if len(speakers) < 2:
            raise CorpusError(
                "There must be recordings of at least two speakers: one of them is held out to see how well it works."
            )
        order = np.random.default_rng(seed).permutation(len(speakers))
        count = max(1, round(len(speakers) * VALIDATION_SHARE))
        held = [speakers[k] for k in order[:count]]
        train = [speakers[k] for k in order[count:]]
    split = Split(train=usable.of_speakers(train), validation=usable.of_speakers(held))
    _check(split, labels)
    return split


def choose(corpus: Corpus, actors: str) -> Corpus:
    """The recordings of ``train``, ``validation``, ``test``, ``all``, or of speakers by name, with commas between.

    A corpus whose table states no split is taken whole. Raises CorpusError for a name that is not in it.
    """
    if actors == "all" or (actors in SPLITS and not any(clip.split for clip in corpus.clips)):
        return corpus
    if actors in SPLITS:
        chosen = corpus.of_speakers(clip.speaker for clip in corpus.clips if clip.split == actors)
        if not chosen.clips:
            stated = ", ".join(sorted({clip.split for clip in corpus.clips if clip.split}))
            raise CorpusError(f"No recording of {corpus.name} is in the split {actors}; its table has {stated}.")
        return chosen
    names = [name.strip() for name in actors.split(",") if name.strip()]
    unknown = [name for name in names if name not in corpus.speakers]
    if unknown or not names:
        raise CorpusError(f"{corpus.name} has no speaker {', '.join(unknown) or repr(actors)}.")
    return corpus.of_speakers(names)


def folds(speakers: Sequence[str], count: int, *, seed: int) -> list[tuple[str, ...]]:
    """`speakers` in `count` groups of nearly equal size for cross-validation, drawn by `seed`.

    Raises CorpusError when there are fewer speakers than groups.
    """
    if not 2 <= count <= len(set(speakers)):
        raise CorpusError(f"{len(set(speakers))} speakers cannot be held out in {count} groups.")
    names = sorted(set(speakers))
    order = np.random.default_rng(seed).permutation(len(names))
    return [tuple(sorted(names[k] for k in order[start::count])) for start in range(count)]


def _check(split: Split, labels: Sequence[str]) -> None:
    for side, corpus in (("train", split.train), ("validation", split.validation)):
        if not corpus.clips:
            raise CorpusError(f"No recording is left for {side}; the split column must name both train and validation.")
    missing = [label for label in labels if all(clip.label != label for clip in split.train.clips)]
    if missing:
        raise CorpusError(
            f"No recording to train on is labelled {', '.join(missing)}; this engine tells {len(labels)}."
        )

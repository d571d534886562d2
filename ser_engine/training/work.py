"""The folder in which a training keeps what it can go on from, and the keys by which that is known again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from ser_engine.errors import CorpusError
from ser_engine.features import FeatureSettings
from ser_engine.models import KNOWN_FILES, MANIFEST
from ser_engine.training.corpus import Corpus
from ser_engine.training.recipes import Progress
from ser_engine.training.split import Split
from ser_engine.training.views import ClipViews

_NAME: Final = ".training"


def begin(out: Path, *, own: Collection[str], restart: bool) -> Path:
    """The work folder of the training whose model directory is `out`, emptied first with `restart`.

    Raises CorpusError when `out` holds a finished model and no `restart` was asked for, or files that are not among
    `own`: they are another kind of engine's, and model.json would state them as this one's.
    """
    foreign = [name for name in KNOWN_FILES if name not in own and (out / name).exists()]
    if foreign:
        raise CorpusError(f"{out} holds {', '.join(foreign)} of another engine. Choose a folder of its own with --out.")
    work = out / _NAME
    if (out / MANIFEST).exists() and not work.exists() and not restart:
        raise CorpusError(f"{out} holds a finished model. Name another folder, or --restart to train in its place.")
    if restart:
        clear(work)
    work.mkdir(parents=True, exist_ok=True)
    return work


@contextmanager
def begun(out: Path, *, own: Collection[str], restart: bool) -> Iterator[Path]:
    """`begin`, while the material is read: what is refused then leaves no empty folder.

    One would tell the next run that a training goes on here, and let it write over a finished model unasked.
    """
    made = not out.exists()
    work = begin(out, own=own, restart=restart)
    try:
        yield work
    except BaseException:
        with suppress(OSError):  # it holds something
            work.rmdir()
            if made:
                out.rmdir()
        raise


def views_of(corpus: Corpus, features: FeatureSettings, *, seed: int, work: Path, progress: Progress) -> ClipViews:
    """ClipViews of all clips of `corpus`, kept in `work`: they outlive a change of recipe, but not of features."""
    folder = work / f"views-{digest({'all': corpus}, features, {'seed': seed})}"
    folder.mkdir(parents=True, exist_ok=True)
    return ClipViews(corpus.clips, features, seed=seed, folder=folder, progress=progress)


def fingerprint(split: Split, features: FeatureSettings, recipe: Mapping[str, Any]) -> str:
    """12 hex digits that change with the clips, their labels and split, the features and the recipe."""
    return digest({"train": split.train, "validation": split.validation}, features, recipe)


def digest(sides: Mapping[str, Corpus], features: FeatureSettings, recipe: Mapping[str, Any]) -> str:
    """The same, of any corpora by their part in it."""
    parts = [
        [side, clip.path.name, _version(clip.path), clip.label, clip.speaker, clip.sentence, dict(clip.votes)]
        for side, corpus in sides.items()
        for clip in corpus.clips
    ]
    text = json.dumps([parts, features.hash, dict(recipe)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _version(path: Path) -> list[int]:
    """What changes when a recording is made again under its old name."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def clear(work: Path) -> None:
    """Remove the checkpoints and views."""
    shutil.rmtree(work, ignore_errors=True)

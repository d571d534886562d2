"""A little of everything that an engine is broadened with, from the repository's own clips."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ser_engine.training.corpus import Corpus, read_corpus
from ser_engine.training.material import Material
from tests.fakes.clips import CLIPS


def folder(path: Path, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Path:
    """A folder with some of the repository's clips and a table."""
    path.mkdir()
    for row in rows:
        shutil.copyfile(CLIPS / row[0], path / row[0])
    with (path / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([columns, *rows])
    return path


def files(count: int, start: int = 0) -> list[str]:
    clips = read_corpus(CLIPS).clips[start : start + count]
    return [str(clip.path.relative_to(CLIPS)) for clip in clips]


def a_little_of_everything(root: Path) -> Material:
    """Two corpora, the first with somebody held out, and folders of ordinary speech and sounds in `root`."""
    names = [(name, f"corpus-{k % 2}", f"corpus-{k % 2}:{k // 2}") for k, name in enumerate(files(4, 20))]
    ordinary = folder(root / "ordinary", ("file", "corpus", "speaker"), names)
    sounds = folder(root / "sounds", ("file", "kind", "recorder"), [(name, "cry", name) for name in files(1, 30)])
    every = read_corpus(CLIPS)
    speakers = every.speakers
    own = [
        replace(clip, split="validation" if clip.speaker == speakers[0] else "train")
        for clip in every.of_speakers(speakers[:2]).clips
    ]
    first = Corpus(name="own", clips=tuple(own))
    further = Corpus(name="further", clips=every.of_speakers(speakers[3:4]).clips[:3])
    return Material(corpora=[first, further], ordinary=ordinary, sounds=sounds)

"""Views: made once, found again, the same from the same seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ser_engine.features import FeatureSettings, extract
from ser_engine.training.corpus import read_corpus
from ser_engine.training.recipes import Silent
from ser_engine.training.views import AS_RECORDED, ClipViews, no_speech
from ser_engine.types import WINDOW_SAMPLES
from tests.fakes.media import encode

pytestmark = pytest.mark.integration

CLIPS = read_corpus(Path(__file__).parents[3] / "sandbox" / "clips").clips[:6]
FEATURES = FeatureSettings.whisper()


class Counts(Silent):
    """Counts what was begun."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def stage(self, text: str, total: int) -> None:
        self.stages.append(text)


def views(folder: Path, *, seed: int = 1, progress: Silent | None = None) -> ClipViews:
    return ClipViews(CLIPS, FEATURES, seed=seed, folder=folder, progress=progress or Silent())


def test_the_first_is_the_recording_itself(tmp_path: Path) -> None:
    heard = views(tmp_path)[AS_RECORDED]

    for clip, features in zip(CLIPS, heard, strict=True):
        expected = extract(clip.read()[:WINDOW_SAMPLES], FEATURES)
        assert np.abs(features - expected).max() < 2e-3  # half precision


def test_what_was_made_is_found_again(tmp_path: Path) -> None:
    made = [list(views(tmp_path)[number]) for number in (AS_RECORDED, 2)]
    progress = Counts()
    again = views(tmp_path, progress=progress)

    for number, features in zip((AS_RECORDED, 2), made, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(features, again[number], strict=True))
    assert progress.stages == []


def test_the_seed_and_the_number_decide(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    one, same, other = (views(folder, seed=seed)[3][0] for folder, seed in zip(folders, (1, 1, 2), strict=True))

    assert np.array_equal(one, same)
    assert one.shape != other.shape or not np.array_equal(one, other)


def test_some_clips_of_a_hearing(tmp_path: Path) -> None:
    heard = views(tmp_path)[1]
    some = heard.of([4, 1])

    assert len(some) == 2
    assert np.array_equal(some[0], heard[4])
    assert np.array_equal(some[1], heard[1])


def test_what_nobody_said_is_drawn_from_the_seed() -> None:
    one, again, other = (no_speech(FEATURES, seed=seed, progress=Silent(), count=3) for seed in (1, 1, 2))

    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(a.shape == b.shape and np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert all(60 < len(features) <= 300 and features.shape[1] == 80 for features in one)


def test_recordings_that_teach_nothing_are_named(tmp_path: Path) -> None:
    blip, silence = np.full(1600, 0.5, np.float32), np.zeros(32_000, np.float32)
    for name, samples in (("blip.wav", blip), ("silence.wav", silence)):
        (tmp_path / name).write_bytes(encode(samples, 16_000, "wav"))
    poor = [replace(CLIPS[0], path=tmp_path / name) for name in ("blip.wav", "silence.wav")]
    notes: list[str] = []

    class Notes(Silent):
        def note(self, text: str) -> None:
            notes.append(text)

    heard = ClipViews([*CLIPS[:2], *poor], FEATURES, seed=1, folder=tmp_path, progress=Notes())[1]

    assert len(heard) == 4
    assert all(np.isfinite(features).all() for features in heard)
    (note,) = notes
    assert note.startswith("2 of 4 recordings are silent or shorter than 0.8 s")
    assert "blip.wav, silence.wav" in note

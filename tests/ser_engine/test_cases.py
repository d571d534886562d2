"""Recordings of public bug reports: each sounds as the clip that it was made of, to the engine that is served."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from ser_engine import Recognizer
from ser_engine.analysis import Analysis, analysed, summed_up
from ser_engine.audio import windows_of
from tests.fakes.recordings import ANGRY

pytestmark = pytest.mark.integration

CASES = Path(__file__).parent / "cases"
PAUSED = "o07_paused_20s.webm"


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer.load("default")


def analysis(recognizer: Recognizer, path: Path) -> Analysis:
    return summed_up(analysed(recognizer, windows_of(path.read_bytes(), filename=path.name)))


def test_every_case_sounds_as_the_clip_it_was_made_of(recognizer: Recognizer) -> None:
    expected = analysis(recognizer, ANGRY).summary
    assert expected.emotion == "Angry"
    paths = [path for path in sorted(CASES.iterdir()) if path.name not in (PAUSED, "README.md")]
    assert len(paths) == 15
    for path in paths:
        got = analysis(recognizer, path).summary
        assert got.emotion == "Angry", path.name
        assert dict(got.probabilities) == pytest.approx(dict(expected.probabilities), abs=0.1), path.name


def test_a_pause_of_the_recorder_is_kept_in_the_windows_times(recognizer: Recognizer) -> None:
    windows = [window for window, _ in analysis(recognizer, CASES / PAUSED).windows]
    assert windows[-1].end_s == pytest.approx(32.5, abs=0.6)
    longest = max(later.start_s - earlier.end_s for earlier, later in itertools.pairwise(windows))
    assert longest == pytest.approx(21.4, abs=0.6)

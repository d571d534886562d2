"""Several windows become one answer by the speech in the clear ones; `restrict` keeps a few labels in proportion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ser_engine.errors import NoSpeech
from ser_engine.summary import restrict, summarise
from ser_engine.types import Prediction, Window
from tests.fakes.backend import prediction

pytestmark = pytest.mark.unit


def pair(answer: Prediction, *, seconds: float = 3.0, speech: float = 1.0) -> tuple[Window, Prediction]:
    pcm = np.zeros(round(seconds * 16_000), dtype=np.float32)
    return Window(speaker="a", start_s=0, pcm=pcm, speech_ratio=speech, gap_ratio=0), answer


def test_one_window_is_its_own_summary() -> None:
    for answer in (prediction("Sad", 0.8), prediction("Sad", 0.3, reason="unsure")):
        summary = summarise([pair(answer)])
        assert summary.probabilities == pytest.approx(answer.probabilities)
        assert (summary.emotion, summary.unclear, summary.reason) == (answer.emotion, answer.unclear, answer.reason)


def test_mean_is_weighted_by_seconds_of_speech() -> None:
    summary = summarise(
        [pair(prediction("Sad", 0.8), speech=1.0), pair(prediction("Happy", 0.8), seconds=1.5, speech=0.5)]
    )
    assert summary.probabilities["Sad"] == pytest.approx(0.8 * 0.8 + 0.2 * 0.05)
    assert summary.probabilities["Happy"] == pytest.approx(0.2 * 0.8 + 0.8 * 0.05)
    assert sum(summary.probabilities.values()) == pytest.approx(1)
    assert (summary.emotion, summary.confidence) == ("Sad", summary.probabilities["Sad"])


def test_a_minority_does_not_speak_for_the_rest() -> None:
    """One clear window in three is not how the whole of it sounds."""
    unsure = pair(prediction("Neutral", 0.4, reason="unsure"))
    assert summarise([pair(prediction("Sad", 0.95)), unsure, unsure]).reason == "unsure"
    assert not summarise([pair(prediction("Sad", 0.95)), pair(prediction("Sad", 0.9)), unsure]).unclear


def test_clear_windows_that_contradict_one_another_are_unclear() -> None:
    summary = summarise([pair(prediction("Sad", 0.95)), pair(prediction("Happy", 0.9))])
    assert (summary.unclear, summary.reason) == (True, "unsure")
    three = [pair(prediction(emotion, 0.9)) for emotion in ("Sad", "Happy", "Angry")]
    assert summarise(three).unclear


def test_its_own_confidence_must_pass_the_models_threshold() -> None:
    asked = [replace(prediction(emotion, 0.8), unclear_below=0.73) for emotion in ("Sad", "Sad", "Happy")]
    summary = summarise([pair(one) for one in asked])
    assert summary.confidence == pytest.approx((0.8 + 0.8 + 0.05) / 3)
    assert (summary.unclear, summary.unclear_below) == (True, 0.73)


def test_the_threshold_of_a_summary_is_that_of_its_label() -> None:
    neutral = pair(replace(prediction("Neutral", 0.8), unclear_below=0.6))
    sad = pair(replace(prediction("Sad", 0.8, reason="unsure"), unclear_below=0.85))
    summary = summarise([neutral, neutral, sad])
    assert (summary.emotion, summary.unclear, summary.unclear_below) == ("Neutral", False, 0.6)


def test_unclear_windows_do_not_count_beside_clear_ones() -> None:
    clear = pair(prediction("Angry", 0.9))
    summary = summarise([clear, pair(prediction("Sad", 0.99, reason="no_speech"))])
    assert summary.probabilities == pytest.approx(clear[1].probabilities)
    assert not summary.unclear


def test_mostly_unclear_is_unclear_for_its_main_reason() -> None:
    pairs = [pair(prediction("Angry", 0.9), seconds=1.0)]
    pairs += [pair(prediction("Sad", 0.3, reason="unsure"))] * 3 + [pair(prediction("Sad", 0.3, reason="clipped"))]
    summary = summarise(pairs)
    assert (summary.unclear, summary.reason) == (True, "unsure")
    assert summary.emotion == "Sad"


def test_it_says_when_another_model_answered() -> None:
    ours = prediction("Sad", 0.9)
    assert summarise([pair(ours)]).engine is None
    assert summarise([pair(ours), pair(replace(ours, engine="fast"))]).engine == "fast"


def test_nothing_cannot_be_summarised() -> None:
    with pytest.raises(NoSpeech):
        summarise([])


def test_restricting_keeps_the_proportions() -> None:
    labels = ("Angry", "Happy", "Sad", "Disgust")
    four = restrict(prediction("Neutral", 0.6), labels)
    assert tuple(four.probabilities) == labels
    assert set(four.probabilities.values()) == {0.25}
    kept = restrict(prediction("Happy", 0.6), labels)
    assert kept.confidence == pytest.approx(0.6 / 0.9)
    assert restrict(prediction(), ("Happy", "Bored")).probabilities == {"Happy": 1, "Bored": 0}
    assert restrict(prediction(), ("Bored", "Proud")).probabilities == {"Bored": 0.5, "Proud": 0.5}

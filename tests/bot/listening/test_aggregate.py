"""What is shown is calm: it neither flickers with single windows nor misses a real change."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from bot.listening.aggregate import Aggregate, SpeakerTone
from ser_engine.types import SAMPLE_RATE_HZ, Window
from tests.fakes.backend import prediction

pytestmark = pytest.mark.unit


def window(start_s: float, seconds: float = 3.0, *, speaker: str = "1", speech: float = 0.9) -> Window:
    pcm = np.zeros(round(seconds * SAMPLE_RATE_HZ), dtype=np.float32)
    return Window(speaker=speaker, start_s=start_s, pcm=pcm, speech_ratio=speech, gap_ratio=0.0)


def test_the_first_window_is_shown_as_it_is() -> None:
    tone = SpeakerTone().add(window(0), prediction("Sad", 0.8))
    assert (tone.emotion, tone.unclear, tone.heard_until_s) == ("Sad", False, 3.0)
    assert tone.confidence == pytest.approx(0.8)


def test_one_weak_window_does_not_change_what_is_shown_two_do() -> None:
    speaker = SpeakerTone()
    for at in range(3):
        speaker.add(window(at * 3), prediction("Neutral", 0.6))
    assert speaker.add(window(9), prediction("Happy", 0.7)).emotion == "Neutral"
    assert speaker.add(window(12), prediction("Happy", 0.7)).emotion == "Happy"


def test_a_clear_lead_is_shown_at_once() -> None:
    speaker = SpeakerTone()
    speaker.add(window(0), prediction("Neutral", 0.4))
    assert speaker.add(window(3), prediction("Angry", 0.97)).emotion == "Angry"


def test_after_a_long_silence_the_new_window_is_what_counts() -> None:
    speaker = SpeakerTone()
    for at in range(4):
        speaker.add(window(at * 3), prediction("Angry", 0.8))
    tone = speaker.add(window(60), prediction("Sad", 0.6))
    assert tone.emotion == "Sad"
    assert tone.confidence > 0.55


def test_alternating_windows_do_not_flicker() -> None:
    speaker = SpeakerTone()
    shown = []
    for at in range(12):
        emotion = "Happy" if at % 2 else "Neutral"
        shown.append(speaker.add(window(at * 3.0, 1.0), prediction(emotion, 0.55)).emotion)
    changes = sum(before != after for before, after in pairwise(shown))
    assert changes <= 1


def test_unclear_is_shown_when_most_speech_is_unclear_and_goes_again() -> None:
    speaker = SpeakerTone()
    speaker.add(window(0), prediction("Happy", 0.8))
    states = [speaker.add(window(3 + 3 * n), prediction("Happy", 0.3, reason="unsure")).unclear for n in range(6)]
    assert states[0] is False
    assert states[-1] is True
    states = [speaker.add(window(30 + 3 * n), prediction("Happy", 0.8)).unclear for n in range(6)]
    assert states[-1] is False


def test_windows_without_speech_do_not_move_the_probabilities() -> None:
    speaker = SpeakerTone()
    before = speaker.add(window(0), prediction("Happy", 0.8)).confidence
    after = speaker.add(window(3, speech=0.0), prediction("Angry", 0.9, reason="no_speech")).confidence
    assert after == before


def test_a_turn_from_one_clear_tone_to_another_is_a_moment_and_not_too_often() -> None:
    aggregate = Aggregate()
    assert aggregate.add(window(0), prediction("Neutral", 0.9)) is None
    shift = None
    at = 3.0
    while shift is None and at < 30:
        shift = aggregate.add(window(at), prediction("Angry", 0.95))
        at += 3
    assert shift is not None
    assert (shift.speaker, shift.emotion) == ("1", "Angry")
    again = [aggregate.add(window(at + 3 * n), prediction("Happy", 0.95)) for n in range(3)]
    assert again == [None, None, None]


def test_speakers_are_kept_apart_and_forgotten() -> None:
    aggregate = Aggregate()
    aggregate.add(window(0, speaker="1"), prediction("Happy", 0.9))
    aggregate.add(window(0, speaker="2"), prediction("Sad", 0.9))
    first, second = aggregate.tone("1"), aggregate.tone("2")
    assert first is not None
    assert second is not None
    assert (first.emotion, second.emotion) == ("Happy", "Sad")
    aggregate.forget("1")
    assert aggregate.tone("1") is None
    assert aggregate.tone("2") is not None

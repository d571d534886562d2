"""Silence, noise, tones, hum and music are never an emotion, at any level, whichever engine serves.

The gates hold by themselves: no network is asked, so none needs to be trained well for it. Music with drums is the
exception: some of it passes, and the networks were taught to be unsure about it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from ser_engine import Recognizer, segment_pcm, summarise
from ser_engine.gates import gate
from ser_engine.models import available_models
from ser_engine.segmenter import speech_ratio
from ser_engine.types import WINDOW_SAMPLES, Window
from tests.fakes.made_sound import KINDS, made

pytestmark = pytest.mark.integration

SEEDS = range(12)
DRUMS = "band with drums"
"""Moves as speech does, so the gates let some of it through."""


@cache
def heard(kind: str, seed: int) -> tuple[Window, ...]:
    """The windows of a sound. Making one takes longer than an engine's answer, and each engine is asked about all."""
    return tuple(segment_pcm(made(kind, seed)))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != DRUMS])
def test_no_gate_lets_it_through(kind: str) -> None:
    """Both as a recording is cut, and as a window that somebody made without the segmenter."""
    passed = []
    for seed in SEEDS:
        pcm = made(kind, seed)
        head = pcm[:WINDOW_SAMPLES]
        whole = Window(speaker="a", start_s=0, pcm=head, speech_ratio=speech_ratio(head), gap_ratio=0)
        passed += [(seed, window.start_s) for window in (whole, *segment_pcm(pcm)) if gate(window) is None]
    assert passed == []


@pytest.mark.parametrize("model", available_models())
def test_no_engine_names_an_emotion(model: str) -> None:
    recognizer = Recognizer.load(model)
    for kind in (kind for kind in KINDS if kind != DRUMS):
        for seed in (100, 101):
            windows = heard(kind, seed)
            if not windows:  # silence, mostly: the file itself is refused as no speech
                continue
            predictions = recognizer.predict(windows)
            assert {one.reason for one in predictions} <= {"no_speech", "too_short"}, (kind, seed)
            summary = summarise(list(zip(windows, predictions, strict=True)))
            assert summary.unclear, (kind, seed)
            assert summary.confidence == pytest.approx(1 / len(recognizer.info.labels)), (kind, seed)


@pytest.mark.parametrize("model", available_models())
def test_every_engine_is_unsure_about_music_with_drums(model: str) -> None:
    windows = [window for seed in range(100, 125) for window in heard(DRUMS, seed)]
    predictions = Recognizer.load(model).predict(windows)
    assert "unsure" in {one.reason for one in predictions}  # some of it does reach the network
    assert [one for one in predictions if not one.unclear] == []


@pytest.mark.parametrize("model", available_models())
def test_a_voice_in_a_film_of_noise_is_one(model: str) -> None:
    """The other side of the gates: what is recognised stays recognised."""
    from tests.fakes.clips import clip, clip_paths

    recognizer = Recognizer.load(model)
    hiss = np.random.default_rng(3).standard_normal(200_000).astype(np.float32) * np.float32(1e-3)
    for path in clip_paths()[::8]:
        pcm = clip(path)
        reasons = [one.reason for one in recognizer.predict(segment_pcm(pcm + hiss[: len(pcm)])[:1])]
        assert reasons in ([None], ["unsure"]), path.name

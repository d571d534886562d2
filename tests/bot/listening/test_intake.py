"""Frames are gathered before they are segmented: that moves no border of a window, and nobody stays in it who left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.listening.intake import BLOCK_SAMPLES, Intake
from ser_engine.segmenter import Segmenter
from ser_engine.types import Pcm, PcmFrame, Window
from tests.fakes.voice_link import FRAME_SAMPLES, tone_burst

pytestmark = pytest.mark.unit

SPEECH = np.concatenate([tone_burst(4.0), np.zeros(14_000, dtype=np.float32), tone_burst(2.0, seed=1)])


def frames(pcm: Pcm, fates: list[str]) -> list[PcmFrame]:
    """`pcm` in frames of 20 ms; a fate of each: heard, made up, or lost."""
    made = []
    for number, t in enumerate(range(0, len(pcm), FRAME_SAMPLES)):
        fate = fates[number % len(fates)]
        if fate != "lost":
            piece = pcm[t : t + FRAME_SAMPLES]
            made.append(PcmFrame(speaker="1", t_samples=t, pcm=piece, concealed=fate == "concealed"))
    return made


async def windows_of(intake: Intake) -> list[Window]:
    intake.close()
    taken = []
    while some := await intake.take(16):
        taken += some
    return taken


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["heard"] * 8 + ["concealed", "lost"]), min_size=1, max_size=60))
async def test_the_windows_are_those_of_single_frames(fates: list[str]) -> None:
    intake, segmenter = Intake(lambda _: True), Segmenter("1")
    expected = []
    for frame in frames(SPEECH, fates):
        intake.frame(frame)
        expected += segmenter.push(frame)
    expected += segmenter.flush()
    taken = await windows_of(intake)
    assert [(w.start_s, w.speech_ratio, w.gap_ratio) for w in taken] == [
        (w.start_s, w.speech_ratio, w.gap_ratio) for w in expected
    ]
    assert all(np.array_equal(one.pcm, other.pcm) for one, other in zip(taken, expected, strict=True))


async def test_silence_and_the_end_do_not_wait_for_a_block_to_be_full() -> None:
    ends: list[Callable[[Intake], None]] = [lambda intake: intake.silence("1", 40_000), lambda intake: intake.close()]
    for end in ends:
        intake = Intake(lambda _: True)
        speech = tone_burst(1.0)[: 16_000 - FRAME_SAMPLES]
        assert len(speech) % BLOCK_SAMPLES
        for frame in frames(speech, ["heard"]):
            intake.frame(frame)
        end(intake)
        (window,) = await intake.take(1)
        assert len(window.pcm) > len(speech) - FRAME_SAMPLES
        assert intake.frames == len(speech) // FRAME_SAMPLES


async def test_nothing_stays_of_who_withdrew_or_was_never_included() -> None:
    included = {"1"}
    intake = Intake(included.__contains__)
    for frame in frames(tone_burst(1.9), ["heard"]):
        intake.frame(frame)
    included.clear()
    intake.discard("1")
    for frame in frames(tone_burst(1.9), ["heard"]):
        intake.frame(frame)
    assert await windows_of(intake) == []


async def test_what_comes_for_a_time_that_is_over_is_counted() -> None:
    """For who is still there and for who has withdrawn."""
    intake = Intake(lambda _: True)
    for speaker in ("1", "2"):
        once = [replace(frame, speaker=speaker) for frame in frames(tone_burst(1.0), ["heard"])]
        for frame in [*once, once[0]]:
            intake.frame(frame)
        intake.silence(speaker, 16_000)
    intake.discard("2")
    assert intake.counters()["samples_late"] == 2 * FRAME_SAMPLES

"""What a call does to a voice: bounds, and that a seed decides all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ser_engine.audio import change_speed
from ser_engine.training import augment, made_sounds
from ser_engine.training.augment import MIN_WINDOW_SAMPLES
from ser_engine.training.opus import through_opus
from ser_engine.types import SAMPLE_RATE_HZ, WINDOW_SAMPLES, Pcm
from tests.fakes.clips import clip, clip_paths

pytestmark = pytest.mark.unit


def voice(seconds: float = 2.0) -> Pcm:
    """A buzz with a moving pitch and syllables, about as loud as speech."""
    t = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 1.5 * t)) / SAMPLE_RATE_HZ
    buzz = sum(np.sin(k * phase) / k for k in range(1, 20))
    return np.asarray(0.1 * buzz * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * t)), dtype=np.float32)


def correlation(a: Pcm, b: Pcm) -> float:
    return float(np.corrcoef(a, b)[0, 1])


@pytest.mark.parametrize("seed", range(12))
def test_a_view_is_a_window_of_finite_samples_within_full_scale(seed: int) -> None:
    heard = augment.vary(voice(2.0 + seed / 6), np.random.default_rng(seed), [voice(1.0), voice(0.5)])

    assert heard.dtype == np.float32
    assert augment.MIN_WINDOW_SAMPLES <= len(heard) <= WINDOW_SAMPLES
    assert np.isfinite(heard).all()
    assert 0.05 < np.abs(heard).max() < 1.6


def test_the_seed_decides_the_view() -> None:
    one, again, other = (augment.vary(voice(), np.random.default_rng(seed)) for seed in (3, 3, 4))

    assert np.array_equal(one, again)
    assert not np.array_equal(one[: len(other)], other[: len(one)])


@pytest.mark.parametrize("snr_db", [5.0, 20.0])
def test_noise_lies_as_far_below_the_voice_as_asked(snr_db: float) -> None:
    pcm = voice()
    noisy = augment.add_noise(pcm, augment.noise(len(pcm), np.random.default_rng(1)), snr_db=snr_db)

    found = 10 * np.log10(np.mean(np.square(pcm)) / np.mean(np.square(noisy - pcm)))
    assert found == pytest.approx(snr_db, abs=0.1)


def test_speed_changes_the_length_by_its_factor() -> None:
    assert len(change_speed(voice(2.0), 1.1)) == pytest.approx(2.0 * SAMPLE_RATE_HZ / 1.1, abs=2)


def test_a_room_smears_but_keeps_the_voice() -> None:
    pcm = voice()
    wet = augment.in_room(pcm, np.random.default_rng(5))

    assert len(wet) == len(pcm)
    assert 0.3 < correlation(wet, pcm) < 0.999


def test_a_gate_leaves_digital_silence_between_words_and_the_words_alone() -> None:
    quiet = np.random.default_rng(0).standard_normal(SAMPLE_RATE_HZ).astype(np.float32) * 1e-4
    gated = augment.gate(np.concatenate([voice(1.0), quiet]), np.random.default_rng(2))

    assert np.abs(gated[-SAMPLE_RATE_HZ // 2 :]).max() == 0.0
    assert correlation(gated[: SAMPLE_RATE_HZ // 2], voice(0.5)) > 0.99


def test_cleaning_takes_the_background_out_and_leaves_the_voice() -> None:
    pause = np.zeros(SAMPLE_RATE_HZ // 2, np.float32)
    spoken = np.concatenate([pause, voice(1.0), pause]).astype(np.float32)
    noisy = augment.add_noise(
        spoken, augment.coloured(len(spoken), 1, np.random.default_rng(4)).astype(np.float32), snr_db=15
    )

    cleaned = augment.clean(noisy, np.random.default_rng(9))

    def pause_db(x: Pcm) -> float:
        return float(10 * np.log10(np.mean(np.square(x[1000:7000]))))

    assert cleaned.shape == noisy.shape
    assert pause_db(cleaned) < pause_db(noisy) - 5
    assert correlation(cleaned, spoken) > 0.95


def test_a_view_without_cleaning_is_what_it_always_was() -> None:
    none: dict[str, Any] = {}
    one, same = (augment.vary(voice(), np.random.default_rng(7), **more) for more in (none, {"cleaned": 0.0}))

    assert np.array_equal(one, same)


def test_compression_brings_quiet_and_loud_closer() -> None:
    pcm = np.concatenate([voice(1.0), 0.1 * voice(1.0)]).astype(np.float32)
    flat = augment.compress(pcm, np.random.default_rng(3))

    def ratio(x: Pcm) -> float:
        return float(np.std(x[:SAMPLE_RATE_HZ]) / np.std(x[SAMPLE_RATE_HZ:]))

    assert ratio(flat) < 0.8 * ratio(pcm)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_not_speech_is_a_window_too(seed: int) -> None:
    sound = made_sounds.not_speech(np.random.default_rng(seed))

    assert augment.MIN_WINDOW_SAMPLES <= len(sound) <= WINDOW_SAMPLES
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() > 1e-3


@pytest.mark.parametrize(("bitrate_bps", "least"), [(16_000, 0.85), (64_000, 0.99)])
def test_opus_keeps_length_and_place(bitrate_bps: int, least: float) -> None:
    pcm = voice()
    coded = through_opus(pcm, bitrate_bps, np.random.default_rng(0))

    assert coded.shape == pcm.shape
    assert correlation(coded[1600:-1600], pcm[1600:-1600]) > least


def test_lost_packets_are_concealed_not_silent() -> None:
    pcm = voice(3.0)
    whole = through_opus(pcm, 64_000, np.random.default_rng(0))
    holed = through_opus(pcm, 64_000, np.random.default_rng(0), loss=0.1)

    assert 0.7 < correlation(whole, holed) < 0.9999
    frames = holed[: len(holed) // 320 * 320].reshape(-1, 320)
    assert (np.abs(frames).max(axis=1)[5:-5] > 1e-4).all()


@pytest.mark.parametrize("make", [made_sounds.babble, lambda voices, rng: made_sounds.over_music(voices[0], rng)])
def test_voices_that_cannot_be_followed_are_a_window(make: Callable[[list[Pcm], np.random.Generator], Pcm]) -> None:
    voices = [clip(path) for path in clip_paths()[:10]]
    one, again, other = (make(voices, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one[: len(other)], other[: len(one)])
    assert MIN_WINDOW_SAMPLES <= len(one) <= WINDOW_SAMPLES
    assert 0 < np.abs(one).max() <= 1


def test_bursts_come_several_times_a_second() -> None:
    made = made_sounds.bursts(clip(clip_paths()[0]), np.random.default_rng(1))
    assert MIN_WINDOW_SAMPLES <= len(made) <= WINDOW_SAMPLES
    level = np.sqrt(np.convolve(np.square(made), np.ones(800) / 800, mode="same"))
    loud = level > 0.2 * level.max()
    starts = np.count_nonzero(np.diff(loud.astype(int)) == 1)
    assert starts >= 2 * len(made) / SAMPLE_RATE_HZ


def test_a_short_view_holds_the_loudest_moment() -> None:
    pcm = np.zeros(3 * SAMPLE_RATE_HZ, np.float32)
    pcm[20_000:20_100] = 0.5
    for seed in range(20):
        short = augment.cut_short(pcm, np.random.default_rng(seed))
        assert 0.8 * SAMPLE_RATE_HZ <= len(short) <= 1.5 * SAMPLE_RATE_HZ
        assert np.abs(short).max() == 0.5

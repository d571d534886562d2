"""The same audio gives the same windows, however it was cut into packets; nothing is lost, doubled or overlapping."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_engine.errors import InvalidSamples
from ser_engine.gates import gate
from ser_engine.segmenter import Segmenter, SegmenterSettings, segment_pcm, speech_ratio
from ser_engine.types import SAMPLE_RATE_HZ, WINDOW_SAMPLES, Pcm, PcmFrame, Window
from tests.fakes.clips import clip, clip_paths

pytestmark = pytest.mark.unit

ANY_LENGTH = SegmenterSettings(min_speech_s=0)


def buzz(seconds: float, seed: int = 1) -> Pcm:
    """Something that detector and gates take for a voice: pulses of moving pitch and colour, never silent for long."""
    n = round(seconds * SAMPLE_RATE_HZ)
    t = np.arange(n) / SAMPLE_RATE_HZ
    phase, dark = 2 * np.pi * 140 * t - 20 * np.cos(2 * np.pi * 2 * t), 0.5 + 0.5 * np.sin(2 * np.pi * 3.3 * t)
    tone = sum(np.sin(h * (phase + seed)) * (dark / h + (1 - dark) * (h > 8) / 4) for h in range(1, 20))
    return np.asarray(0.1 * tone * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t)) + 0.01, dtype=np.float32)


def silence(seconds: float) -> Pcm:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), dtype=np.float32)


def frames(pcm: Pcm, sizes: list[int], t0: int = 0, *, skip_silent: bool = False) -> list[PcmFrame]:
    """`pcm` cut into frames of the given sizes, in turn; silent frames are left out when asked, as Discord does."""
    out, t, turn = [], 0, 0
    while t < len(pcm):
        piece = pcm[t : t + sizes[turn % len(sizes)]]
        if not (skip_silent and not piece.any()):
            out.append(PcmFrame(speaker="a", t_samples=t0 + t, pcm=piece))
        t, turn = t + len(piece), turn + 1
    return out


def run(fs: list[PcmFrame], s: SegmenterSettings | None = None, *, advance: bool = False) -> list[Window]:
    segmenter = Segmenter("a", s)
    windows = []
    for i, frame in enumerate(fs):
        windows += segmenter.push(frame)
        if advance:
            now = fs[i + 1].t_samples if i + 1 < len(fs) else frame.t_samples + 20_000
            for step in range(frame.t_samples + len(frame.pcm), now + 1, 1000):
                windows += segmenter.advance(step)
    return windows + segmenter.flush()


def kept_by(segmenter: Segmenter) -> Window | None:
    return segmenter._earlier


def same(a: list[Window], b: list[Window], shift_samples: int = 0) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(x.pcm, y.pcm)
        and np.array_equal(x.before, y.before)
        and round((y.start_s - x.start_s) * SAMPLE_RATE_HZ) == shift_samples
        and (x.speech_ratio, x.gap_ratio) == (y.speech_ratio, y.gap_ratio)
        for x, y in zip(a, b, strict=True)
    )


talk = st.lists(st.tuples(st.floats(0.01, 4.5), st.floats(0.0, 1.5)), min_size=1, max_size=4)
packet_sizes = st.lists(st.integers(97, 4000), min_size=1, max_size=5)


def spoken(phrases: list[tuple[float, float]]) -> Pcm:
    return np.concatenate([part for said, pause in phrases for part in (buzz(said), silence(pause))])


@given(talk, packet_sizes, st.integers(0, 10**10), st.booleans())
@settings(max_examples=40, deadline=None)
def test_same_windows_whatever_the_packets(
    phrases: list[tuple[float, float]], sizes: list[int], t0: int, advance: bool
) -> None:
    pcm = spoken(phrases)
    offline = segment_pcm(pcm, speaker="a")
    assert same(offline, run(frames(pcm, sizes, t0), advance=advance), t0)
    assert same(offline, run(frames(pcm, [320], t0, skip_silent=True), advance=True), t0)


@given(talk, packet_sizes)
@settings(max_examples=40, deadline=None)
def test_every_audible_sample_lies_in_exactly_one_window(phrases: list[tuple[float, float]], sizes: list[int]) -> None:
    pcm = spoken(phrases)
    seen = np.zeros(len(pcm), dtype=int)
    windows = run(frames(pcm, sizes), ANY_LENGTH)
    for window in windows:
        start = round(window.start_s * SAMPLE_RATE_HZ)
        assert 1 <= len(window.pcm) <= WINDOW_SAMPLES
        assert np.array_equal(window.pcm, pcm[start : start + len(window.pcm)])
        seen[start : start + len(window.pcm)] += 1
    assert seen.max(initial=0) <= 1
    audible = np.abs(pcm) > 10 ** (ANY_LENGTH.gate_dbfs / 20)
    assert seen[audible].all()
    assert [w.start_s for w in windows] == sorted(w.start_s for w in windows)


@given(talk, packet_sizes, st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_window_that_goes_on_from_a_full_one_has_what_fills_three_seconds(
    phrases: list[tuple[float, float]], sizes: list[int], packets_stop: bool
) -> None:
    pcm, earlier = spoken(phrases), None
    for window in run(frames(pcm, sizes, skip_silent=packets_stop), ANY_LENGTH, advance=packets_stop):
        start, end = (round(at_s * SAMPLE_RATE_HZ) for at_s in (window.start_s, window.end_s))
        since = start if earlier is None else start - round(earlier.end_s * SAMPLE_RATE_HZ)
        begin = max(0, end - WINDOW_SAMPLES)
        if earlier is None or gate(earlier) or since >= 9_600 or begin >= round(earlier.end_s * SAMPLE_RATE_HZ):
            assert len(window.before) == 0
        else:
            assert len(window.heard) == WINDOW_SAMPLES
            assert np.allclose(window.heard, pcm[begin:end], atol=10 ** (ANY_LENGTH.gate_dbfs / 20))
        earlier = window


@given(talk, packet_sizes, st.integers(50, 1600), st.booleans())
@settings(max_examples=40, deadline=None)
def test_silence_ends_every_window_within_its_time(
    phrases: list[tuple[float, float]], sizes: list[int], step: int, packets_stop: bool
) -> None:
    """Whether silence comes as packets or as none: a window is given at most 0.6 s (and a packet and a look at the
    clock) after its last audible sample, and nothing stays open after that."""
    pcm = np.concatenate([spoken(phrases), silence(1.0)])
    fs, segmenter, late = frames(pcm, sizes, skip_silent=packets_stop), Segmenter("a", ANY_LENGTH), []
    longest = step + max(sizes)
    for i, frame in enumerate(fs):
        ends = frame.t_samples + len(frame.pcm)
        late += [ends - w.end_s * SAMPLE_RATE_HZ for w in segmenter.push(frame)]
        for now in range(ends, fs[i + 1].t_samples if i + 1 < len(fs) else len(pcm), step):
            late += [now - w.end_s * SAMPLE_RATE_HZ for w in segmenter.advance(now)]
    assert all(samples <= 9_600 + longest for samples in late)
    assert segmenter.flush() == []  # a second of silence is at the end


@given(talk, packet_sizes, st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_gap_ratio_is_the_share_of_made_up_samples(
    phrases: list[tuple[float, float]], sizes: list[int], seed: int
) -> None:
    pcm, made_up, fs = spoken(phrases), np.random.default_rng(seed), []
    lost = np.zeros(len(pcm), dtype=bool)
    for frame in frames(pcm, sizes):
        concealed = bool(made_up.random() < 0.3)
        lost[frame.t_samples : frame.t_samples + len(frame.pcm)] = concealed
        fs.append(PcmFrame(speaker="a", t_samples=frame.t_samples, pcm=frame.pcm, concealed=concealed))
    for window in run(fs, ANY_LENGTH):
        start = round(window.start_s * SAMPLE_RATE_HZ)
        assert window.gap_ratio == pytest.approx(lost[start : start + len(window.pcm)].mean())


def test_silence_ends_a_window_within_its_hangover() -> None:
    segmenter = Segmenter("a")
    for frame in frames(buzz(1.5), [320]):
        assert segmenter.push(frame) == []
    end = round(1.5 * SAMPLE_RATE_HZ)
    assert segmenter.advance(end + 9_599) == []
    (window,) = segmenter.advance(end + 9_600)
    assert window.end_s == pytest.approx(1.5, abs=1e-3)
    assert segmenter.advance(end + 100_000) == []
    assert segmenter.flush() == []


def test_silent_samples_end_a_window_like_missing_packets() -> None:
    segmenter = Segmenter("a")
    closed_at = None
    for frame in frames(np.concatenate([buzz(1.5), silence(2.0)]), [320]):
        if segmenter.push(frame):
            closed_at = frame.t_samples + len(frame.pcm)
    assert closed_at == pytest.approx(2.1 * SAMPLE_RATE_HZ, abs=320)


def test_full_window_is_given_at_once_and_the_next_follows_it() -> None:
    segmenter = Segmenter("a")
    windows = []
    for frame in frames(buzz(7.0), [320]):
        got = segmenter.push(frame)
        for window in got:
            assert frame.t_samples + len(frame.pcm) - window.end_s * SAMPLE_RATE_HZ <= 320
        windows += got
    windows += segmenter.flush()
    assert [len(w.pcm) for w in windows] == [48_000, 48_000, 16_000]
    assert [w.start_s for w in windows] == [0, 3, 6]


def test_short_pause_stays_inside_and_ends_are_cut() -> None:
    pcm = np.concatenate([silence(0.9), buzz(0.6), silence(0.5), buzz(0.6), silence(0.4)])
    (window,) = segment_pcm(pcm)
    assert window.start_s == pytest.approx(0.9, abs=1e-3)
    assert window.duration_s == pytest.approx(1.7, abs=1e-3)


def test_little_speech_is_dropped_and_counted() -> None:
    segmenter = Segmenter("a")
    assert segmenter.push(PcmFrame(speaker="a", t_samples=0, pcm=buzz(0.5))) == []
    assert segmenter.flush() == []
    assert segmenter.dropped_short == 1


def test_loss_shows_as_gap_ratio() -> None:
    segmenter = Segmenter("a")
    windows = []
    for i, frame in enumerate(frames(buzz(3.0), [320])):
        lost = i % 10 == 3
        windows += segmenter.push(
            PcmFrame(speaker="a", t_samples=frame.t_samples, pcm=frame.pcm * (0.5 if lost else 1), concealed=lost)
        )
    (window,) = windows
    assert window.gap_ratio == pytest.approx(0.1)


def test_duplicates_and_late_frames_change_nothing() -> None:
    fs = frames(buzz(3.0), [320])
    disturbed = [f for i, frame in enumerate(fs) for f in ((frame, frame) if i % 3 else (frame, fs[max(0, i - 5)]))]
    segmenter = Segmenter("a")
    windows = [w for frame in disturbed for w in segmenter.push(frame)] + segmenter.flush()
    assert same(windows, segment_pcm(buzz(3.0), speaker="a"))
    assert segmenter.late_samples == 320 * len(fs)


def test_discard_forgets_everything_so_far() -> None:
    segmenter = Segmenter("a")
    for frame in frames(buzz(2.0), [320]):
        segmenter.push(frame)
    segmenter.discard()
    assert segmenter.flush() == []
    assert not segmenter._pcm.any()
    later = segmenter.push(PcmFrame(speaker="a", t_samples=32_000, pcm=buzz(3.0)))
    assert [w.start_s for w in later] == [2.0]


def test_what_was_before_is_the_same_speech_alone() -> None:
    sentence = buzz(4.0)
    (full, rest) = segment_pcm(sentence)
    assert len(full.before) == 0
    assert full.heard is full.pcm
    assert np.array_equal(rest.heard, sentence[16_000:])
    assert [len(w.before) for w in segment_pcm(np.concatenate([sentence, silence(0.7), buzz(1.0)]))] == [0, 32_000, 0]
    rumble = np.full(48_000, 0.001, np.float32)
    (alone,) = segment_pcm(np.concatenate([rumble, buzz(1.0)]))  # what was before held no speech, and was dropped
    assert (alone.start_s, len(alone.before)) == (3.0, 0)


def test_lost_packets_are_silence_and_not_what_was_before() -> None:
    sentence = buzz(5.0)
    there = [frame for frame in frames(sentence, [320]) if not 64_000 <= frame.t_samples < 67_200]
    sentence[64_000:67_200] = 0
    (_, rest) = run(there)
    assert np.array_equal(rest.heard, sentence[32_000:])


@pytest.mark.parametrize("how", ["discard", "advance", "flush"])
def test_what_was_before_is_not_kept(how: str) -> None:
    segmenter = Segmenter("a")
    (full,) = segmenter.push(PcmFrame(speaker="a", t_samples=0, pcm=buzz(3.0)))
    assert segmenter.advance(round(3.5 * SAMPLE_RATE_HZ)) == []
    assert kept_by(segmenter) is full
    {"discard": segmenter.discard, "advance": lambda: segmenter.advance(58_000), "flush": segmenter.flush}[how]()
    assert kept_by(segmenter) is None
    segmenter.push(PcmFrame(speaker="a", t_samples=48_000, pcm=buzz(1.0)))
    assert [len(w.before) for w in segmenter.flush()] == [0]


@pytest.mark.parametrize("seconds", [2.0, 3.0])
@pytest.mark.parametrize("packet", [320, 1_600, 16_000])
def test_what_was_before_is_not_kept_while_silent_packets_come(seconds: float, packet: int) -> None:
    """Not every client stops sending when its speaker falls silent."""
    segmenter = Segmenter("a")
    windows = [
        w for frame in frames(np.concatenate([buzz(seconds), silence(1.0)]), [packet]) for w in segmenter.push(frame)
    ]
    assert len(windows) == 1
    assert kept_by(segmenter) is None


def hum(seconds: float) -> Pcm:
    """The detector takes it for a voice, the gates do not."""
    t = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return np.asarray(sum(0.1 * np.sin(2 * np.pi * 100 * h * t) / h for h in range(1, 20)), np.float32)


@pytest.mark.parametrize(
    ("first", "refused"), [(hum(3.0), "no_speech"), (np.clip(100 * buzz(3.0), -1, 1), "clipped"), (buzz(3.0), None)]
)
def test_what_a_gate_refuses_is_not_heard_with_what_follows(first: Pcm, refused: str | None) -> None:
    (full, rest) = segment_pcm(np.concatenate([first, buzz(1.0)]))
    assert gate(full) == refused
    assert len(rest.before) == (0 if refused else 32_000)


def test_gate_hears_quiet_rooms_but_not_a_codecs_rest() -> None:
    assert segment_pcm(buzz(2.0) * np.float32(0.01))
    assert segment_pcm(silence(5.0)) == []
    assert segment_pcm(np.zeros(0, np.float32)) == []
    hiss = np.random.default_rng(0).uniform(-4e-4, 4e-4, 48_000).astype(np.float32)
    assert segment_pcm(hiss) == []


def test_gain_does_not_change_how_much_speech_is_heard() -> None:
    pcm = np.concatenate([buzz(1.0), buzz(0.7) * np.float32(0.02), buzz(1.0)])
    assert speech_ratio(pcm) == speech_ratio(pcm * np.float32(0.2)) > 0.5


@pytest.mark.parametrize(
    ("pcm", "words"),
    [
        (np.zeros((16_000, 2), np.float32), "one dimension"),
        (np.full(16_000, 300, np.int16), "full scale of ±1"),
        (np.full(16_000, 300.0), "full scale of ±1"),
        (np.full(16_000, np.nan, np.float32), "NaN"),
        (None, "one dimension"),
    ],
)
def test_a_recording_of_another_form_is_refused_in_words(pcm: Any, words: str) -> None:
    with pytest.raises(InvalidSamples, match=words):
        segment_pcm(pcm)


def test_a_recording_may_hold_floats_of_any_kind() -> None:
    pcm = clip(clip_paths()[0])
    expected = segment_pcm(pcm)
    same: Any
    for same in (pcm.astype(np.float64), pcm.astype(">f4"), np.repeat(pcm, 2)[::2], pcm.tolist()):
        for one, other in zip(segment_pcm(same), expected, strict=True):
            assert (one.start_s, one.speech_ratio) == (other.start_s, other.speech_ratio)
            np.testing.assert_array_equal(one.pcm, other.pcm)
    assert segment_pcm(pcm[:0]) == []

"""A speaker's baseline: the order of arrival does not matter, it stays bounded and private, and it changes answers."""

from __future__ import annotations

import io
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ser_engine.baseline import (
    MOST_COUNTED,
    MOST_WINDOWS,
    SETTLED_AFTER,
    BaselineHead,
    SpeakerBaseline,
    WindowOutput,
    baseline_inputs,
)
from ser_engine.decision import Decider
from ser_engine.errors import ModelError
from ser_engine.features import FeatureSettings
from ser_engine.models import BASELINE_NPZ, NETWORK_ONNX, Manifest, open_directory, write_manifest
from ser_engine.strangeness import Strangeness
from ser_engine.types import Window

pytestmark = pytest.mark.unit

LABELS = ("Angry", "Happy", "Neutral")
WIDTH = 4


def heard(seed: int) -> WindowOutput:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(len(LABELS)))
    return WindowOutput(
        gated=None,
        log_probabilities=np.log(probabilities).astype(np.float32),
        pooled=rng.standard_normal(WIDTH).astype(np.float32),
    )


def window(start_s: float, speaker: str = "anna") -> Window:
    return Window(speaker=speaker, start_s=start_s, pcm=np.zeros(16_000, np.float32), speech_ratio=1.0, gap_ratio=0.0)


@pytest.fixture
def decider(tmp_path: Path) -> Decider:
    rng = np.random.default_rng(0)
    inputs = WIDTH + len(LABELS) + 1
    head = BaselineHead(
        hidden=(rng.standard_normal((inputs, 6)).astype(np.float32), np.zeros(6, np.float32)),
        output=(rng.standard_normal((6, len(LABELS))).astype(np.float32), np.zeros(len(LABELS), np.float32)),
    )
    (tmp_path / BASELINE_NPZ).write_bytes(head.to_bytes())
    (tmp_path / NETWORK_ONNX).write_bytes(b"never read here")
    write_manifest(tmp_path, Manifest(labels=LABELS, features=FeatureSettings.whisper()))
    return Decider(open_directory(tmp_path))


def test_only_what_began_earlier_counts_whatever_arrived_first() -> None:
    in_order, reversed_ = SpeakerBaseline(), SpeakerBaseline()
    for start in range(5):
        in_order.update(start, heard(start))
    for start in reversed(range(5)):
        reversed_.update(start, heard(start))
    one, other = in_order.before(3.0), reversed_.before(3.0)
    assert one is not None
    assert other is not None
    assert one.windows == other.windows == 3
    np.testing.assert_array_equal(one.pooled, other.pooled)
    np.testing.assert_allclose(one.pooled, np.mean([heard(k).pooled for k in range(3)], axis=0), rtol=1e-6)
    assert in_order.before(0.0) is None


def test_it_says_how_much_it_has_heard_and_forgets_all_of_it() -> None:
    baseline = SpeakerBaseline()
    for start in range(SETTLED_AFTER):
        assert not baseline.settled
        baseline.update(start, heard(start))
    baseline.update(0, heard(9))  # the same window again
    assert (baseline.heard, baseline.settled) == (SETTLED_AFTER, True)
    baseline.discard()
    assert (baseline.heard, baseline.before(99.0)) == (0, None)


def test_it_keeps_the_latest_windows_only() -> None:
    baseline = SpeakerBaseline()
    for start in range(2 * MOST_WINDOWS):
        baseline.update(start, heard(start))
    assert baseline.heard == MOST_WINDOWS
    assert baseline.before(MOST_WINDOWS) is None  # the older half is gone


def test_it_cannot_leave_the_process_or_show_itself() -> None:
    baseline = SpeakerBaseline()
    baseline.update(0.0, heard(1))
    with pytest.raises(TypeError):
        pickle.dumps(baseline)
    assert repr(baseline) == "SpeakerBaseline(heard=1)"


def test_a_first_window_is_answered_as_if_it_stood_alone(decider: Decider) -> None:
    (alone,) = decider.decide([window(0)], [heard(1)])
    (first,) = decider.decide([window(0)], [heard(1)], {})
    assert first.probabilities == alone.probabilities
    assert (alone.earlier_windows, first.earlier_windows) == (None, 0)


def test_earlier_windows_of_the_same_speaker_change_the_answer(decider: Decider) -> None:
    asked = [window(0), window(3), window(6, "ben")]
    answers = decider.decide(asked, [heard(1), heard(2), heard(2)], {})
    assert answers[1].probabilities != answers[2].probabilities
    assert [one.earlier_windows for one in answers] == [0, 1, 0]


def test_windows_in_another_order_get_the_same_answers(decider: Decider) -> None:
    asked = [window(3.0 * k, speaker) for k in range(6) for speaker in ("anna", "ben")]
    sounds = [heard(k) for k in range(len(asked))]
    at_once = decider.decide(asked, sounds, {})
    shuffled = np.random.default_rng(1).permutation(len(asked))
    mixed = decider.decide([asked[k] for k in shuffled], [sounds[k] for k in shuffled], {})
    one_by_one = []
    baselines: dict[str, SpeakerBaseline] = {}
    for speaker in ("ben", "anna"):
        for k, one in enumerate(asked):
            if one.speaker == speaker:
                one_by_one.append((k, decider.decide([one], [sounds[k]], baselines)[0]))
    for k, answer in zip(shuffled, mixed, strict=True):
        assert answer == at_once[k]
    for k, answer in one_by_one:
        assert answer == at_once[k]


def test_what_is_gated_is_not_taken_into_the_baseline(decider: Decider) -> None:
    baselines: dict[str, SpeakerBaseline] = {}
    for start, reason in enumerate(("no_speech", "too_short", "clipped")):
        decider.decide([window(start)], [replace(heard(start), gated=reason)], baselines)  # type: ignore[arg-type]
    assert sum(one.heard for one in baselines.values()) == 0


def test_an_answer_that_is_no_number_is_unclear(tmp_path: Path, decider: Decider) -> None:
    write_manifest(tmp_path, Manifest(labels=LABELS, features=FeatureSettings.whisper(), unclear_below=0.5))
    broken = replace(heard(1), log_probabilities=np.full(len(LABELS), np.nan, np.float32))
    (answer,) = Decider(open_directory(tmp_path)).decide([window(0)], [broken])
    assert (answer.unclear, answer.reason) == (True, "unsure")


def test_a_strange_window_can_only_be_less_sure(tmp_path: Path, decider: Decider) -> None:
    """The same answer, of a voice like the corpus and of one unlike it: the label stays."""
    measure = Strangeness(weights=np.array([9.0, 0, 0, 0], np.float32), bias=0.0)
    kept = BaselineHead.from_bytes((tmp_path / BASELINE_NPZ).read_bytes()).to_bytes(measure.arrays())
    (tmp_path / BASELINE_NPZ).write_bytes(kept)
    asked = {"Angry": 0.9, "Neutral": 0.5}
    plainly = Manifest(labels=LABELS, features=FeatureSettings.whisper(), unclear_below=0.6)
    about = {"strange_temperature": 2.0, "strange_unclear_below": asked}
    write_manifest(tmp_path, plainly.model_copy(update=about))
    measuring = Decider(open_directory(tmp_path))
    said = np.log([0.8, 0.15, 0.05]).astype(np.float32)
    near, far = (
        WindowOutput(gated=None, log_probabilities=said, pooled=np.array([place, 0, 0, 0], np.float32))
        for place in (-9, 9)
    )
    (like,), (unlike,) = (measuring.decide([window(0.0)], [one]) for one in (near, far))
    assert (like.emotion, like.unclear, unlike.emotion, unlike.unclear) == ("Angry", False, "Angry", True)
    assert [like.unclear_below, unlike.unclear_below] == pytest.approx([0.6, 0.9])
    assert like.confidence == pytest.approx(0.8)
    assert unlike.confidence < like.confidence
    (plain,) = decider.decide([window(0.0)], [far])  # nothing measures it
    assert plain.confidence == pytest.approx(0.8)
    manifest = open_directory(tmp_path).manifest
    assert manifest.threshold("Neutral", 1.0) == manifest.threshold("Happy", 1.0) == 0.6  # never less than of others
    for broken in (
        {"strange_weights": np.zeros((2, 2)), "strange_bias": np.zeros(())},
        {"strange_weights": np.zeros(4)},
    ):
        stream = io.BytesIO()
        np.savez(stream, **broken)
        with pytest.raises(ModelError):
            Strangeness.from_bytes(stream.getvalue())


def test_the_head_keeps_its_weights_and_refuses_others() -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in ((8, 6), (6,), (6, 3), (3,))]
    head = BaselineHead(hidden=(arrays[0], arrays[1]), output=(arrays[2], arrays[3]))
    again = BaselineHead.from_bytes(head.to_bytes())
    np.testing.assert_array_equal(again.hidden[0], head.hidden[0])
    assert head.to_bytes() == again.to_bytes()
    for bad in (b"", head.to_bytes()[:-40], replace(head, output=(arrays[0], arrays[3])).to_bytes()):
        with pytest.raises(ModelError):
            BaselineHead.from_bytes(bad)


@pytest.mark.parametrize("name", ["w1", "b2", "strange_weights", "strange_bias"])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, decider: Decider, name: str) -> None:
    """They would make every answer one of NaN, which no threshold stops."""
    measure = Strangeness(weights=np.ones(WIDTH, np.float32), bias=0.0)
    kept = BaselineHead.from_bytes((tmp_path / BASELINE_NPZ).read_bytes()).to_bytes(measure.arrays())
    with np.load(io.BytesIO(kept)) as arrays:
        changed = {key: arrays[key] * (np.nan if key == name else 1) for key in arrays}
    np.savez(tmp_path / BASELINE_NPZ, **changed)
    write_manifest(tmp_path, Manifest(labels=LABELS, features=FeatureSettings.whisper()))
    with pytest.raises(ModelError, match="not finite"):
        Decider(open_directory(tmp_path))


def test_a_head_for_other_labels_or_another_measure_is_refused(tmp_path: Path, decider: Decider) -> None:
    write_manifest(tmp_path, Manifest(labels=(*LABELS, "Sad"), features=FeatureSettings.whisper()))
    with pytest.raises(ModelError, match=r"tells 3 labels, but its model\.json states 4"):
        Decider(open_directory(tmp_path))
    measure = Strangeness(weights=np.ones(WIDTH + 1, np.float32), bias=0.0)
    kept = BaselineHead.from_bytes((tmp_path / BASELINE_NPZ).read_bytes()).to_bytes(measure.arrays())
    (tmp_path / BASELINE_NPZ).write_bytes(kept)
    write_manifest(tmp_path, Manifest(labels=LABELS, features=FeatureSettings.whisper()))
    with pytest.raises(ModelError, match="do not fit one another"):
        Decider(open_directory(tmp_path))


def test_more_windows_than_the_head_learned_from_count_as_so_many() -> None:
    pooled, means = np.ones(WIDTH, np.float32), np.ones(len(LABELS), np.float32)
    most = baseline_inputs(pooled, pooled, means, MOST_COUNTED)
    np.testing.assert_array_equal(most, baseline_inputs(pooled, pooled, means, 10 * MOST_COUNTED))

"""Measuring and reporting, with a recogniser whose answers are known."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from ser_engine.backends.base import ModelInfo
from ser_engine.recognizer import Recognizer
from ser_engine.training import calls, conditions, measure, metrics, report
from ser_engine.training.corpus import LABELS, Clip, Corpus, read_corpus
from ser_engine.training.pictures import pictures
from ser_engine.training.recipes import Silent
from ser_engine.types import SAMPLE_RATE_HZ, Pcm, Prediction, Window

pytestmark = pytest.mark.unit

CLIPS = Path(__file__).parents[3] / "sandbox" / "clips"


class Oracle:
    """Answers by a rule over the window's samples; the honest part of a recogniser that measuring needs."""

    def __init__(self, labels: tuple[str, ...], rule: Callable[[Pcm], Sequence[float]], name: str = "oracle") -> None:
        self.info = ModelInfo(name=name, version="0" * 12, labels=labels, runtime="onnxruntime")
        self._rule = rule
        self.heard: list[Window] = []

    def predict(self, windows: Sequence[Window], baselines: object = None) -> list[Prediction]:
        self.heard += windows
        return [self._answer(self._rule(window.pcm)) for window in windows]

    def _answer(self, shares: Sequence[float]) -> Prediction:
        probabilities = dict(zip(self.info.labels, shares, strict=True))
        emotion = max(probabilities, key=probabilities.__getitem__)
        return Prediction(
            probabilities=probabilities, emotion=emotion, confidence=probabilities[emotion], unclear=False
        )


def ask(oracle: Oracle, clips: Sequence[Clip], condition: str = "clean") -> measure.Answers:
    return measure.ask(cast(Recognizer, oracle), clips, condition, Silent())


def always(*shares: float) -> Callable[[Pcm], Sequence[float]]:
    return lambda pcm: shares


@pytest.fixture(scope="module")
def demo() -> Corpus:
    return read_corpus(CLIPS)


def test_one_answer_for_everything_scores_chance_and_is_called_a_collapse(demo: Corpus) -> None:
    scored = measure.score(ask(Oracle(measure.FOUR, always(0.4, 0.2, 0.2, 0.2)), demo.clips), measure.FOUR)
    found = measure.figures(scored, rounds=20)
    assert found["clips"] == 32  # neutral recordings are no question for a model of four
    assert found["uar"] == pytest.approx(0.25)
    assert found["recall"] == {"Angry": 1.0, "Happy": 0.0, "Sad": 0.0, "Disgust": 0.0}
    assert found["ece"] == pytest.approx(0.15)
    assert any("collapsed" in text for text in found["warnings"])


def test_mistakes_of_arousal_are_told_by_themselves(demo: Corpus) -> None:
    everything_angry = measure.score(ask(Oracle(LABELS, always(0.6, 0.1, 0.1, 0.1, 0.1)), demo.clips), LABELS)
    found = measure.figures(everything_angry, rounds=5)
    assert found["taken_for_angry"] == {"Happy": 1.0, "Disgust": 1.0}
    assert report.taken_for_angry(found) == "100 % / 100 %"
    table = np.diag([4, 4, 4, 4, 4])
    table[1] = [1, 3, 0, 0, 0]
    assert measure.taken_for_angry(table, LABELS) == {"Happy": 0.25, "Disgust": 0.0}
    assert measure.taken_for_angry(table[1:, 1:], LABELS[1:]) == {}


def test_over_four_labels_a_model_of_five_answers_as_if_neutral_did_not_exist(demo: Corpus) -> None:
    oracle = Oracle(LABELS, always(0.1, 0.2, 0.05, 0.05, 0.6))
    answers = ask(oracle, demo.clips)
    four, five = measure.score(answers, measure.FOUR), measure.score(answers, LABELS)
    assert set(four.decided) == {measure.FOUR.index("Happy")}
    assert four.confidence[0] == pytest.approx(0.5)
    assert set(five.decided) == {LABELS.index("Neutral")}
    assert (len(four.clips), len(five.clips)) == (32, 40)


def test_a_figure_too_good_to_be_true_is_called_a_leak() -> None:
    table = np.diag([50, 50, 50, 50])
    assert any("training" in text for text in measure.warnings(table, measure.FOUR))
    assert measure.warnings(np.full((4, 4), 20), measure.FOUR) == []


def test_recordings_of_one_label_are_no_collapse() -> None:
    table = np.zeros((5, 5), np.int64)
    table[4, 4] = 50
    assert measure.warnings(table, LABELS) == []
    table[0, 4] = 3  # a few others beside them
    assert len(measure.warnings(table, LABELS)) == 1


def test_figures_of_calls_have_the_intervals_of_all_others(demo: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    bootstrap = metrics.bootstrap

    def noted(*args: Any, rounds: int, **more: Any) -> tuple[float, float]:
        drawn.append(rounds)
        return bootstrap(*args, rounds=5, **more)

    monkeypatch.setattr(metrics, "bootstrap", noted)
    model = cast(Recognizer, Oracle(LABELS, always(1.0, 0.0, 0.0, 0.0, 0.0)))
    monkeypatch.setattr(calls, "_hear", lambda *_: [calls._Said(clip=c, windows=(), heard=()) for c in demo.clips])
    monkeypatch.setattr(calls, "_in_call", lambda *_: None)
    calls.measure_calls(model, demo.clips, shares=(0.6,), progress=Silent())
    assert drawn
    measure.figures(measure.score(measure.answers_of(LABELS, demo.clips, [None] * len(demo.clips)), LABELS))
    assert set(drawn) == {1_000}


def test_a_recording_with_too_little_speech_counts_as_wrong(tmp_path: Path, demo: Corpus) -> None:
    import wave

    with wave.open(str(tmp_path / "quiet.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLE_RATE_HZ)
        sound.writeframes(bytes(2 * SAMPLE_RATE_HZ))
    silent = Clip(path=tmp_path / "quiet.wav", speaker="x", label="Angry")
    answers = ask(Oracle(measure.FOUR, always(0.97, 0.01, 0.01, 0.01)), [silent])
    scored = measure.score(answers, measure.FOUR)
    assert (scored.unanswered, bool(scored.right[0]), bool(scored.clear[0])) == (1, False, False)


def test_slices_and_the_crowd_come_from_the_table(tmp_path: Path) -> None:
    def clip(label: str, sex: str, age: int, **votes: int) -> Clip:
        return Clip(path=tmp_path / label, speaker=sex, label=label, sex=sex, age=age, votes=votes)

    two = (clip("Angry", "female", 25, Angry=6, Neutral=4), clip("Sad", "male", 64, Sad=1, Angry=3, Fear=6))
    clips = tuple(replace(one, sentence="IEO") for one in two)
    scored = measure.Scored(
        labels=measure.FOUR,
        clips=clips,
        truth=np.array([0, 2]),
        decided=np.array([0, 0]),
        confidence=np.array([0.9, 0.6]),
        right=np.array([True, False]),
        clear=np.array([True, True]),
        unanswered=0,
    )
    found = metrics.rounded(measure.slices(scored))
    one_speaker = {"clips": 1, "uar_interval": [None, None]}
    assert found["sex"] == {"female": {**one_speaker, "uar": 1.0}, "male": {**one_speaker, "uar": 0.0}}
    assert found["sentence"] == {"IEO": {"clips": 2, "uar": 0.5, "uar_interval": [0.0, 1.0]}}
    assert set(found["age"]) == {"under 30", "60 and over"}
    assert found["level"] == {}
    crowd = measure.crowd(clips, measure.FOUR)
    assert crowd is not None
    assert crowd["of_all_votes"] == pytest.approx(7 / 20)
    assert crowd["among"] == pytest.approx(7 / 10)
    assert crowd["recall"]["Sad"] == pytest.approx(1 / 4)
    assert crowd["plurality_uar"] == pytest.approx(0.5)
    assert measure.crowd([Clip(path=tmp_path, speaker="x", label="Sad")], measure.FOUR) is None


@pytest.mark.parametrize("name", sorted(conditions.CONDITIONS))
def test_a_condition_is_the_same_each_time_and_never_breaks_the_samples(name: str, demo: Corpus) -> None:
    pcm = demo.clips[3].read()
    heard = conditions.apply(name, pcm, "a.flac")
    np.testing.assert_array_equal(heard, conditions.apply(name, pcm, "a.flac"))
    assert heard.dtype == np.float32
    assert np.isfinite(heard).all()
    if name == "short":
        assert 0.8 <= len(heard) / SAMPLE_RATE_HZ <= 1.5
    else:
        assert len(heard) == len(pcm)
    assert (name == "clean") == np.array_equal(heard, pcm)


def test_noise_is_20_db_down_and_gain_is_10_db() -> None:
    tone = (0.2 * np.sin(np.arange(SAMPLE_RATE_HZ) * 0.2)).astype(np.float32)

    def power(x: Pcm) -> float:
        return float(np.mean(np.square(x, dtype=np.float64)))

    noise = conditions.apply("noise", tone, "x") - tone
    assert 10 * np.log10(power(tone) / power(noise)) == pytest.approx(20, abs=0.1)
    changes = {round(10 * np.log10(power(conditions.apply("gain", tone, str(k))) / power(tone))) for k in range(8)}
    assert changes == {10, -10}


def test_a_short_window_goes_past_the_door(demo: Corpus) -> None:
    oracle = Oracle(measure.FOUR, always(0.25, 0.25, 0.25, 0.25))
    ask(oracle, demo.clips[:4], "short")
    assert len(oracle.heard) == 4
    assert all(window.duration_s <= 1.5 for window in oracle.heard)


@pytest.mark.slow
def test_the_report_holds_every_engine_and_reads_as_text_json_and_pictures(tmp_path: Path, demo: Corpus) -> None:
    engines = [
        Oracle(measure.FOUR, always(0.4, 0.2, 0.2, 0.2), "seed"),
        Oracle(LABELS, always(0.1, 0.2, 0.05, 0.05, 0.6), "default"),
    ]
    chosen = demo.of_speakers(demo.speakers[:3])
    about = {"command": "undertone evaluate", "clips": len(chosen.clips), "speakers": 3}
    found = report.build(
        cast(list[Recognizer], engines), chosen.clips, ["clean", "gain"], about=about, progress=Silent()
    )
    assert json.loads(json.dumps(found)) == found
    assert set(found["models"]["seed"]["conditions"]["gain"]) == {"four"}
    assert set(found["models"]["default"]["conditions"]["clean"]) == {"four", "five"}

    text = report.to_markdown(found)
    assert "| seed | clean |" in text
    assert "| default | gain |" in text
    assert "## default, 5 labels, clean" in text
    assert "collapsed" in text

    drawn = pictures(found)
    assert {"seed-four-reliability.svg", "default-five-confusion.svg", "four-risk-coverage.svg"} <= set(drawn)
    for text in drawn.values():
        assert ElementTree.fromstring(text).tag.endswith("svg")  # noqa: S314  # our own

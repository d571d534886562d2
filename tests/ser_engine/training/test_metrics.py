from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_engine.networks import softmax
from ser_engine.training import calibrate, metrics

pytestmark = pytest.mark.unit


def test_uar_counts_each_label_alike_and_accuracy_each_clip() -> None:
    truth = np.array([0] * 90 + [1] * 10)
    table = metrics.confusion(truth, np.zeros(100, np.int64), 2)
    assert table.tolist() == [[90, 0], [10, 0]]
    assert metrics.uar(table) == 0.5
    assert metrics.accuracy(table) == 0.9


def test_macro_f1_of_a_worked_example() -> None:
    table = np.array([[3, 1], [2, 4]])
    first, second = 2 * 3 / (4 + 5), 2 * 4 / (6 + 5)
    assert metrics.macro_f1(table) == pytest.approx((first + second) / 2)


def test_a_label_without_clips_is_left_out_of_the_means() -> None:
    table = np.array([[2, 0, 0], [1, 1, 0], [0, 0, 0]])
    assert np.isnan(metrics.recalls(table)[2])
    assert metrics.uar(table) == pytest.approx(0.75)
    assert metrics.macro_f1(table) == pytest.approx((0.8 + 2 / 3) / 2)


def test_ece_is_nought_for_honest_confidence_and_the_gap_for_a_boaster() -> None:
    right = np.array([True] * 8 + [False] * 2)
    assert metrics.ece(np.full(10, 0.8), right) == pytest.approx(0.0)
    assert metrics.ece(np.full(10, 0.95), right) == pytest.approx(0.15)


def test_ece_weighs_bins_by_their_answers() -> None:
    confidence = np.array([0.95] * 30 + [0.55] * 10)
    right = np.array([True] * 30 + [False] * 10)
    assert metrics.ece(confidence, right) == pytest.approx((30 * 0.05 + 10 * 0.55) / 40)


def test_full_confidence_lies_in_the_last_bin() -> None:
    (only,) = metrics.reliability(np.array([1.0]), np.array([True]))
    assert (only.low, only.high, only.count) == (0.9, 1.0, 1)


def test_risk_coverage_gives_the_surest_answers_first() -> None:
    confidence = np.array([0.5, 0.9, 0.7])
    right = np.array([False, True, True])
    coverage, accuracy, threshold = metrics.risk_coverage(confidence, right)
    assert coverage.tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    assert accuracy.tolist() == pytest.approx([1, 1, 2 / 3])
    assert threshold.tolist() == [0.9, 0.7, 0.5]


def test_among_is_the_chance_given_that_it_is_one_of_them() -> None:
    chances = metrics.among(np.array([[0.2, 0.2, 0.6]]), [0, 1])
    assert chances.tolist() == [[0.5, 0.5]]


def test_bootstrap_draws_whole_speakers() -> None:
    # One speaker is always right, one never: a speaker's clips stand or fall together, so the interval is 0 to 1.
    groups = ["a"] * 50 + ["b"] * 50
    right = np.array([True] * 50 + [False] * 50)
    low, high = metrics.bootstrap(groups, lambda rows: float(right[rows].mean()), rounds=200)
    assert (low, high) == (0.0, 1.0)
    # The same clips by a hundred speakers say far more.
    low, high = metrics.bootstrap([str(k) for k in range(100)], lambda rows: float(right[rows].mean()), rounds=200)
    assert 0.35 < low < 0.5 < high < 0.65
    # One alone says nothing of others.
    assert np.isnan(metrics.bootstrap(["a"] * 100, lambda rows: float(right[rows].mean()), rounds=200)).all()


def test_bootstrap_gives_the_same_interval_each_time() -> None:
    groups = [str(k % 7) for k in range(70)]
    values = np.random.default_rng(0).random(70)

    def once() -> tuple[float, float]:
        return metrics.bootstrap(groups, lambda rows: float(values[rows].mean()), rounds=50)

    assert once() == once()


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.floats(0, 1)), min_size=1, max_size=60),
)
def test_figures_stay_within_their_bounds(rows: list[tuple[int, int, float]]) -> None:
    truth, decided = (np.array([row[k] for row in rows]) for k in (0, 1))
    confidence = np.array([row[2] for row in rows])
    table = metrics.confusion(truth, decided, 4)
    assert table.sum() == len(rows)
    for figure in (metrics.uar(table), metrics.accuracy(table), metrics.macro_f1(table)):
        assert 0 <= figure <= 1
    assert 0 <= metrics.ece(confidence, truth == decided) <= 1
    assert sum(one.count for one in metrics.reliability(confidence, truth == decided)) == len(rows)


def test_rounding_reaches_into_everything_and_json_gets_no_nan() -> None:
    value = {"a": [0.123456, float("nan")], "b": (np.float32(0.5), np.int64(3), "x")}
    assert metrics.rounded(value) == {"a": [0.1235, None], "b": [0.5, 3, "x"]}


def test_the_temperature_that_was_applied_is_found_again() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (4000, 4))
    truth = np.array([rng.choice(4, p=row) for row in softmax(honest)])
    assert calibrate.fit_temperature(honest * 2.5, truth) == pytest.approx(2.5, rel=0.1)
    assert calibrate.fit_temperature(honest / 2, truth) == pytest.approx(0.5, rel=0.1)


def test_the_threshold_leaves_the_stated_share_clear() -> None:
    confidence = np.linspace(0.25, 1, 1000)
    threshold = calibrate.threshold_for(confidence, 0.7)
    assert (confidence >= threshold).mean() == pytest.approx(0.7, abs=0.02)

"""Windows in stretches of equal length."""

from __future__ import annotations

import pytest

from bot.report import bins_of
from tests.fakes.records import window

pytestmark = pytest.mark.unit


def test_a_window_counts_in_each_stretch_by_its_part() -> None:
    windows = [
        window(start_s=2.0, emotion="Angry"),  # 2 s of it before 4, 1 s after
        window(start_s=5.0, emotion="Sad"),
        window(start_s=8.0, unclear=True),
        window(start_s=11.5, emotion="Happy"),  # half a second of it is in view
    ]
    first, second, third = bins_of(windows, from_s=0, to_s=12, count=3)
    assert (dict(first.shares), first.unclear) == ({"Angry": 0.5}, 0.0)
    assert dict(second.shares) == pytest.approx({"Angry": 0.25, "Sad": 0.75})
    assert (dict(third.shares), third.unclear) == ({"Happy": 0.125}, 0.75)


def test_nothing_said_is_empty_and_what_lies_outside_is_not_seen() -> None:
    bins = bins_of([window(start_s=100.0)], from_s=0, to_s=12, count=4)
    assert [(dict(b.shares), b.unclear) for b in bins] == [({}, 0.0)] * 4

"""A crowd begins one after another, evenly spread, or in the same instant."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.voice.chorus import PHASES, Chorus
from sandbox.voice.speaker import FRAME_S


class Silent:
    client = None
    sequence = 0
    timestamp = 0


def begins_s(people: int, spread_s: float) -> list[float]:
    speakers: list[Any] = [Silent() for _ in range(people)]
    made = Chorus(None, speakers, [b""], spread_s=spread_s)  # type: ignore[arg-type]  # nothing is sent
    return [voice.begins / PHASES * FRAME_S for voice in made._voices]


@pytest.mark.unit
def test_people_begin_evenly_spread() -> None:
    begins = sorted(begins_s(60, 3.0))
    assert begins[0] >= 0
    assert begins[-1] <= 3
    gaps = [later - earlier for earlier, later in zip(begins, [*begins[1:], begins[0] + 3], strict=True)]
    assert max(gaps) < 3 * 3 / 60


@pytest.mark.unit
def test_the_people_of_one_server_begin_evenly_spread_too() -> None:
    begins = sorted(begins_s(60, 3.0)[3::10])
    gaps = [later - earlier for earlier, later in zip(begins, [*begins[1:], begins[0] + 3], strict=True)]
    assert max(gaps) < 3 * 3 / 6


@pytest.mark.unit
def test_without_a_spread_all_begin_in_the_same_instant() -> None:
    assert set(begins_s(20, 0.0)) == {0.0}

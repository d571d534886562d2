"""The demo's script: everybody included speaks soon, nobody in two places, pauses that people make."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest

from lab.conversation import CAST, load_clips, script

pytestmark = pytest.mark.unit


def test_every_person_has_clips_and_every_clip_is_there() -> None:
    clips = load_clips()
    for person in CAST:
        assert len(clips[person.actor]) >= 4
        assert all(clip.path.is_file() and clip.duration_s > 1 for clip in clips[person.actor])
    assert len({person.actor for person in CAST}) == len(CAST)


def test_the_included_speak_first_and_somebody_stays_excluded() -> None:
    included = [person for person in CAST if person.included]
    opening = list(islice(script(load_clips(), seed=1), len(included)))
    assert [line.person for line in opening] == included
    assert len(included) >= 3
    assert any(not person.included for person in CAST)


def test_it_goes_on_with_pauses_overlaps_and_all_voices() -> None:
    lines = list(islice(script(load_clips(), seed=2), 400))
    assert {line.person for line in lines} == set(CAST)
    assert any(line.pause_s < 0 for line in lines)
    assert all(-1.5 < line.pause_s < 4 for line in lines)
    assert all(line.clip in load_clips()[line.person.actor] for line in lines)
    same = sum(before.person is after.person for before, after in pairwise(lines))
    assert same < len(lines) / 2


def test_one_seed_gives_one_conversation() -> None:
    assert list(islice(script(load_clips(), seed=3), 50)) == list(islice(script(load_clips(), seed=3), 50))

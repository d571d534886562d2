"""Which moments of a session get a number."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from bot.report import KeyMoment, key_moments, marks_beside, turn_of
from bot.report.moments import MAX_MOMENTS, PAUSE_S, shifts_of
from storage import MomentRecord, WindowRecord
from storage.report import build_report
from tests.fakes.records import participant, session, window

pytestmark = pytest.mark.unit

TONES = {"A": "Angry", "H": "Happy", "N": "Neutral", "S": "Sad", "D": "Disgust"}


def talk(letters: str, *, start_s: float = 0.0, participant_id: int = 1, confidence: float = 0.8) -> list[WindowRecord]:
    """Windows of three seconds, one a letter: a tone, ``?`` unclear, ``-`` three seconds of silence."""
    return [
        window(
            participant_id,
            start_s + 3.0 * index,
            emotion=TONES.get(letter, "Angry"),
            confidence=confidence,
            unclear=letter == "?",
        )
        for index, letter in enumerate(letters)
        if letter != "-"
    ]


def moments_of(*people: Sequence[WindowRecord], marks: Sequence[MomentRecord] = ()) -> tuple[KeyMoment, ...]:
    windows = sorted((w for person in people for w in person), key=lambda w: w.start_s)
    persons = [participant(index + 1) for index in range(len(people))]
    return key_moments(build_report(session(), persons, windows, list(marks)))


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("NNNNAAA", [("Angry", 12.0, 21.0, 3)]),
        ("NNNNAA", []),  # two windows do not hold
        ("AAA", []),  # how somebody begins is no change
        ("NNN?A?A?A", [("Angry", 12.0, 27.0, 3)]),  # what is unclear neither holds nor breaks
        ("NNNAAHAA", [("Angry", 9.0, 24.0, 4)]),  # one stray window may be a mistake
        ("NNNAHAHAH", []),  # a flicker is none
        ("NNNANANANN", []),
    ],
)
def test_a_change_counts_when_three_clear_windows_agree(
    letters: str, expected: list[tuple[str, float, float, int]]
) -> None:
    found = [(s.emotion, s.at_s, s.until_s, s.windows) for s in shifts_of(talk(letters))]
    assert found == expected


def test_coming_back_ends_a_change_and_is_none_of_its_own() -> None:
    (shift,) = shifts_of(talk("NNNN" + "AAAA" + "NNNNNNNN"))
    assert (shift.emotion, shift.before, shift.returned) == ("Angry", "Neutral", True)


def test_coming_back_to_the_usual_tone_is_none_however_long_the_other_held() -> None:
    (shift,) = shifts_of(talk("N" * 20 + "H" * 40 + "N" * 30 + "?" + "N" * 2))
    assert (shift.emotion, shift.returned) == ("Happy", True)


def test_a_second_half_that_sounds_otherwise_is_a_change_however_long() -> None:
    (shift,) = shifts_of(talk("S" * 100 + "H" * 200))
    assert (shift.emotion, shift.before, shift.returned) == ("Happy", "Sad", False)
    assert shift.at_s == 300.0


def test_what_was_said_before_a_long_silence_does_not_carry_on() -> None:
    silence = "-" * (int(PAUSE_S) // 3 + 1)
    assert shifts_of(talk(f"NNNN{silence}A{silence}A{silence}A")) == []
    assert [s.at_s for s in shifts_of(talk(f"NNNN{silence}AAA"))] == [3.0 * (4 + len(silence))]


def test_the_surer_and_longer_change_is_what_the_session_turned_on() -> None:
    brief = talk("NNNHHH", participant_id=1)
    longer = talk("NNNAAAAAA", start_s=100, participant_id=2)
    moments = moments_of(brief, longer)
    assert [m.participant_id for m in moments] == [1, 2]
    turn = turn_of(moments)
    assert turn is not None
    assert turn.participant_id == 2
    unsure = talk("NNNAAAAAA", start_s=100, participant_id=2, confidence=0.3)
    turn = turn_of(moments_of(brief, unsure))
    assert turn is not None
    assert turn.participant_id == 1


def test_marks_come_first_and_changes_fill_the_rest_up_to_seven() -> None:
    marks = [MomentRecord(at_s=float(at), kind="mark", participant_id=None, text=f"note {at}") for at in (5, 50, 500)]
    noticed = MomentRecord(at_s=7.0, kind="shift", participant_id=1, text="began to sound angry")
    restless = talk("NNN" + "AAASSSHHHDDD" * 40)
    moments = moments_of(restless, marks=[*marks, noticed])
    assert len(moments) == MAX_MOMENTS
    assert [m.text for m in moments if m.kind == "mark"] == ["note 5", "note 50", "note 500"]
    assert [m.at_s for m in moments] == sorted(m.at_s for m in moments)


def test_the_greatest_change_keeps_its_place_beside_any_number_of_marks() -> None:
    marks = [MomentRecord(at_s=float(at), kind="mark", participant_id=None, text=f"note {at}") for at in range(20)]
    report = build_report(session(), [participant(1)], talk("NNN" + "AAAA" + "NNNHHHHHH"), marks)
    moments = key_moments(report)
    assert len(moments) == MAX_MOMENTS
    turn = turn_of(moments)
    assert turn is not None
    assert turn.emotion == "Happy"
    assert marks_beside(report, moments) == 14
    level = build_report(session(), [participant(1)], talk("NNN"), marks)
    assert len(key_moments(level)) == MAX_MOMENTS
    assert marks_beside(level, key_moments(level)) == 13


def test_small_changes_beside_a_great_one_are_left_out_beyond_three() -> None:
    small = [talk("NNNHHH", start_s=1000.0 * n, participant_id=n + 1, confidence=0.5) for n in range(5)]
    great = talk("NNN" + "A" * 20, participant_id=6)
    assert len(moments_of(*small, great)) == 3
    assert len(moments_of(*small)) == 5


def test_two_restless_hours_have_at_most_seven_moments_whatever_was_said() -> None:
    rng = random.Random(15)  # noqa: S311  # a talk, not a secret
    for _ in range(20):
        talks = [
            talk("".join(rng.choice("AHNSD?-") * rng.randint(1, 6) for _ in range(200)), participant_id=p)
            for p in (1, 2, 3)
        ]
        moments = moments_of(*talks)
        assert len(moments) <= MAX_MOMENTS
        for moment in moments:
            assert moment.windows >= 3
            assert moment.before != moment.emotion
            assert moment.held_s > 0

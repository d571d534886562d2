"""Which moments of a conversation are worth reading."""

from __future__ import annotations

import pytest

from storage import MomentRecord, SessionReport, WindowRecord
from storage.highlights import highlights, holds, shifts
from storage.report import build_report
from tests.fakes import records

pytestmark = pytest.mark.unit


def spoken(tones: str, *, participant_id: int = 1, begin_s: float = 0.0, confidence: float = 0.8) -> list[WindowRecord]:
    """A window of 3 s for each letter: A angry, H happy, N neutral, ? unclear, a dot two minutes of silence."""
    words = {"A": "Angry", "H": "Happy", "N": "Neutral", "?": "Sad"}
    found, at_s = [], begin_s
    for letter in tones:
        if letter == ".":
            at_s += 120.0
            continue
        unclear = letter == "?"
        found.append(
            records.window(
                participant_id,
                at_s,
                emotion=words[letter],
                confidence=confidence,
                unclear=unclear,
                reason="unsure" if unclear else None,
            )
        )
        at_s += 3.0
    return found


def report(*speakers: list[WindowRecord], marks: int = 0) -> SessionReport:
    people = [records.participant(number, 100 + number) for number in range(1, len(speakers) + 1)]
    moments = [MomentRecord(at_s=float(n), kind="mark", participant_id=None, text=f"note {n}") for n in range(marks)]
    return build_report(records.session(), people, [w for windows in speakers for w in windows], moments)


@pytest.mark.parametrize(
    ("tones", "held"),
    [
        ("NNNAAANNN", ["Neutral", "Angry", "Neutral"]),
        ("NNNAANNN", ["Neutral"]),
        ("NNNA?A?ANNN", ["Neutral", "Angry", "Neutral"]),
        ("NNNAA.ANNN", ["Neutral"]),
        ("NNNANAHAN", ["Neutral"]),
        ("AA", []),
        ("", []),
    ],
)
def test_a_tone_holds_for_three_clear_windows_in_a_row(tones: str, held: list[str]) -> None:
    assert [hold.emotion for hold in holds(spoken(tones))] == held


def test_a_return_to_the_usual_tone_ends_a_moment_and_is_none() -> None:
    (turn,) = shifts(1, spoken("NNNNNAAANNNNN"))
    assert (turn.at_s, turn.until_s, turn.emotion, turn.before, turn.windows) == (15.0, 24.0, "Angry", "Neutral", 3)
    assert turn.returned
    assert not turn.to_the_end


def test_who_calms_for_good_after_the_first_minutes_has_turned() -> None:
    (turn,) = shifts(1, spoken("AAANNNNNNNN"))
    assert (turn.emotion, turn.before, turn.to_the_end) == ("Neutral", "Angry", True)


def test_at_most_seven_the_longest_and_surest_in_order_of_time() -> None:
    lively = spoken("NNN" + "".join(f"{'A' * (3 + n % 4)}NNNNNNN" for n in range(20)))
    found = highlights(report(lively))
    assert 3 <= len(found) <= 7
    assert [moment.at_s for moment in found] == sorted(moment.at_s for moment in found)
    assert {moment.windows for moment in found} == {6, 5}


def test_a_short_unsure_turn_does_not_stand_beside_a_long_sure_one() -> None:
    long = spoken("NNN" + "A" * 20 + "N" * 30 + "H" * 20 + "N" * 40 + "A" * 20 + "N" * 30)
    brief = spoken("NNNNNNAAANNNNNN", participant_id=2, confidence=0.5)
    assert {moment.participant_id for moment in highlights(report(long, brief))} == {1}


def test_marks_come_first_and_never_more_than_seven() -> None:
    windows = spoken("NNNAAANNNHHHNNNAAANNN")
    assert [moment.kind for moment in highlights(report(windows, marks=9))] == ["mark"] * 7
    kinds = [moment.kind for moment in highlights(report(windows, marks=2))]
    assert kinds.count("mark") == 2
    assert "shift" in kinds


def test_nothing_turned() -> None:
    assert highlights(report(spoken("NNNNN?NN"), [])) == ()

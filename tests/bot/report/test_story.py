"""The three sentences and the line of facts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.report import Story, key_moments, story
from storage import SessionState, WindowRecord
from storage.report import build_report
from tests.bot.report.test_moments import talk
from tests.fakes.records import STARTED, participant, session

pytestmark = pytest.mark.unit

MARA = "\u2068Mara\u2069"


def told(*people: list[WindowRecord], minutes: int = 48, silent: int = 0, **changes: object) -> Story:
    windows = sorted((w for person in people for w in person), key=lambda w: w.start_s)
    persons = [participant(index + 1) for index in range(len(people) + silent)]
    ended = {"state": SessionState.ENDED, "ended_at": STARTED.replace(minute=minutes)} | changes
    report = build_report(session(**ended), persons, windows, [])
    names = {1: "Mara", 2: "Otto", 3: "Ines"}
    return story(report, names, key_moments(report), gone_at=datetime(2026, 12, 4, tzinfo=UTC))


def test_it_says_how_it_sounded_when_it_turned_and_what_was_unclear() -> None:
    mara = talk("N" * 30 + "A" * 6 + "N" * 8 + "?" * 10)
    assert told(mara).sentences == (
        "Mostly neutral.",
        f"{MARA} sounded angry from about 1:30 and calmed within a minute.",
        "19 % of the speech was unclear.",
    )


def test_every_fact_has_its_unit() -> None:
    facts = ("1 of 2 spoke", "48 min", "no audio was stored", "will be deleted on 4 December")
    assert told(talk("NNN"), silent=1).facts == facts
    assert told(talk("NNN"), talk("NNN", participant_id=2)).facts[0] == "2 people took part"


def test_a_running_session_is_told_as_one_that_runs() -> None:
    live: dict[str, Any] = {"state": SessionState.LIVE, "ended_at": None}
    assert told(**live).sentences == ("Nobody is included yet.",)
    assert told(**live).facts[:3] == ("nobody is included", "nothing heard yet", "no audio is stored")
    assert told(talk("NNN"), silent=1, **live).facts[:2] == ("1 of 2 spoke so far", "9 s")
    assert told(talk("NNN"), **live).facts[0] == "1 person included"


def test_a_session_without_anybody_does_not_say_that_somebody_was_included() -> None:
    assert told().sentences == ("Nobody chose to be included.",)
    assert told().facts[0] == "nobody took part"


def test_one_persons_results_are_not_told_as_a_conversation_of_one() -> None:
    report = build_report(session(), [participant(1)], talk("NNN"), [])
    assert story(report, {1: "Mara"}, (), alone=True).facts[0] == "the results of one person alone"


@pytest.mark.parametrize(
    ("letters", "overall"),
    [
        ("NNNNN", "All that was clear sounded neutral."),
        ("NNNNNNNA", "Mostly neutral."),
        ("NNNNNHHHHS", "More neutral than anything else, then happy."),
        ("NNNHHHSSSA", "A mix of happy, neutral and sad."),
    ],
)
def test_the_first_sentence_names_no_more_than_it_can(letters: str, overall: str) -> None:
    assert told(talk(letters)).sentences[0] == overall


def test_a_change_that_stayed_says_for_how_long() -> None:
    assert (
        told(talk("S" * 10 + "H" * 60)).sentences[1]
        == f"{MARA} sounded happy from about 0:30, for about three minutes."
    )
    assert told(talk("S" * 10 + "H" * 5)).sentences[1] == f"{MARA} sounded happy from about 0:30, for about 15 seconds."


def test_a_change_that_went_is_said_to_be_over() -> None:
    assert told(talk("H" * 40 + "S" * 30 + "H" * 40)).sentences[1] == (
        f"{MARA} sounded sad from about 2:00 and was back to happy after about two minutes."
    )


def test_a_level_talk_says_so_and_one_without_figures_invents_none() -> None:
    assert told(talk("NNNN")).sentences[1:] == (
        "Nobody's tone changed for long.",
        "Nearly all of the speech was clear.",
    )
    assert told(talk("????")).sentences == ("All of it was unclear: no speech was clear enough to name a tone.",)
    assert told([]).sentences == ("Nobody who was included spoke long enough to be heard.",)
    live = told([], state=SessionState.LIVE, ended_at=None)
    assert live.sentences == ("Nobody who is included has spoken yet.",)

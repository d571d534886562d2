"""Who has to agree before a recording is analysed: every case at once."""

from __future__ import annotations

from itertools import product

import pytest

from bot.commands.whose_voice import STATEMENT_S, Case, Refusals, Statements, Verdict, decide
from storage.records import Decision

pytestmark = pytest.mark.unit

AUTHOR, OTHER = 1, 2
CASES = [
    Case(asker_id=asker, author_id=AUTHOR, own_voice=own, forwarded=forwarded, author_standing=standing, stated=stated)
    for asker, own, forwarded, standing, stated in product(
        (AUTHOR, OTHER), (True, False), (True, False), (None, *Decision), (True, False)
    )
    if not (own and forwarded)
]


def test_nobody_who_opted_out_is_analysed_through_their_own_messages() -> None:
    refused = {Verdict.ASKER_OPTED_OUT, Verdict.AUTHOR_OPTED_OUT}
    assert {decide(case) for case in CASES if case.author_standing is Decision.OPT_OUT} == refused


def test_somebody_elses_voice_message_takes_its_authors_word_and_nobody_elses() -> None:
    for case in CASES:
        if case.own_voice and case.asker_id != AUTHOR and decide(case) is Verdict.ANALYSE:
            assert case.author_standing is Decision.OPT_IN


def test_a_recording_of_anybodys_voice_takes_the_askers_word() -> None:
    for case in CASES:
        if not case.own_voice and decide(case) is Verdict.ANALYSE:
            assert case.stated


def test_a_statement_holds_for_a_day_and_for_its_person() -> None:
    statements = Statements()
    statements.make(AUTHOR, 100.0)
    assert statements.holds(AUTHOR, 100.0 + STATEMENT_S - 1)
    assert not statements.holds(AUTHOR, 100.0 + STATEMENT_S)
    assert not statements.holds(OTHER, 100.0)


def test_a_no_is_for_one_message_and_one_asker() -> None:
    refusals = Refusals()
    refusals.note(10, OTHER)
    assert refusals.said(10, OTHER)
    assert not refusals.said(11, OTHER)
    assert not refusals.said(10, AUTHOR)

"""Nobody is included by default, and no sequence of events changes that but their own yes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.listening.consent import Answer, ConsentBook
from storage.records import Decision

pytestmark = pytest.mark.unit

ME = 7


def test_arrival_alone_includes_nobody() -> None:
    book = ConsentBook()
    assert book.arrive(ME, standing=None) is Answer.EXCLUDED
    assert not book.included(ME)
    assert book.excluded_ids() == [ME]


def test_an_unknown_sender_is_excluded() -> None:
    assert not ConsentBook().included(ME)
    assert ConsentBook().include(ME) is Answer.NOT_PRESENT


def test_pressing_the_button_includes_at_once_and_only_once() -> None:
    book = ConsentBook()
    book.arrive(ME, standing=None)
    assert book.include(ME) is Answer.INCLUDED
    assert book.include(ME) is Answer.ALREADY_INCLUDED
    assert book.included_ids() == [ME]


def test_leaving_out_takes_effect_at_once() -> None:
    book = ConsentBook()
    book.arrive(ME, standing=None)
    book.include(ME)
    assert book.exclude(ME) is Answer.EXCLUDED
    assert not book.included(ME)
    assert book.exclude(ME) is Answer.ALREADY_EXCLUDED


def test_a_standing_opt_in_includes_on_arrival() -> None:
    book = ConsentBook()
    assert book.arrive(ME, standing=Decision.OPT_IN) is Answer.INCLUDED
    assert book.included(ME)


def test_a_standing_opt_out_wins_over_the_button() -> None:
    book = ConsentBook()
    book.arrive(ME, standing=Decision.OPT_OUT)
    assert book.include(ME) is Answer.OPTED_OUT
    assert not book.included(ME)


def test_an_opt_out_during_the_session_excludes_at_once() -> None:
    book = ConsentBook()
    book.arrive(ME, standing=None)
    book.include(ME)
    assert book.decide(ME, Decision.OPT_OUT) is Answer.EXCLUDED
    assert not book.included(ME)


def test_an_opt_in_during_the_session_does_not_include_in_it() -> None:
    book = ConsentBook()
    book.arrive(ME, standing=None)
    book.decide(ME, Decision.OPT_IN)
    assert not book.included(ME)


def test_nothing_is_taken_from_somebody_who_left_and_their_word_holds_when_back() -> None:
    book = ConsentBook()
    book.arrive(ME, standing=None)
    book.include(ME)
    book.depart(ME)
    assert not book.included(ME)
    assert book.arrive(ME, standing=None) is Answer.INCLUDED


def test_leaving_out_while_away_holds_too() -> None:
    book = ConsentBook()
    book.arrive(ME, standing=Decision.OPT_IN)
    book.depart(ME)
    book.exclude(ME)
    assert book.arrive(ME, standing=Decision.OPT_IN) is Answer.EXCLUDED


def test_bots_are_never_included() -> None:
    book = ConsentBook()
    assert book.arrive(ME, standing=Decision.OPT_IN, bot=True) is Answer.EXCLUDED
    assert book.include(ME) is Answer.NOT_PRESENT
    assert book.present_ids() == []


def test_absentees_are_those_whose_departure_was_missed() -> None:
    book = ConsentBook()
    book.arrive(1, standing=None)
    book.arrive(2, standing=None)
    assert book.absentees([2, 3]) == [1]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["arrive", "depart", "include", "exclude", "opt_out", "opt_in", "ask"]), st.integers(1, 3)
    ),
    max_size=40,
)


@given(STEPS)
def test_included_needs_presence_and_an_own_yes_since_the_last_no(steps: list[tuple[str, int]]) -> None:
    """Against a model that knows only the last words of each person."""
    book = ConsentBook()
    present: set[int] = set()
    yes: set[int] = set()
    out: set[int] = set()
    for step, who in steps:
        if step == "arrive":
            book.arrive(who, standing=None)
            present.add(who)
        elif step == "depart":
            book.depart(who)
            present.discard(who)
        elif step == "include":
            book.include(who)
            if who in present and who not in out:
                yes.add(who)
        elif step == "exclude":
            book.exclude(who)
            yes.discard(who)
        else:
            standing = {"opt_out": Decision.OPT_OUT, "opt_in": Decision.OPT_IN}.get(step)
            if book.decide(who, standing) is not Answer.NOT_PRESENT:
                out.discard(who)
                if standing is Decision.OPT_OUT:
                    out.add(who)
                    yes.discard(who)
        for user in (1, 2, 3):
            assert book.included(user) == (user in present and user in yes and user not in out)

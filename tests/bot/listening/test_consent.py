"""Nobody is included by default, and no sequence of events changes that but their own yes, the last one pressed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.listening.attendance import Attendance
from bot.listening.consent import KEPT_PRESSES, ConsentBook, PressResult
from bot.listening.live import LiveBus
from storage.records import Decision
from tests.fakes.records import participant, session

pytestmark = pytest.mark.unit

ME = 7


class Book(ConsentBook):
    """A book whose presses come one after the other."""

    last = 0

    def come(self, user_id: int, standing: Decision | None = None) -> bool:
        self.arrive(user_id)
        self.learn(user_id, standing)
        return self.included(user_id)

    def yes(self, user_id: int) -> PressResult:
        return self.include(user_id, self.now())

    def no(self, user_id: int) -> PressResult:
        return self.exclude(user_id, self.now())

    def stand(self, user_id: int, standing: Decision | None) -> bool:
        self.decide(user_id, standing, self.now())
        return self.included(user_id)

    def now(self) -> int:
        self.last += 1
        return self.last


def test_arrival_alone_includes_nobody() -> None:
    book = Book()
    assert not book.come(ME)
    assert book.excluded_ids() == [ME]


def test_an_unknown_sender_is_excluded() -> None:
    assert not Book().included(ME)
    assert Book().yes(ME) is PressResult.NOT_PRESENT


def test_pressing_the_button_includes_at_once_and_only_once() -> None:
    book = Book()
    book.come(ME)
    assert book.yes(ME) is PressResult.INCLUDED
    assert book.yes(ME) is PressResult.ALREADY_INCLUDED
    assert book.included_ids() == [ME]


def test_leaving_out_takes_effect_at_once() -> None:
    book = Book()
    book.come(ME)
    book.yes(ME)
    assert book.no(ME) is PressResult.EXCLUDED
    assert not book.included(ME)
    assert book.no(ME) is PressResult.ALREADY_EXCLUDED


def test_a_yes_that_is_handled_after_a_later_no_does_not_include() -> None:
    book = Book()
    book.come(ME)
    yes, no = book.now(), book.now()
    assert book.exclude(ME, no) is PressResult.ALREADY_EXCLUDED
    assert book.include(ME, yes) is PressResult.ALREADY_EXCLUDED
    assert not book.included(ME)


def test_a_no_that_is_handled_after_a_later_yes_does_not_exclude() -> None:
    book = Book()
    book.come(ME)
    no, yes = book.now(), book.now()
    assert book.include(ME, yes) is PressResult.INCLUDED
    assert book.exclude(ME, no) is PressResult.ALREADY_INCLUDED
    assert book.included(ME)


def test_a_standing_opt_in_includes_on_arrival() -> None:
    book = Book()
    assert book.come(ME, Decision.OPT_IN)
    assert book.by_standing(ME)


def test_a_standing_opt_out_wins_over_the_button() -> None:
    book = Book()
    book.come(ME, Decision.OPT_OUT)
    assert book.yes(ME) is PressResult.OPTED_OUT
    assert not book.included(ME)


def test_an_opt_out_during_the_session_excludes_at_once_and_before_anybody_knew_them() -> None:
    book = Book()
    book.come(ME)
    book.yes(ME)
    assert not book.stand(ME, Decision.OPT_OUT)
    book.stand(ME + 1, Decision.OPT_OUT)
    assert not book.come(ME + 1, Decision.OPT_IN), "what was read before they opted out does not count"


def test_an_opt_in_during_the_session_includes_who_is_present() -> None:
    book = Book()
    book.come(ME)
    assert book.stand(ME, Decision.OPT_IN)
    assert not book.stand(ME + 1, Decision.OPT_IN)
    book.no(ME)
    assert not book.included(ME)


def test_to_be_asked_again_ends_what_only_the_standing_answer_began() -> None:
    book = Book()
    book.come(ME, Decision.OPT_IN)
    assert not book.stand(ME, None)
    book.come(ME + 1, Decision.OPT_IN)
    book.yes(ME + 1)
    assert book.stand(ME + 1, None)


def test_nothing_is_taken_from_somebody_who_left_and_their_word_holds_when_back() -> None:
    book = Book()
    book.come(ME)
    book.yes(ME)
    book.depart(ME)
    assert not book.included(ME)
    assert book.wants_in(ME)
    assert book.come(ME)


def test_leaving_out_while_away_holds_too() -> None:
    book = Book()
    book.come(ME, Decision.OPT_IN)
    book.depart(ME)
    book.no(ME)
    assert not book.come(ME, Decision.OPT_IN)


def test_absentees_are_those_whose_departure_was_missed() -> None:
    book = Book()
    book.come(1)
    book.come(2)
    assert book.absentees([2, 3]) == [1]


def test_a_decision_that_could_not_be_carried_out_was_never_made() -> None:
    book = Book()
    book.come(ME)
    book.include(ME, 5)
    book.retract(ME, 5)
    assert not book.included(ME)


def test_the_memory_of_a_persons_presses_is_bounded() -> None:
    book = Book()
    book.come(ME)
    for _ in range(10 * KEPT_PRESSES):
        book.yes(ME)
        book.no(ME)
    book.yes(ME)
    assert book.included(ME)
    assert len(book._people[ME].presses) == KEPT_PRESSES
    assert book.exclude(ME, 1) is PressResult.ALREADY_INCLUDED


KINDS = ("include", "exclude", "opt_out", "opt_in", "ask")
STANDING = {"opt_out": Decision.OPT_OUT, "opt_in": Decision.OPT_IN, "ask": None}


def last_word(kinds: list[str]) -> bool:
    """Whether a person who pressed these, in this order, is included: a model in three variables."""
    opted_out = button = standing = False
    for kind in kinds:
        if kind == "include":
            button = not opted_out
        elif kind == "exclude":
            button = standing = False
        else:
            opted_out, standing = kind == "opt_out", kind == "opt_in"
            button = button and not opted_out
    return button or standing


class SlowStorage:
    """Writes rows, each after as many turns of the event loop as it is told."""

    def __init__(self, delays: list[int]) -> None:
        self._delays = iter(delays)
        self.included: set[int] = set()

    async def include_participant(self, session_id: str, user_id: int) -> Any:
        await turns(next(self._delays, 0))
        self.included.add(user_id)
        return participant(user_id, user_id)

    async def withdraw_participant(self, session_id: str, user_id: int) -> None:
        await turns(next(self._delays, 0))
        self.included.discard(user_id)

    async def standing_consent(self, guild_id: int, user_id: int) -> None:
        return None


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


DELAY = st.integers(0, 6)


@given(st.lists(st.tuples(st.sampled_from(KINDS), DELAY), max_size=12), st.lists(DELAY, max_size=12))
def test_whatever_the_delays_the_last_press_counts_and_leaving_takes_effect_at_once(
    presses: list[tuple[str, int]], storage_delays: list[int]
) -> None:
    asyncio.run(play(presses, storage_delays))


async def play(presses: list[tuple[str, int]], storage_delays: list[int]) -> None:
    storage = SlowStorage(storage_delays)

    async def changed() -> None:
        return None

    app: Any = SimpleNamespace(storage=storage, bus=LiveBus())
    people = Attendance(
        session(), app, released=lambda _: None, changed=changed, by_standing=lambda _: None, name_of=lambda _: None
    )
    await people.arrive(ME, bot=False)
    handled: list[int] = []

    async def decide(number: int, kind: str) -> None:
        handled.append(number)
        if kind == "include":
            await people.include(ME, number)
        elif kind == "exclude":
            await people.exclude(ME, number)
        else:
            await people.decide(ME, STANDING[kind], number)

    async def handle(number: int, kind: str, delay: int) -> None:
        await turns(delay)
        task = asyncio.create_task(decide(number, kind), name=f"press-{number}")
        await turns(1)
        if not last_word([presses[n - 1][0] for n in sorted(handled)]):
            assert not people.consents(ME), "out at once, whatever is still being written"
        await task

    await asyncio.gather(*(handle(n, kind, delay) for n, (kind, delay) in enumerate(presses, 1)))
    included = last_word([kind for kind, _ in presses])
    assert people.consents(ME) is included
    assert (ME in storage.included) is included

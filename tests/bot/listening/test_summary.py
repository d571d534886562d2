"""The summary: for one, thirty and no speakers, with what people wrote kept harmless, and within Discord's limits."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cards import Card, embed_of
from bot.listening.inert import fitting, inert
from bot.listening.summary import summarise, summary_card
from bot.report.percents import whole_percents
from bot.texts import LANGUAGES, english, of
from storage import MomentRecord, SessionReport
from storage.report import build_report
from tests.fakes.records import STARTED, participant, session, window

pytestmark = pytest.mark.unit

EVIL = (
    "see https://evil.example/x [here](http://evil.example) <@123456789012345678> @everyone **bold** \u202e" + "x" * 200
)


def report(people: int, *, marks: int = 0, counters: dict[str, int] | None = None) -> SessionReport:
    persons = [participant(number, 10**18 + number) for number in range(1, people + 1)]
    windows = [window(number, 3.0 * number, unclear=number % 3 == 0) for number in range(1, people + 1)]
    windows += [window(number, 500.0 + 3 * number, emotion="Happy") for number in range(1, people + 1)]
    moments = [MomentRecord(at_s=60.0 * n, kind="mark", participant_id=None, text=EVIL) for n in range(marks)]
    ended = session(state="ended", end_reason="stopped", counters=counters or {}, labels=("Angry", "Happy"))
    return build_report(ended, persons, sorted(windows, key=lambda w: w.start_s), moments)


def fits(card: Card) -> None:
    embed = embed_of(card)
    assert len(embed.description or "") <= 4096
    assert all(0 < len(field.value or "") <= 1024 for field in embed.fields)
    assert len(embed) <= 6000


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("people", [0, 1, 30, 99])
def test_for_one_thirty_and_no_speakers(people: int, language: str) -> None:
    texts = of(language)
    card = summary_card(report(people, marks=6), texts, report_url="https://here.example/sessions/x")
    fits(card)
    listed = len(re.findall(r"<@\d+>", card.text))
    if people == 0:
        assert texts.SUMMARY_EMPTY in card.text
    elif listed < people:
        assert texts("AND_MORE", n=people - listed) in card.text
    assert listed == min(people, 30)


def test_every_persons_shares_sum_to_a_hundred_with_unclear_among_them() -> None:
    card = summary_card(report(3), english, report_url=None)
    lines = [line for line in card.text.splitlines() if "%" in line]
    assert len(lines) == 3
    for line in lines:
        assert sum(map(int, re.findall(r"(\d+) %", line))) == 100
    assert english.tone(None) in lines[2]


def test_who_withdrew_is_in_no_figure_either() -> None:
    kept, left = participant(1, 10**18 + 1), replace(participant(3, 10**18 + 3), withdrawn_at=STARTED)
    people = [kept, participant(2, 10**18 + 2), left]
    windows = [window(1), window(3, 1.0, emotion="Happy"), window(2, 6.0)]
    of_all = build_report(session(state="ended", labels=("Angry", "Happy")), people, windows, [])
    assert (of_all.overlap_s, set(of_all.shares)) == (2.0, {"Angry", "Happy"})
    card = summary_card(of_all, english, report_url=None)
    assert f"<@{left.user_id}>" not in card.text
    said = dict(card.fields)[english.SHARES_TITLE]
    assert english.tone("Happy") not in said
    assert english("OVERLAP", time=english.duration(0)) in said


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6), st.floats(0, 1))
def test_percents_sum_to_a_hundred_and_are_off_by_less_than_one(weights: list[float], unclear: float) -> None:
    shares = {str(number): weight / sum(weights) for number, weight in enumerate(weights)}
    percents = whole_percents(shares, unclear)
    assert sum(percent for _, percent in percents) == 100
    exact = [100 * share * (1 - unclear) for share in shares.values()] + [100 * unclear]
    assert all(abs(percent - value) < 1.0001 for (_, percent), value in zip(percents, exact, strict=True))


def test_six_long_marks_with_links_and_mentions_destroy_nothing() -> None:
    card = summary_card(report(1, marks=6), english, report_url=None)
    fits(card)
    said = dict(card.fields)[english.MOMENTS_TITLE]
    assert len(said.splitlines()) >= 6
    assert not re.search(r"https?://|<@|@everyone|\u202e|\]\(", said)


def test_a_summary_without_figures_says_why_and_promises_none() -> None:
    left = report(2)
    gone = tuple(replace(p, participant=replace(p.participant, withdrawn_at=STARTED)) for p in left.participants)
    for of_whom, said in (
        (replace(left, participants=gone), english.SUMMARY_ALL_LEFT),
        (report(0), english.SUMMARY_EMPTY),
    ):
        card = summary_card(of_whom, english, report_url=None)
        assert said in card.text
        assert english.SUMMARY_NO_LINK not in dict(card.fields).values()
        assert (
            "https://here.example"
            in dict(summary_card(of_whom, english, report_url="https://here.example").fields).values()
        )


def test_a_figure_and_its_percent_sign_stay_in_one_line() -> None:
    embed = embed_of(summary_card(report(3), english, report_url=None))
    said = [embed.description or "", *(field.value or "" for field in embed.fields)]
    assert sum(text.count("\u00a0%") for text in said) >= 4
    assert not any(" %" in text for text in said)


def test_at_most_seven_moments() -> None:
    said = dict(summary_card(report(1, marks=20), english, report_url=None).fields)[english.MOMENTS_TITLE]
    assert said.splitlines()[-2].startswith("**7**")
    assert said.splitlines()[-1] == english("AND_MORE", n=13)


@given(st.text(max_size=400))
def test_inert_text_is_one_line_and_bounded(text: str) -> None:
    made = inert(text, 80)
    assert len(made.splitlines()) <= 1
    assert len(made) <= 80 * 3
    assert "<@" not in made
    assert "://" not in made


def test_lines_that_do_not_fit_are_counted() -> None:
    lines = fitting(["x" * 90] * 20, 1000, english).splitlines()
    assert lines[-1] == english("AND_MORE", n=20 - (len(lines) - 1))
    assert len("\n".join(lines)) <= 1000


async def test_a_name_that_cannot_be_drawn_is_replaced_by_a_pseudonym_that_the_text_explains() -> None:
    names = {10**18 + 1: "Mara", 10**18 + 2: "山田 太郎"}
    made = summarise(report(2), english, names, report_url=None)
    mara, yamada = (line for line in made.card.text.splitlines() if "<@" in line)
    assert "Speaker" not in mara
    assert english("SUMMARY_DRAWN_AS", who=f"<@{10**18 + 2}>", name="Speaker 2") in yamada
    assert await made.picture() is not None


async def test_nobody_who_spoke_gets_no_picture() -> None:
    assert await summarise(report(0), english, {}, report_url=None).picture() is None


def test_what_was_left_out_is_said_with_its_reason() -> None:
    counters = {"people_not_included": 2, "windows_too_short": 3, "predictions_lost": 1}
    said = dict(summary_card(report(1, counters=counters), english, report_url=None).fields)[english.LEFT_OUT_TITLE]
    assert said.splitlines() == [
        english("LEFT_OUT_PEOPLE", n=2),
        english("LEFT_OUT_SHORT", n=3),
        english("LEFT_OUT_LOST", n=1),
    ]
    assert english.LEFT_OUT_TITLE not in dict(summary_card(report(1), english, report_url=None).fields)


def test_without_an_address_that_opens_it_says_how_to_get_the_figures() -> None:
    assert dict(summary_card(report(1), english, report_url=None).fields)[english.SUMMARY_REPORT] == (
        english.SUMMARY_NO_LINK
    )

"""The panel's words: everybody's state in words, never by an emoji or a colour alone, never a name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import discord
import pytest

from bot.cards import Card, embed_of
from bot.listening.aggregate import Tone
from bot.listening.board import MAX_LISTED, Snapshot, ended_card, panel_card
from bot.listening.ends import EndReason
from bot.texts import english as texts
from bot.voice.states import LinkState, Reason

pytestmark = pytest.mark.unit


def snapshot(**changes: Any) -> Snapshot:
    values: dict[str, Any] = {
        "channel_id": 20,
        "started_at": datetime(2026, 3, 2, 20, 0, tzinfo=UTC),
        "included": [],
        "excluded": [],
        "link": LinkState.LISTENING,
        "model": "default",
        "report_url": "http://here/sessions/x",
    }
    return Snapshot(**values | changes)


def card_of(now: Snapshot) -> Card:
    return panel_card(now, texts)


def tone(emotion: str = "Angry", confidence: float = 0.71, *, unclear: bool = False, until: float = 10.0) -> Tone:
    return Tone(emotion=emotion, confidence=confidence, unclear=unclear, heard_until_s=until)


def test_each_state_of_a_person_is_said_in_words() -> None:
    card = card_of(
        snapshot(
            included=[(1, tone()), (2, tone(unclear=True)), (3, None), (4, tone("Sad", until=0.0))],
            excluded=[5],
            now_s=31.0,
        )
    )
    lines = card.text.splitlines()
    assert any("<@1> sounds **angry**" in line and "71 %" in line for line in lines)
    assert any("<@2> sounds unclear" in line for line in lines)
    assert any(f"<@3> {texts.QUIET}" in line for line in lines)
    assert any("<@4> is quiet; last sounded sad" in line for line in lines)
    assert "1 person in the channel is not included" in card.text
    assert "<@5>" not in str(card)
    assert card.buttons


def test_it_says_whose_voice_is_still_new() -> None:
    lines = card_of(snapshot(included=[(1, tone()), (2, tone())], new_voices=[2])).text.splitlines()
    assert [texts.STILL_NEW in line for line in lines if "<@" in line] == [False, True]


def test_it_says_sounds_and_never_is_an_emotion() -> None:
    for emotion in ("Angry", "Happy", "Sad", "Disgust", "Neutral"):
        text = card_of(snapshot(included=[(1, tone(emotion))])).text.lower()
        assert "sounds **" in text
        assert " is angry" not in text
        assert " is sad" not in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"link": LinkState.RECONNECTING}, "reconnecting"),
        ({"link": LinkState.CANNOT_DECRYPT}, "try another region"),
        ({"deafened": True}, "deafened by a moderator"),
        ({"alone": True}, "Everybody left"),
        ({"link_reason": Reason.UNPLACED}, "somebody whom I cannot place; leaving and joining the channel helps"),
        ({"link_reason": Reason.OVERLOADED}, "this machine is too busy to hear everybody"),
    ],
)
def test_trouble_is_said(changes: dict[str, Any], words: str) -> None:
    calm, troubled = card_of(snapshot()), card_of(snapshot(**changes))
    assert words in str(troubled.fields)
    assert troubled.colour != calm.colour
    assert words not in str(calm.fields)


def test_several_troubles_have_a_line_each() -> None:
    changes: dict[str, Any] = {"link": LinkState.RECONNECTING, "pressed": True, "alone": True, "unsaved": True}
    said = dict(card_of(snapshot(**changes)).fields)[texts.FIELD_STATE]
    connection = texts("PANEL_LINK", state=texts.LINK_STATES["reconnecting"])
    assert said.splitlines() == [f"• {one}" for one in (connection, texts.UNSAVED, texts.PRESSED, texts.PANEL_ALONE)]


def test_the_same_state_makes_the_same_card() -> None:
    assert card_of(snapshot(included=[(1, tone())], now_s=1)) == card_of(snapshot(included=[(1, tone())], now_s=2))


def test_a_crowd_fits_discords_limits() -> None:
    card = card_of(snapshot(included=[(10**18 + n, tone()) for n in range(99)], excluded=range(10**18, 10**18 + 99)))
    embed = embed_of(card)
    assert isinstance(embed, discord.Embed)
    assert embed.description is not None
    assert len(embed.description) <= 4096
    assert all(len(field.value or "") <= 1024 for field in embed.fields)
    assert len(embed) <= 6000
    assert texts("AND_MORE", n=99 - MAX_LISTED) in embed.description


def test_every_reason_for_an_end_has_words() -> None:
    assert set(EndReason) | {"process_ended"} == set(texts.END_REASONS)
    card = ended_card(texts, channel_id=20, reason="time_limit", duration_s=3725, report_url=None)
    assert "1 h 2 min" in card.text
    assert "longest time" in card.text


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 s"), (59.6, "1 min"), (185, "3 min 5 s"), (3600, "1 h 0 min")])
def test_durations_read_well(seconds: float, words: str) -> None:
    assert texts.duration(seconds) == words


def test_results_that_are_not_saved_and_a_tone_of_all_are_said_in_words() -> None:
    card = panel_card(snapshot(included=[(1, tone())], unsaved=True, overall="Happy"), texts)
    assert texts.UNSAVED in dict(card.fields)[texts.FIELD_STATE]
    assert texts("PANEL_OVERALL", word=texts.tone("Happy")) in card.text
    assert texts.UNSAVED not in str(panel_card(snapshot(), texts))


def test_a_faster_model_that_answers_is_said_in_words() -> None:
    card = panel_card(snapshot(included=[(1, tone())], pressed=True), texts)
    assert texts.PRESSED in dict(card.fields)[texts.FIELD_STATE]
    assert texts.PRESSED not in str(panel_card(snapshot(), texts))


def test_who_is_unclear_is_said_with_the_confidence() -> None:
    card = panel_card(snapshot(included=[(1, tone(unclear=True, confidence=0.34))]), texts)
    assert texts("PERSON_UNCLEAR", who="<@1>", word="angry", share="34 %") in card.text


def test_who_is_included_by_a_standing_answer_is_marked() -> None:
    lines = panel_card(snapshot(included=[(1, tone()), (2, tone())], by_standing={2}), texts).text.splitlines()
    assert [texts.PERSON_BY_STANDING in line for line in lines if "<@" in line] == [False, True]

"""What a report says first: three sentences and one line, made of its figures. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from bot.pictures.palette import tone
from bot.pictures.times import clock, spell
from bot.web import words
from storage.highlights import SHIFT, Highlight
from storage.records import SessionReport, SessionState

MOSTLY: Final = 0.6
"""From this share of the clear talk on, one tone is named alone."""
PARTLY: Final = 0.2
"""From this share on, a second tone is named beside it."""


def sentences(
    report: SessionReport, moments: Sequence[Highlight], names: Mapping[int, str], *, unclear_share: float
) -> list[str]:
    """How it sounded, when it turned, how much was unclear; one sentence each. Empty before the first window."""
    if not any(person.windows for person in report.participants):
        return []
    live = report.session.state is SessionState.LIVE
    return [_overall(report.shares), _turn(moments, names, live=live), words.unclear_of_speech(unclear_share)]


def line(report: SessionReport, expires_at: datetime | None) -> list[str]:
    """The facts beside them: who took part, how long, what was kept, and until when."""
    spoke = sum(bool(person.windows) for person in report.participants)
    gone = words.gone_on(expires_at.astimezone(UTC)) if expires_at is not None else words.GONE_LATER
    return [words.took_part(spoke, len(report.participants)), spell(report.duration_s), words.NO_AUDIO, gone]


def moment_text(moment: Highlight, names: Mapping[int, str], *, live: bool) -> str:
    """A moment as a sentence without its full stop."""
    if moment.kind != SHIFT or moment.emotion is None:
        return moment.text or words.MARKED
    name = names.get(moment.participant_id or 0, words.SOMEBODY)
    return f"{words.began_to_sound(name, tone(moment.emotion).word)} {_how_long(moment, live=live)}"


def _overall(shares: Mapping[str, float]) -> str:
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    if not ranked:
        return words.ALL_UNCLEAR
    first, *others = ranked
    second = others[0] if others and others[0][1] >= PARTLY else None
    if first[1] >= MOSTLY:
        return words.mostly(tone(first[0]).word)
    if second is None:
        return words.often(tone(first[0]).word)
    return words.mixed(tone(first[0]).word, tone(second[0]).word)


def _turn(moments: Sequence[Highlight], names: Mapping[int, str], *, live: bool) -> str:
    turns = [moment for moment in moments if moment.kind == SHIFT and moment.emotion is not None]
    if not turns:
        return words.NO_TURN
    best = max(turns, key=lambda moment: (moment.worth, -moment.at_s))
    name = names.get(best.participant_id or 0, words.SOMEBODY)
    began = words.began_to_sound(name, tone(best.emotion or "").word)
    return f"{began} {words.around(clock(best.at_s))} {_how_long(best, live=live)}."


def _how_long(moment: Highlight, *, live: bool) -> str:
    lasted_s = (moment.until_s or moment.at_s) - moment.at_s
    if moment.to_the_end:
        return words.STILL_DOES if live else words.TO_THE_END
    if moment.returned and moment.before is not None:
        calmed = moment.emotion == "Angry" and moment.before == "Neutral"
        return words.calmed(lasted_s) if calmed else words.back_to(tone(moment.before).word, lasted_s)
    return words.for_about(lasted_s)

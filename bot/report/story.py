"""A session in three sentences and one line of facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bot.pictures.palette import tone
from bot.pictures.times import clock, spell
from bot.report.moments import KeyMoment, turn_of
from storage.records import SessionReport, SessionState

MOSTLY: Final = 0.6
PARTLY: Final = 0.4
FEW_PERCENT: Final = 3
"""Below this, the unclear part is not worth its figure."""
CALMED: Final = frozenset({"Angry", "Disgust"})
"""Tones of which people say that they calm down."""

_WORDS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    sentences: tuple[str, ...]
    """How it sounded, when it turned, and how much of it was unclear. Names stand in Unicode isolates."""
    facts: tuple[str, ...]
    """Short facts with their units, to be set in one line."""


def story(
    report: SessionReport,
    names: Mapping[int, str],
    moments: Sequence[KeyMoment],
    *,
    gone_at: datetime | None = None,
    alone: bool = False,
) -> Story:
    """The session in words. `names` maps participant ids; `gone_at` is when it will be deleted.

    `alone`: the report holds one person's results out of a conversation of several.
    """
    return Story(
        sentences=_sentences(report, names, turn_of(moments)),
        facts=tuple(_facts(report, gone_at, alone=alone)),
    )


def isolated(name: str) -> str:
    """A name between isolates: one in Arabic or Hebrew must not turn the sentence around it."""
    return f"\u2068{name}\u2069"


def _sentences(report: SessionReport, names: Mapping[int, str], turn: KeyMoment | None) -> tuple[str, ...]:
    live = report.session.state is SessionState.LIVE
    if not report.participants:
        return ("Nobody is included yet.",) if live else ("Nobody chose to be included.",)
    if not any(person.windows for person in report.participants):
        if live:
            return ("Nobody who is included has spoken yet.",)
        return ("Nobody who was included spoke long enough to be heard.",)
    if not report.shares:
        return ("All of it was unclear: no speech was clear enough to name a tone.",)
    return (_overall(report), _turning(names, turn), _unclear(report))


def _overall(report: SessionReport) -> str:
    ranked = [(tone(label).word, share) for label, share in report.shares.items()]
    word, share = ranked[0]
    if share >= MOSTLY or len(ranked) == 1:
        return f"Mostly {word}." if share < 0.995 else f"All that was clear sounded {word}."
    if share >= PARTLY:
        return f"More {word} than anything else, then {ranked[1][0]}."
    return f"A mix of {_and([word for word, _ in ranked[:3]])}."


def _turning(names: Mapping[int, str], turn: KeyMoment | None) -> str:
    if turn is None or turn.emotion is None or turn.participant_id is None:
        return "Nobody's tone changed for long."
    name = isolated(names.get(turn.participant_id, "Somebody"))
    sentence = f"{name} sounded {tone(turn.emotion).word} from about {clock(turn.at_s)}"
    if turn.returned:
        calmed = turn.emotion in CALMED and turn.before == "Neutral"
        back = "calmed" if calmed else f"was back to {tone(turn.before).word}"
        return f"{sentence} and {back} {_within(turn.held_s)}."
    return f"{sentence}, for {_about(turn.held_s)}."


def _unclear(report: SessionReport) -> str:
    talk_s = sum(person.talk_s for person in report.participants)
    unclear_s = sum(person.talk_s * person.unclear_share for person in report.participants)
    percent = round(100 * unclear_s / talk_s) if talk_s else 0
    if percent < FEW_PERCENT:
        return "Nearly all of the speech was clear."
    return f"{percent} % of the speech was unclear."


def _facts(report: SessionReport, gone_at: datetime | None, *, alone: bool) -> list[str]:
    live = report.session.state is SessionState.LIVE
    lasted = "nothing heard yet" if live and not report.duration_s else spell(report.duration_s)
    who = "the results of one person alone" if alone else _who(report, live=live)
    facts = [who, lasted, "no audio is stored" if live else "no audio was stored"]
    if gone_at is not None:
        facts.append(f"will be deleted on {gone_at.day} {gone_at:%B}")
    return facts


def _who(report: SessionReport, *, live: bool) -> str:
    included = len(report.participants)
    spoke = sum(bool(person.windows) for person in report.participants)
    if not included:
        return "nobody is included" if live else "nobody took part"
    if spoke != included:
        return f"{spoke} of {included} spoke{' so far' if live else ''}"
    return f"{included} {'person' if included == 1 else 'people'} {'included' if live else 'took part'}"


def _within(seconds: float) -> str:
    if seconds <= 60:
        return "within a minute"
    return f"after {_about(seconds)}"


def _about(seconds: float) -> str:
    if seconds < 50:
        return f"about {max(5, 5 * round(seconds / 5))} seconds"
    minutes = max(1, round(seconds / 60))
    number = _WORDS[minutes] if minutes < len(_WORDS) else str(minutes)
    return "about a minute" if minutes == 1 else f"about {number} minutes"


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"

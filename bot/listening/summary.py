"""The summary after a session: figures of the stored report, in words and as a picture.

All figures come from `storage.report`, the same as the web page's. Speakers stand in the order in which they were
included: nobody is ranked. Whoever withdrew is left out of the message. What people wrote in marks is shown as it is,
without becoming a link or a mention, and nothing grows beyond what Discord takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from bot.cards import COLOUR, Buttons, Card
from bot.listening.inert import fitting, inert
from bot.listening.surface import Draw, Picture
from bot.pictures import palette
from bot.pictures.names import writable
from bot.pictures.words import MAX_SPEAKERS, Words
from bot.report import KeyMoment, key_moments, marks_beside
from bot.report.percents import whole_percents
from bot.texts import Texts
from storage.records import MomentRecord, ParticipantReport, SessionReport
from storage.report import overlap_s, shares, windows_in_order

MAX_LISTED: Final = 30
PEOPLE_CHARS: Final = 3_500
"""Of the 4,096 that Discord takes."""
FIELD_CHARS: Final = 1_000
"""Of 1,024."""
MARK_CHARS: Final = 80

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    card: Card
    picture: Draw
    """Draws it: None where nobody spoke, or where it fails."""


def summarise(report: SessionReport, texts: Texts, names: Mapping[int, str], *, report_url: str | None) -> Summary:
    """The message about a session. `names` are what people were called, by user id."""
    whole, report = report, of_those_who_stayed(report)
    called = {person.participant.id: names.get(person.participant.user_id, "") for person in report.participants}
    card = summary_card(whole, texts, report_url=report_url, called=called)

    async def picture() -> Picture | None:
        if not any(person.windows for person in report.participants):
            return None
        drawn = replace(report, moments=tuple(map(_numbered, key_moments(report))))
        png = await _draw(drawn, called, _words(report, texts))
        return None if png is None else Picture(png=png, description=texts.SUMMARY_PICTURE_ALT)

    return Summary(card=card, picture=picture)


def closed_card(texts: Texts, session_id: str) -> Card:
    """In place of the summary where only those who took part may read it."""
    return Card(
        title=texts.SUMMARY_TITLE,
        text=texts.SUMMARY_FOR_PARTICIPANTS,
        buttons=Buttons.SUMMARY,
        session_id=session_id,
        colour=COLOUR,
    )


def of_those_who_stayed(report: SessionReport) -> SessionReport:
    """The report without those who withdrew, in the figures about everybody neither."""
    return without(
        report, [p.participant.user_id for p in report.participants if p.participant.withdrawn_at is not None]
    )


def without(report: SessionReport, user_ids: Collection[int]) -> SessionReport:
    """The report without these people, and all figures of it."""
    stayed = tuple(person for person in report.participants if person.participant.user_id not in user_ids)
    if len(stayed) == len(report.participants):
        return report
    left = replace(report, participants=stayed)
    every = windows_in_order(left)
    return replace(left, shares=shares(every), overlap_s=overlap_s(every))


def summary_card(
    report: SessionReport, texts: Texts, *, report_url: str | None, called: Mapping[int, str] | None = None
) -> Card:
    """The message's words. `called` are the names that a picture beside it was given, by participant id."""
    everybody = report.participants
    report = of_those_who_stayed(report)
    spoke = [person for person in report.participants if person.windows]
    reason = texts.END_REASONS.get(report.session.end_reason or "", "")
    head = " · ".join(filter(None, (f"<#{report.session.channel_id}>", texts.duration(report.duration_s), reason)))
    left = texts.SUMMARY_ALL_LEFT if everybody else texts.SUMMARY_EMPTY
    nobody = texts.SUMMARY_TOO_SHORT if report.participants else left
    people = [_person(person, texts, called) for person in spoke[:MAX_LISTED]]
    lines = [head, "", fitting(people, PEOPLE_CHARS, texts, of=len(spoke)) or nobody]
    return Card(
        title=texts.SUMMARY_TITLE,
        text="\n".join(lines),
        fields=tuple(_fields(report, spoke, texts, report_url)),
        footer=texts("FOOTER", model=report.session.model),
        colour=COLOUR,
    )


def _fields(
    report: SessionReport, spoke: Sequence[ParticipantReport], texts: Texts, report_url: str | None
) -> list[tuple[str, str]]:
    fields: list[tuple[str, str]] = []
    if len(spoke) > 1 and report.shares:
        talk_s = sum(person.talk_s for person in spoke)
        unclear = sum(person.talk_s * person.unclear_share for person in spoke) / talk_s if talk_s else 0.0
        overlap = texts("OVERLAP", time=texts.duration(report.overlap_s))
        fields.append((texts.SHARES_TITLE, f"{_shares(report.shares, unclear, texts)}\n{overlap}"))
    if moments := key_moments(report):
        people = {person.participant.id: person.participant.user_id for person in report.participants}
        listed = [f"**{number}** {_moment(moment, people, texts)}" for number, moment in enumerate(moments, 1)]
        every = len(listed) + marks_beside(report, moments)
        fields.append((texts.MOMENTS_TITLE, fitting(listed, FIELD_CHARS, texts, of=every)))
    if left_out := left_out_of(report, texts):
        fields.append((texts.LEFT_OUT_TITLE, fitting(left_out, FIELD_CHARS, texts)))
    if report_url or report.participants:  # without a link, the command shows those who took part these figures again
        fields.append((texts.SUMMARY_REPORT, report_url or texts.SUMMARY_NO_LINK))
    return fields


def left_out_of(report: SessionReport, texts: Texts) -> list[str]:
    """What of the conversation is not in the figures, and why."""
    counters = report.session.counters
    lines = []
    if counters.get("people_not_included"):
        lines.append(texts("LEFT_OUT_PEOPLE", n=counters["people_not_included"]))
    short = sum(counters.get(name, 0) for name in ("windows_too_short",))
    lost = sum(counters.get(name, 0) for name in ("windows_dropped_queue_full", "predictions_lost"))
    if short:
        lines.append(texts("LEFT_OUT_SHORT", n=short))
    if lost:
        lines.append(texts("LEFT_OUT_LOST", n=lost))
    silent = sum(not person.windows for person in report.participants)
    if silent and len(report.participants) > silent:
        lines.append(texts("LEFT_OUT_SILENT", n=silent))
    return lines


def _words(report: SessionReport, texts: Texts) -> Words:
    """What is written in the picture."""
    people = len(report.participants)
    facts = (
        texts.duration(report.duration_s),
        texts("PICTURE_PEOPLE", n=people),
        texts.day(report.session.started_at),
    )
    return Words(
        title=texts.SUMMARY_TITLE,
        facts=" · ".join(facts),
        foot=texts.PICTURE_FOOT,
        more=texts("PICTURE_MORE", n=max(0, people - MAX_SPEAKERS)),
        tones=texts.TONES,
    )


def _numbered(moment: KeyMoment) -> MomentRecord:
    """A moment as the picture places it: its number is its place in the list of words."""
    return MomentRecord(at_s=moment.at_s, kind=moment.kind, participant_id=moment.participant_id, text=moment.text)


async def _draw(report: SessionReport, names: Mapping[int, str], words: Words) -> bytes | None:
    from bot.pictures import summary_png  # Pillow, only where it is needed

    try:
        return await asyncio.to_thread(summary_png, report, names, words)
    except Exception as error:  # noqa: BLE001  # a picture that cannot be drawn must not cost the words
        _log.error("picture_failed", session=report.session.id, exc_info=error)
        return None


def _person(person: ParticipantReport, texts: Texts, called: Mapping[int, str] | None) -> str:
    who = f"<@{person.participant.user_id}>"
    pseudonym = person.participant.pseudonym
    if called is not None and writable(called.get(person.participant.id, ""), pseudonym) == pseudonym:
        who = texts("SUMMARY_DRAWN_AS", who=who, name=pseudonym)
    spoken = texts("SUMMARY_SPOKE", who=who, time=texts.duration(person.talk_s), n=person.turns)
    return f"{spoken}\n{_shares(person.shares, person.unclear_share, texts)}"


def _shares(shares: Mapping[str, float], unclear_share: float, texts: Texts) -> str:
    """Shares of the whole talk time, with what was unclear among them: they sum to 100 %."""
    if not shares:
        return f"{palette.tone(None).emoji} {texts.ALL_UNCLEAR}"
    return " · ".join(
        f"{palette.tone(label).emoji} {texts.tone(label)} {percent} %"
        for label, percent in whole_percents(shares, unclear_share)
        if percent
    )


def _moment(moment: KeyMoment, people: Mapping[int, int], texts: Texts) -> str:
    at = texts.clock_time(moment.at_s)
    if moment.kind == "mark":
        return f"{at} {inert(moment.text, MARK_CHARS) or texts.MARK_WITHOUT_NOTE}"
    who = f"<@{people.get(moment.participant_id or 0, 0)}>"
    before, after = texts.tone(moment.before), texts.tone(moment.emotion)
    return f"{at} {texts('MOMENT_SHIFT', who=who, before=before, after=after)}"

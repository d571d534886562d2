"""The summary after a session: figures of the stored report, in words and as a picture.

All figures come from `storage.report`, the same as the web page's. Speakers stand in the order in which they were
included: nobody is ranked. Whoever withdrew is left out of the message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import structlog

from bot.cards import COLOUR, Card
from bot.listening.surface import Surface
from bot.pictures import palette
from bot.texts import Texts
from storage import Storage
from storage.records import ParticipantReport, SessionReport

MAX_LISTED: Final = 20
MAX_MOMENTS: Final = 6

_log = structlog.get_logger(__name__)


def summary_card(report: SessionReport, texts: Texts, *, report_url: str | None) -> Card:
    """The message's words."""
    spoke = [person for person in report.participants if person.windows]
    reason = texts.END_REASONS.get(report.session.end_reason or "", "")
    head = f"<#{report.session.channel_id}> · {texts.duration(report.duration_s)}"
    if reason:
        head += f" · {reason}"
    lines = [head, ""]
    lines += [_person(person, texts) for person in spoke[:MAX_LISTED]] or [
        texts.SUMMARY_TOO_SHORT if report.participants else texts.SUMMARY_EMPTY
    ]
    fields: list[tuple[str, str]] = []
    if len(spoke) > 1 and report.shares:
        overlap = texts("OVERLAP", time=texts.duration(report.overlap_s))
        fields.append((texts.SHARES_TITLE, f"{_shares(report.shares, texts)}\n{overlap}"))
    marks = [moment for moment in report.moments if moment.kind == "mark"]
    noticed = len(report.moments) - len(marks)
    if report.moments:
        listed = [f"{texts.clock_time(moment.at_s)} {moment.text or texts.MARK_WITHOUT_NOTE}" for moment in marks]
        more = [texts("NOTICED_MOMENTS", n=noticed)] if noticed else []
        fields.append((texts.MOMENTS_TITLE, "\n".join([*listed[:MAX_MOMENTS], *more])))
    if report_url:
        fields.append((texts.SUMMARY_REPORT, report_url))
    return Card(
        title=texts.SUMMARY_TITLE,
        text="\n".join(lines),
        fields=tuple(fields),
        footer=texts("FOOTER", model=report.session.model),
        colour=COLOUR,
    )


async def post(surface: Surface, storage: Storage, session_id: str, *, report_url: str | None) -> None:
    """Post the summary, with a picture when anything was heard. Without the picture rather than not at all."""
    report = await storage.report(session_id)
    if report is None:  # deleted while it ran
        return
    report = replace(report, participants=tuple(p for p in report.participants if p.participant.withdrawn_at is None))
    card = summary_card(report, surface.texts, report_url=report_url)
    people = [person.participant for person in report.participants]
    names = {person.id: surface.name(person.user_id) or person.pseudonym for person in people}
    picture = await _picture(report, names) if any(p.windows for p in report.participants) else None
    if picture is None:
        await surface.post(card)
    else:
        await surface.post_picture(card, picture, description=surface.texts.SUMMARY_PICTURE_ALT)


async def _picture(report: SessionReport, names: Mapping[int, str]) -> bytes | None:
    from bot.pictures import summary_png  # Pillow, only where it is needed

    try:
        return await asyncio.to_thread(summary_png, report, names)
    except Exception as error:  # noqa: BLE001  # a picture that cannot be drawn must not cost the words
        _log.error("picture_failed", session=report.session.id, exc_info=error)
        return None


def _person(person: ParticipantReport, texts: Texts) -> str:
    who = f"<@{person.participant.user_id}>"
    spoken = texts("SUMMARY_SPOKE", who=who, time=texts.duration(person.talk_s), n=person.turns)
    if not person.shares:
        return f"{spoken}\n{palette.tone(None).emoji} {texts.ALL_UNCLEAR}"
    parts = [_shares(person.shares, texts)]
    if person.unclear_share > 0:
        parts.append(texts("SUMMARY_UNCLEAR", share=texts.percent(person.unclear_share)))
    return f"{spoken}\n{' · '.join(parts)}"


def _shares(shares: Mapping[str, float], texts: Texts) -> str:
    parts = []
    for emotion, share in shares.items():
        parts.append(f"{palette.tone(emotion).emoji} {texts.tone(emotion)} {texts.percent(share)}")
    return " · ".join(parts)

"""From a stored report to what its page is drawn from: columns of windows, moments, sentences.

Pure and CPU-bound for long sessions, so call it in a thread. A session of two hours with eight speakers has 12,000
windows; they travel as columns of small numbers, which a browser reads at once and which compress to a few bytes each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from bot.pictures.palette import tone
from bot.pictures.times import spell
from bot.report import MARKED, KeyMoment, key_moments, story
from bot.report.story import isolated
from bot.web import words
from bot.web.schema import (
    ChartOut,
    ChartPersonOut,
    FiguresOut,
    KeyMomentOut,
    ModelOut,
    SummaryOut,
    TickOut,
    TotalsOut,
    VoiceOut,
    WindowColumnsOut,
)
from storage.records import ParticipantReport, SessionReport, WindowRecord
from storage.report import longest_turn_s

_UNSURE: Final = "unsure"


def chart_out(
    report: SessionReport,
    names: Mapping[int, str],
    *,
    title: str,
    server: str | None,
    expires_at: datetime | None,
    summary: SummaryOut,
    last_event_id: int,
) -> ChartOut:
    """Everything the report page draws and says."""
    session = report.session
    labels, reasons = list(session.labels), _reasons(report)
    return ChartOut(
        id=session.id,
        state=session.state.value,
        title=title,
        server=server,
        started_at=session.started_at,
        ended_at=session.ended_at,
        expires_at=expires_at,
        end_reason=session.end_reason,
        labels=labels,
        reasons=reasons,
        summary=summary,
        people=[
            ChartPersonOut(
                id=person.participant.id,
                name=names[person.participant.id],
                pseudonym=person.participant.pseudonym,
                left=person.participant.withdrawn_at is not None,
                windows=columns(person.windows, labels, reasons),
            )
            for person in report.participants
        ],
        ticks=_ticks(report),
        model=ModelOut(name=session.model, version=session.model_version, labels=labels),
        last_event_id=last_event_id,
    )


def summary_out(report: SessionReport, names: Mapping[int, str], *, expires_at: datetime | None) -> SummaryOut:
    """What stands above the pictures and beside them, in words and figures."""
    moments = key_moments(report)
    told = story(report, names, moments, gone_at=expires_at)
    windows = [window for person in report.participants for window in person.windows]
    talk_s = sum(person.talk_s for person in report.participants)
    return SummaryOut(
        sentences=list(told.sentences),
        line=list(told.facts),
        duration_s=report.duration_s,
        moments=[_moment(number, moment, names) for number, moment in enumerate(moments, start=1)],
        speakers=[_figures(person) for person in report.participants],
        totals=TotalsOut(
            windows=len(windows),
            unclear_windows=sum(window.unclear for window in windows),
            talk_s=talk_s,
            overlap_s=report.overlap_s,
            shares=report.shares,
        ),
    )


def voice_out(person: ParticipantReport, report: SessionReport, *, last_event_id: int) -> VoiceOut:
    """One speaker's probabilities, for the lines."""
    labels, windows = list(report.session.labels), person.windows
    return VoiceOut(
        id=person.participant.id,
        labels=labels,
        windows=columns(windows, labels, _reasons(report)),
        probabilities=[[round(100 * window.probabilities.get(label, 0.0)) for window in windows] for label in labels],
        last_event_id=last_event_id,
    )


def columns(windows: Sequence[WindowRecord], labels: Sequence[str], reasons: Sequence[str]) -> WindowColumnsOut:
    """Windows as columns. Ends are rounded, not lengths, so that the error does not add up."""
    place = {label: index for index, label in enumerate(labels)}
    why = {reason: index for index, reason in enumerate(reasons, start=1)}
    starts = [round(10 * window.start_s) for window in windows]
    ends = [round(10 * window.end_s) for window in windows]
    return WindowColumnsOut(
        gap=[start - end for start, end in zip(starts, [0, *ends], strict=False)],
        length=[end - start for start, end in zip(starts, ends, strict=True)],
        label=[place.get(window.emotion, 0) for window in windows],
        sure=[round(100 * window.confidence) for window in windows],
        why=[why.get(window.reason or _UNSURE, 0) if window.unclear else 0 for window in windows],
        speech=[round(100 * window.speech_ratio) for window in windows],
    )


def _reasons(report: SessionReport) -> list[str]:
    """Every reason for which a window of the session is unclear."""
    found = {w.reason or _UNSURE for person in report.participants for w in person.windows if w.unclear}
    return sorted(found)


def _moment(number: int, moment: KeyMoment, names: Mapping[int, str]) -> KeyMomentOut:
    text = moment.text or MARKED
    if moment.emotion is not None and moment.participant_id is not None:
        text = words.sounded(isolated(names[moment.participant_id]), tone(moment.emotion).word, spell(moment.held_s))
    return KeyMomentOut(
        number=number,
        at_s=round(moment.at_s, 1),
        until_s=None if moment.until_s is None else round(moment.until_s, 1),
        kind=moment.kind,
        participant_id=moment.participant_id,
        emotion=moment.emotion,
        before=moment.before,
        windows=moment.windows,
        confidence=round(moment.confidence, 2),
        text=text,
    )


def _figures(person: ParticipantReport) -> FiguresOut:
    return FiguresOut(
        id=person.participant.id,
        windows=len(person.windows),
        clear_windows=sum(not window.unclear for window in person.windows),
        talk_s=round(person.talk_s, 1),
        turns=person.turns,
        longest_s=round(longest_turn_s(person.windows), 1),
        shares={label: round(share, 4) for label, share in person.shares.items()},
        unclear_share=round(person.unclear_share, 4),
    )


def _ticks(report: SessionReport) -> list[TickOut]:
    began = report.session.started_at
    found = []
    for person in report.participants:
        who = person.participant
        for kind, at in (("joined", who.included_at), ("left", who.withdrawn_at)):
            if at is not None:
                at_s = max(0.0, (at - began).total_seconds())
                found.append(TickOut(at_s=round(at_s, 1), kind=kind, participant_id=who.id))
    return sorted(found, key=lambda tick: (tick.at_s, tick.participant_id))

"""From a stored report to what its page is drawn from: columns of windows, moments, sentences.

Pure and CPU-bound for long sessions, so call it in a thread. A session of two hours with eight speakers has 12,000
windows; they travel as columns of small numbers, which a browser reads at once and which compress to a few bytes each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import numpy as np

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
from storage.columns import Floats, Integers, Windows
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


def summary_out(
    report: SessionReport, names: Mapping[int, str], *, expires_at: datetime | None, alone: bool = False
) -> SummaryOut:
    """What stands above the pictures and beside them, in words and figures; `alone`: of one person's results."""
    moments = key_moments(report)
    told = story(report, names, moments, gone_at=expires_at, alone=alone)
    talk_s = sum(person.talk_s for person in report.participants)
    return SummaryOut(
        sentences=list(told.sentences),
        line=list(told.facts),
        duration_s=report.duration_s,
        moments=[_moment(number, moment, names) for number, moment in enumerate(moments, start=1)],
        speakers=[_figures(person) for person in report.participants],
        totals=TotalsOut(
            windows=sum(len(person.windows) for person in report.participants),
            unclear_windows=sum(_unclear(person.windows) for person in report.participants),
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
        probabilities=[
            _whole(100 * np.nan_to_num(windows.probabilities[:, windows.labels.index(label)]))
            if label in windows.labels
            else [0] * len(windows)
            for label in labels
        ],
        last_event_id=last_event_id,
    )


def columns(windows: Sequence[WindowRecord], labels: Sequence[str], reasons: Sequence[str]) -> WindowColumnsOut:
    """Windows as columns. Ends are rounded, not lengths, so that the error does not add up."""
    of = Windows.of(windows)
    label = np.maximum(0, _places(of.emotions, labels))
    why = 1 + _places([reason or _UNSURE for reason in of.reasons], reasons)
    starts, ends = np.rint(10 * of.start_s), np.rint(10 * of.end_s)
    return WindowColumnsOut.model_construct(  # whole numbers all, so there is nothing to check
        gap=_whole(starts - np.concatenate([[0.0], ends])[:-1]),
        length=_whole(ends - starts),
        label=label[of.emotion].tolist(),
        sure=_whole(100 * of.confidence),
        why=np.where(of.unclear, why[of.reason], 0).tolist(),
        speech=_whole(100 * of.speech_ratio),
        stood_in=np.array([engine is not None for engine in of.engines], np.int64)[of.engine].tolist(),
    )


def _places(names: Sequence[str], among: Sequence[str]) -> Integers:
    """Where each name stands; -1 for one that is not there."""
    place = {name: index for index, name in enumerate(among)}
    return np.array([place.get(name, -1) for name in names], np.int64)


def _whole(values: Floats) -> list[int]:
    whole: list[int] = np.rint(values).astype(np.int64).tolist()
    return whole


def _reasons(report: SessionReport) -> list[str]:
    """Every reason for which a window of the session is unclear."""
    found: set[str] = set()
    for windows in (person.windows for person in report.participants):
        found |= {windows.reasons[place] or _UNSURE for place in set(windows.reason[windows.unclear].tolist())}
    return sorted(found)


def _unclear(windows: Windows) -> int:
    return int(np.count_nonzero(windows.unclear))


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
        clear_windows=len(person.windows) - _unclear(person.windows),
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

"""The bodies of the JSON interface. No Discord id of a person is in any of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from bot.web import words
from storage.records import ParticipantRecord, SessionRecord, SessionReport
from storage.report import windows_in_order


class Out(BaseModel):
    """A body; what stands below a field goes into the OpenAPI document with it."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class ProblemOut(Out):
    """Why something was refused (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    """A sentence for the person."""
    code: str
    """Stays the same when the words change."""


class ParticipantOut(Out):
    id: int
    pseudonym: str
    name: str
    """How the person is called now, or the pseudonym."""


class SessionOut(Out):
    id: str
    state: str
    title: str
    started_at: datetime
    ended_at: datetime | None
    end_reason: str | None
    model: str
    participants: list[ParticipantOut]
    url: str


class SessionListOut(Out):
    sessions: list[SessionOut]
    next: str | None
    """Address of the next page; None on the last one."""


class WindowOut(Out):
    participant_id: int
    start_s: float
    end_s: float
    speech_ratio: float
    gap_ratio: float
    emotion: str
    confidence: float
    unclear: bool
    reason: str | None
    probabilities: Mapping[str, float]
    engine: str | None
    """The model that answered, where more was said than `model` could recognise; null mostly."""


class MomentOut(Out):
    at_s: float
    kind: str
    participant_id: int | None
    text: str


class ParticipantReportOut(ParticipantOut):
    windows: int
    talk_s: float
    turns: int
    shares: Mapping[str, float]
    unclear_share: float


class TotalsOut(Out):
    windows: int
    unclear_windows: int
    talk_s: float
    overlap_s: float
    shares: Mapping[str, float]


class ModelOut(Out):
    name: str
    version: str
    labels: list[str]


class MethodOut(Out):
    how: list[str]
    limits: list[str]


class ReportOut(Out):
    id: str
    state: str
    title: str
    started_at: datetime
    ended_at: datetime | None
    end_reason: str | None
    duration_s: float
    model: ModelOut
    participants: list[ParticipantReportOut]
    windows: list[WindowOut]
    moments: list[MomentOut]
    totals: TotalsOut
    counters: Mapping[str, int]
    method: MethodOut
    last_event_id: int
    """Where to join the live events so that nothing is missed."""


class WindowColumnsOut(Out):
    """One speaker's windows as columns, an entry a window, in order. Times are in tenths of a second."""

    gap: list[int]
    """From the end of the window before it, of the first from the session's start."""
    length: list[int]
    label: list[int]
    """Index into `labels`: what it sounded like, also when it was unclear."""
    sure: list[int]
    """Confidence in percent."""
    why: list[int]
    """0: clear. Otherwise `reasons[why - 1]` says why it is unclear."""
    speech: list[int]
    """Share of the window that was speech, in percent."""
    stood_in: list[int]
    """1: another model than the session's answered, because more was said than that could recognise."""


class ChartPersonOut(ParticipantOut):
    left: bool
    """Took part and left the analysis."""
    windows: WindowColumnsOut


class FiguresOut(Out):
    """What is counted of one speaker."""

    id: int
    windows: int
    clear_windows: int
    talk_s: float
    turns: int
    longest_s: float
    """The longest turn."""
    shares: Mapping[str, float]
    unclear_share: float


class KeyMomentOut(Out):
    """One of the three to seven moments that are shown, numbered in order of time."""

    number: int
    at_s: float
    until_s: float | None
    """End of the last window that sounded so; null for a mark."""
    kind: str
    """``mark`` or ``shift``."""
    participant_id: int | None
    emotion: str | None
    before: str | None
    """The tone that held before the shift."""
    windows: int
    """Clear windows for which it held."""
    confidence: float
    text: str


class TickOut(Out):
    """Somebody joined or left the analysis."""

    at_s: float
    kind: str
    """``joined`` or ``left``."""
    participant_id: int


class SummaryOut(Out):
    """All that a report says before its pictures; also the live event ``summary``."""

    sentences: list[str]
    """How it sounded, when it turned, how much was unclear; empty before the first window."""
    line: list[str]
    """Facts to be set beside each other: who took part, how long, what was kept, until when."""
    duration_s: float
    moments: list[KeyMomentOut]
    speakers: list[FiguresOut]
    totals: TotalsOut


class ChartOut(Out):
    """What the report page is drawn from."""

    id: str
    state: str
    title: str
    server: str | None
    started_at: datetime
    ended_at: datetime | None
    expires_at: datetime | None
    """When it is deleted; null while it runs."""
    end_reason: str | None
    labels: list[str]
    reasons: list[str]
    summary: SummaryOut
    people: list[ChartPersonOut]
    ticks: list[TickOut]
    model: ModelOut
    last_event_id: int


class VoiceOut(Out):
    """One speaker's windows with the probability of every label."""

    id: int
    labels: list[str]
    windows: WindowColumnsOut
    probabilities: list[list[int]]
    """For each label a column of percentages, an entry a window."""
    last_event_id: int


def session_out(
    session: SessionRecord,
    participants: Sequence[ParticipantRecord],
    names: Mapping[int, str],
    *,
    title: str,
    url: str,
) -> SessionOut:
    return SessionOut(
        id=session.id,
        state=session.state.value,
        title=title,
        started_at=session.started_at,
        ended_at=session.ended_at,
        end_reason=session.end_reason,
        model=session.model,
        participants=[
            ParticipantOut(id=p.id, pseudonym=p.pseudonym, name=names.get(p.id, p.pseudonym)) for p in participants
        ],
        url=url,
    )


def report_out(
    report: SessionReport, names: Mapping[int, str], *, title: str, last_event_id: int, windows: bool = True
) -> ReportOut:
    """Everything in the report; without `windows` all but those, which `bot.web.rows` writes in less time."""
    session = report.session
    every = windows_in_order(report)
    return ReportOut(
        id=session.id,
        state=session.state.value,
        title=title,
        started_at=session.started_at,
        ended_at=session.ended_at,
        end_reason=session.end_reason,
        duration_s=report.duration_s,
        model=ModelOut(name=session.model, version=session.model_version, labels=list(session.labels)),
        participants=[
            ParticipantReportOut(
                id=p.participant.id,
                pseudonym=p.participant.pseudonym,
                name=names.get(p.participant.id, p.participant.pseudonym),
                windows=len(p.windows),
                talk_s=p.talk_s,
                turns=p.turns,
                shares=p.shares,
                unclear_share=p.unclear_share,
            )
            for p in report.participants
        ],
        windows=[WindowOut.model_validate(window, from_attributes=True) for window in every] if windows else [],
        moments=[MomentOut.model_validate(moment, from_attributes=True) for moment in report.moments],
        totals=TotalsOut(
            windows=len(every),
            unclear_windows=int(every.unclear.sum()),
            talk_s=sum(every.speech_s.tolist()),
            overlap_s=report.overlap_s,
            shares=report.shares,
        ),
        counters=session.counters,
        method=MethodOut(how=list(words.METHOD), limits=list(words.LIMITS)),
        last_event_id=last_event_id,
    )

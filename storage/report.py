"""From a session's rows to its figures, computed in this one place for Discord, the web and the command line.

Pure: no database, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from storage.columns import Bools, Floats, Windows
from storage.records import (
    MomentRecord,
    ParticipantRecord,
    ParticipantReport,
    SessionRecord,
    SessionReport,
    WindowRecord,
)

TURN_GAP_S: Final = 1.5
"""Windows of one speaker that are closer than this belong to one turn."""


def build_report(
    session: SessionRecord,
    participants: Sequence[ParticipantRecord],
    windows: Sequence[WindowRecord],
    moments: Sequence[MomentRecord],
) -> SessionReport:
    """All figures of a session; see `SessionReport` for what each means. `windows` are in order of their start."""
    every = Windows.of(windows)
    ended_at = session.ended_at or session.started_at
    return SessionReport(
        session=session,
        participants=tuple(_participant(p, every.take(every.participant_id == p.id)) for p in participants),
        moments=tuple(moments),
        duration_s=max((ended_at - session.started_at).total_seconds(), float(every.end_s.max(initial=-np.inf))),
        overlap_s=overlap_s(every),
        shares=shares(every),
    )


def windows_in_order(report: SessionReport) -> Windows:
    """Everybody's windows in the order of time; those of the lower id first where some begin together."""
    every = Windows.joined([person.windows for person in report.participants])
    return every.take(np.lexsort((every.participant_id, every.start_s)))


def shares(windows: Sequence[WindowRecord]) -> Mapping[str, float]:
    """Share of the clear talk time by emotion, largest first, summing to 1; empty when nothing was clear."""
    return _in_shares(_clear_s(Windows.of(windows)))


def speech_s(window: WindowRecord) -> float:
    """Seconds of speech in a window."""
    return (window.end_s - window.start_s) * window.speech_ratio


def turns(windows: Sequence[WindowRecord]) -> int:
    """How often one speaker took the floor; `windows` are that speaker's, in order."""
    return int(np.count_nonzero(_takes_floor(Windows.of(windows))))


def longest_turn_s(windows: Sequence[WindowRecord]) -> float:
    """The longest time for which one speaker kept the floor; `windows` are that speaker's, in order."""
    of = Windows.of(windows)
    takes = _takes_floor(of)
    if not len(of):
        return 0.0
    begins_s = of.start_s[takes][np.cumsum(takes) - 1]
    return max(0.0, float((of.end_s - begins_s).max()))


def overlap_s(windows: Sequence[WindowRecord]) -> float:
    """Seconds in which two or more participants have a window.

    Windows of one participant never overlap, so the number of open windows is the number of people talking.
    """
    of = Windows.of(windows)
    at_s = np.concatenate([of.start_s, of.end_s])
    step = np.repeat([1, -1], len(of))
    order = np.lexsort((step, at_s))
    shared = np.cumsum(step[order])[:-1] >= 2
    return _sum(np.diff(at_s[order])[shared])


def _participant(participant: ParticipantRecord, windows: Windows) -> ParticipantReport:
    clear = _clear_s(windows)
    unclear_s = _sum(windows.speech_s[windows.unclear])
    talk_s = unclear_s + sum(clear.values())
    return ParticipantReport(
        participant=participant,
        windows=windows,
        talk_s=talk_s,
        turns=turns(windows),
        shares=_in_shares(clear),
        unclear_share=unclear_s / talk_s if talk_s > 0 else 0.0,
    )


def _takes_floor(windows: Windows) -> Bools:
    """Of each of one speaker's windows, whether a turn begins with it."""
    silence_s: Floats = windows.start_s - np.concatenate([[-np.inf], windows.end_s])[:-1]
    return silence_s >= TURN_GAP_S


def _clear_s(windows: Windows) -> dict[str, float]:
    """Seconds of clear speech by emotion, in the order in which they are met."""
    clear = ~windows.unclear
    emotion = windows.emotion[clear]
    # One after the other, as these two sum, and unlike `np.sum`: a figure does not depend on who computes it.
    seconds = np.bincount(emotion, weights=windows.speech_s[clear], minlength=len(windows.emotions)).tolist()
    return {windows.emotions[place]: seconds[place] for place in dict.fromkeys(emotion.tolist())}


def _sum(seconds: Floats) -> float:
    return float(np.cumsum(seconds)[-1]) if len(seconds) else 0.0


def _in_shares(seconds: Mapping[str, float]) -> Mapping[str, float]:
    total = sum(seconds.values())
    if total <= 0:
        return {}
    return {emotion: s / total for emotion, s in sorted(seconds.items(), key=lambda item: (-item[1], item[0]))}

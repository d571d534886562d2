"""From a session's rows to its figures, computed in this one place for Discord, the web and the command line.

Pure: no database, no clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

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
    by_participant: dict[int, list[WindowRecord]] = defaultdict(list)
    for window in windows:
        by_participant[window.participant_id].append(window)
    ended_at = session.ended_at or session.started_at
    return SessionReport(
        session=session,
        participants=tuple(_participant(p, by_participant[p.id]) for p in participants),
        moments=tuple(moments),
        duration_s=max([(ended_at - session.started_at).total_seconds(), *(window.end_s for window in windows)]),
        overlap_s=overlap_s(windows),
        shares=shares(windows),
    )


def shares(windows: Iterable[WindowRecord]) -> Mapping[str, float]:
    """Share of the clear talk time by emotion, largest first, summing to 1; empty when nothing was clear."""
    seconds: dict[str, float] = defaultdict(float)
    for window in windows:
        if not window.unclear:
            seconds[window.emotion] += (window.end_s - window.start_s) * window.speech_ratio
    return _in_shares(seconds)


def speech_s(window: WindowRecord) -> float:
    """Seconds of speech in a window."""
    return (window.end_s - window.start_s) * window.speech_ratio


def turns(windows: Sequence[WindowRecord]) -> int:
    """How often one speaker took the floor; `windows` are that speaker's, in order."""
    breaks = [True for earlier, later in pairwise(windows) if later.start_s - earlier.end_s >= TURN_GAP_S]
    return (1 if windows else 0) + len(breaks)


def longest_turn_s(windows: Sequence[WindowRecord]) -> float:
    """The longest time for which one speaker kept the floor; `windows` are that speaker's, in order."""
    longest_s, begins_s, ends_s = 0.0, 0.0, float("-inf")
    for window in windows:
        if window.start_s - ends_s >= TURN_GAP_S:
            begins_s = window.start_s
        ends_s = window.end_s
        longest_s = max(longest_s, ends_s - begins_s)
    return longest_s


def overlap_s(windows: Sequence[WindowRecord]) -> float:
    """Seconds in which two or more participants have a window.

    Windows of one participant never overlap, so the number of open windows is the number of people talking.
    """
    edges = [(window.start_s, 1) for window in windows]
    edges += [(window.end_s, -1) for window in windows]
    edges.sort()
    total_s, open_windows, since_s = 0.0, 0, 0.0
    for at_s, step in edges:
        if open_windows >= 2:
            total_s += at_s - since_s
        open_windows += step
        since_s = at_s
    return total_s


def _participant(participant: ParticipantRecord, windows: Sequence[WindowRecord]) -> ParticipantReport:
    clear: dict[str, float] = defaultdict(float)
    unclear_s = 0.0
    for window in windows:
        spoken_s = (window.end_s - window.start_s) * window.speech_ratio
        if window.unclear:
            unclear_s += spoken_s
        else:
            clear[window.emotion] += spoken_s
    talk_s = unclear_s + sum(clear.values())
    return ParticipantReport(
        participant=participant,
        windows=tuple(windows),
        talk_s=talk_s,
        turns=turns(windows),
        shares=_in_shares(clear),
        unclear_share=unclear_s / talk_s if talk_s > 0 else 0.0,
    )


def _in_shares(seconds: Mapping[str, float]) -> Mapping[str, float]:
    total = sum(seconds.values())
    if total <= 0:
        return {}
    return {emotion: s / total for emotion, s in sorted(seconds.items(), key=lambda item: (-item[1], item[0]))}

"""The moments of a session that are worth a number: marks made by hand, and changes of tone that held.

One window is often wrong, and a tone that flickers is no news. A change counts when at least three clear windows of a
speaker agree, close together, on another tone than before; single windows in between may differ, as long as twice as
many agree. Coming back to the speaker's usual tone, or to the one before a short change, is the end of a change and not
another one. What is left is ranked by how long it held and how sure it was; the best are kept, in the order of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from storage.columns import Windows
from storage.records import MomentRecord, SessionReport, WindowRecord
from storage.report import shares

MARKED: Final = "A moment"
"""Stands for a note that nobody wrote, or that must not be told; the page adds that it was marked by hand."""
MAX_MOMENTS: Final = 7
MIN_MOMENTS: Final = 3
"""As many changes are kept however small they are beside the greatest."""
HELD_WINDOWS: Final = 3
"""Clear windows that must agree."""
PAUSE_S: Final = 90.0
"""A speaker who was silent for longer begins anew: what was said before does not carry on."""
LONG_S: Final = 60.0
"""A change that held longer than this is not ranked higher for it."""
MINOR_SHARE: Final = 0.4
"""Beyond the first three, a change must reach this share of the greatest one's weight."""

_Clear = tuple[str, float, float, float]
"""A clear window: emotion, start, end, confidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMoment:
    """A mark made by hand, or the change of a speaker's tone."""

    at_s: float
    kind: str
    """``mark`` or ``shift``."""
    text: str = ""
    """What was written beside a mark."""
    participant_id: int | None = None
    emotion: str | None = None
    """The tone that a shift turned to."""
    before: str | None = None
    """The tone it turned from; None when the speaker began with it."""
    until_s: float | None = None
    """When a shift ended: the end of the last window that held."""
    returned: bool = False
    """Whether the speaker was heard afterwards, back in the tone before."""
    windows: int = 0
    """Clear windows that held."""
    confidence: float = 0.0
    """Their mean confidence."""

    @property
    def held_s(self) -> float:
        return 0.0 if self.until_s is None else self.until_s - self.at_s

    @property
    def weight(self) -> float:
        return min(LONG_S, self.held_s) * self.confidence


@dataclass(slots=True, kw_only=True)
class _Run:
    """Clear windows of one speaker, close together, that agree but for single ones in between."""

    emotion: str
    start_s: float
    end_s: float
    windows: int
    strays: int = 0
    """Single windows in between that differ."""
    confidence: float
    """Sum over the windows."""

    @property
    def held(self) -> bool:
        return self.windows >= HELD_WINDOWS and self.windows >= 2 * self.strays


def key_moments(report: SessionReport, *, limit: int = MAX_MOMENTS) -> tuple[KeyMoment, ...]:
    """At most `limit` moments in the order of time. Marks come first; changes fill what they leave.

    The greatest change always has a place: a report without it would say that nobody's tone changed.
    """
    marks = [_mark(moment) for moment in report.moments if moment.kind == "mark"]
    shifts = sorted(
        (shift for person in report.participants for shift in shifts_of(person.windows)),
        key=lambda shift: (-shift.weight, shift.at_s),
    )
    kept = [s for i, s in enumerate(shifts) if i < MIN_MOMENTS or s.weight >= MINOR_SHARE * shifts[0].weight]
    marks = marks[: limit - 1 if kept else limit]
    chosen = [*marks, *kept[: limit - len(marks)]]
    return tuple(sorted(chosen, key=lambda moment: moment.at_s))


def marks_beside(report: SessionReport, moments: Iterable[KeyMoment]) -> int:
    """How many marks were made for which `moments` had no room."""
    shown = sum(moment.kind == "mark" for moment in moments)
    return sum(moment.kind == "mark" for moment in report.moments) - shown


def without_notes(report: SessionReport) -> SessionReport:
    """The report for those who must not be told names: what somebody wrote at a mark may name people."""
    moments = tuple(replace(m, text=MARKED) if m.kind == "mark" else m for m in report.moments)
    return replace(report, moments=moments)


def turn_of(moments: Iterable[KeyMoment]) -> KeyMoment | None:
    """The change that the session turned on: the one with the greatest weight."""
    return max((m for m in moments if m.kind == "shift"), key=lambda moment: moment.weight, default=None)


def shifts_of(windows: Sequence[WindowRecord]) -> list[KeyMoment]:
    """Every change of one speaker's tone that held; `windows` are that speaker's, in order."""
    windows = Windows.of(windows)
    held = _joined(run for run in _runs(windows) if run.held)
    usual = _usual_tone(windows)
    found: list[KeyMoment] = []
    for index, run in enumerate(held):
        if index == 0:
            continue
        before = held[index - 1]
        again = run.emotion == usual and any(earlier.emotion == usual for earlier in held[:index])
        if again or (index >= 2 and _is_return(held[index - 2], before, run)):
            if found:
                found[-1] = replace(found[-1], returned=True)
            continue
        found.append(
            KeyMoment(
                at_s=run.start_s,
                kind="shift",
                participant_id=int(windows.participant_id[0]),
                emotion=run.emotion,
                before=before.emotion,
                until_s=run.end_s,
                windows=run.windows,
                confidence=run.confidence / run.windows,
            )
        )
    return found


def _usual_tone(windows: Windows) -> str | None:
    return next(iter(shares(windows)), None)


def _is_return(earlier: _Run, change: _Run, run: _Run) -> bool:
    return run.emotion == earlier.emotion and change.end_s - change.start_s <= max(LONG_S, run.end_s - run.start_s)


def _joined(runs: Iterable[_Run]) -> list[_Run]:
    """Runs that follow each other with the same tone as one, whatever was unclear or mixed between them."""
    joined: list[_Run] = []
    for run in runs:
        if joined and joined[-1].emotion == run.emotion and run.start_s - joined[-1].end_s <= PAUSE_S:
            last = joined[-1]
            last.end_s, last.windows = run.end_s, last.windows + run.windows
            last.confidence += run.confidence
        elif joined and joined[-1].emotion == run.emotion:
            joined[-1] = run  # after a long pause: no change, and what it is measured against is the newer one
        else:
            joined.append(run)
    return joined


def _runs(windows: Windows) -> list[_Run]:
    runs: list[_Run] = []
    current: _Run | None = None
    stray: _Clear | None = None
    for window in _clear(windows):
        emotion, start_s, end_s, confidence = window
        near = current is not None and start_s - current.end_s <= PAUSE_S
        if current is not None and near and emotion == current.emotion:
            current.end_s = end_s
            current.windows += 1
            current.confidence += confidence
            if stray is not None:
                current.strays, stray = current.strays + 1, None
        elif near and stray is None:
            stray = window  # one that differs may be a mistake; a second one begins another run
        else:
            current = _begin(window, stray if near and stray is not None and stray[0] == emotion else None)
            runs.append(current)
            stray = None
    return runs


def _clear(windows: Windows) -> Iterator[_Clear]:
    """Emotion, start, end and confidence of the clear windows."""
    clear = windows.take(~windows.unclear)
    emotions = map(windows.emotions.__getitem__, clear.emotion.tolist())
    return zip(emotions, clear.start_s.tolist(), clear.end_s.tolist(), clear.confidence.tolist(), strict=True)


def _begin(window: _Clear, earlier: _Clear | None) -> _Run:
    emotion, start_s, end_s, confidence = window
    if earlier is None:
        return _Run(emotion=emotion, start_s=start_s, end_s=end_s, windows=1, confidence=confidence)
    return _Run(emotion=emotion, start_s=earlier[1], end_s=end_s, windows=2, confidence=earlier[3] + confidence)


def _mark(moment: MomentRecord) -> KeyMoment:
    return KeyMoment(at_s=moment.at_s, kind="mark", text=moment.text, participant_id=moment.participant_id)

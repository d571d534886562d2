"""The moments worth reading: marks by hand, and turns of a voice that held.

A single window is often wrong, and a tone that changes for one window is no news. A tone *holds* when three or more
clear windows of a speaker in a row say the same; a moment is the start of a hold that differs from the one before it.
Of these the longest and surest are kept, three to seven with the marks. Pure: no database, no clock, no words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from storage.records import MomentRecord, SessionReport, WindowRecord
from storage.report import speech_s

HELD_WINDOWS: Final = 3
"""Clear windows in a row that make a tone hold."""
MAX_PAUSE_S: Final = 60.0
"""Clear windows further apart than this are not in a row."""
LEAST: Final = 3
MOST: Final = 7
WORTH_OF_BEST: Final = 0.4
"""Beyond the third, a turn is kept when it is worth at least this share of the best one."""
MARK: Final = "mark"
SHIFT: Final = "shift"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A stretch in which a speaker sounded one way."""

    emotion: str
    start_s: float
    until_s: float
    """End of its last window."""
    windows: int
    """Clear windows in it."""
    confidence: float
    """Their mean confidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Highlight:
    """One moment that is shown."""

    at_s: float
    kind: str
    """``mark`` or ``shift``."""
    participant_id: int | None
    """Whose voice turned; None for a mark."""
    text: str
    """The note of a mark; empty for a shift."""
    emotion: str | None = None
    before: str | None = None
    """The tone that held before."""
    until_s: float | None = None
    windows: int = 0
    confidence: float = 0.0
    returned: bool = False
    """The tone that held next is the one that held before."""
    to_the_end: bool = False
    """No other tone held afterwards."""

    @property
    def worth(self) -> float:
        """How long it held times how sure it was, in windows."""
        return self.windows * self.confidence


def holds(windows: Sequence[WindowRecord]) -> list[Hold]:
    """The tones that held, in order; `windows` are one speaker's, in order. Neighbours differ in emotion."""
    found: list[Hold] = []
    run: list[WindowRecord] = []

    def close() -> None:
        if len(run) < HELD_WINDOWS:
            return
        new = Hold(
            emotion=run[0].emotion,
            start_s=run[0].start_s,
            until_s=run[-1].end_s,
            windows=len(run),
            confidence=sum(window.confidence for window in run) / len(run),
        )
        if found and found[-1].emotion == new.emotion:
            found[-1] = _joined(found[-1], new)
        else:
            found.append(new)

    for window in windows:
        if window.unclear:
            continue
        if run and (window.emotion != run[-1].emotion or window.start_s - run[-1].end_s > MAX_PAUSE_S):
            close()
            run.clear()
        run.append(window)
    close()
    return found


def shifts(participant_id: int, windows: Sequence[WindowRecord]) -> list[Highlight]:
    """The turns of one speaker's voice that held.

    A return to the speaker's usual tone ends a moment and makes none of its own.
    """
    tones = holds(windows)
    usual = usual_tone(windows)
    found = []
    for index in range(1, len(tones)):
        tone, before = tones[index], tones[index - 1]
        following = tones[index + 1] if index + 1 < len(tones) else None
        if tone.emotion == usual and any(earlier.emotion == usual for earlier in tones[:index]):
            continue
        found.append(
            Highlight(
                at_s=tone.start_s,
                kind=SHIFT,
                participant_id=participant_id,
                text="",
                emotion=tone.emotion,
                before=before.emotion,
                until_s=tone.until_s,
                windows=tone.windows,
                confidence=tone.confidence,
                returned=following is not None and following.emotion == before.emotion,
                to_the_end=following is None,
            )
        )
    return found


def usual_tone(windows: Sequence[WindowRecord]) -> str | None:
    """What most of a speaker's clear talk time sounds like."""
    seconds: dict[str, float] = defaultdict(float)
    for window in windows:
        if not window.unclear:
            seconds[window.emotion] += speech_s(window)
    return max(sorted(seconds), key=seconds.__getitem__) if seconds else None


def highlights(report: SessionReport) -> tuple[Highlight, ...]:
    """At most seven moments in order of time: the marks first of all, then the turns that are worth most."""
    marks = [_of_mark(moment) for moment in report.moments if moment.kind == MARK][:MOST]
    turns = sorted(
        (shift for person in report.participants for shift in shifts(person.participant.id, person.windows)),
        key=lambda shift: (-shift.worth, shift.at_s),
    )
    kept = [
        turn
        for place, turn in enumerate(turns[: MOST - len(marks)])
        if len(marks) + place < LEAST or turn.worth >= WORTH_OF_BEST * turns[0].worth
    ]
    return tuple(sorted([*marks, *kept], key=lambda moment: (moment.at_s, moment.kind)))


def _joined(first: Hold, second: Hold) -> Hold:
    windows = first.windows + second.windows
    confidence = (first.confidence * first.windows + second.confidence * second.windows) / windows
    return replace(first, until_s=second.until_s, windows=windows, confidence=confidence)


def _of_mark(moment: MomentRecord) -> Highlight:
    return Highlight(at_s=moment.at_s, kind=MARK, participant_id=moment.participant_id, text=moment.text)

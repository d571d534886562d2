"""What each speaker sounds like now: pure, data in and data out, no clock.

Only what is *shown* is smoothed. A single window flickers, so the shown tone is a mean over the last seconds of speech
(half-life 4 s of speech, 8 s of silence), and it changes only when another emotion leads clearly, or leads twice in a
row. The stored windows are never touched: reports and exports show what the model said.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ser_engine.types import Prediction, Window

HALF_LIFE_S: Final = 4.0
"""Seconds of speech after which an older window counts half."""
SILENT_HALF_LIFE_S: Final = 8.0
"""Seconds of silence after which it counts half: what was said a minute ago is not how somebody sounds now."""
LEAD: Final = 0.10
"""By how much another emotion must lead to be shown at once."""
UNCLEAR_ON: Final = 0.6
UNCLEAR_OFF: Final = 0.4
"""Shown as unclear above, as clear again below this share of unclear speech."""
OVERALL_S: Final = 60.0
"""How far back the tone of everybody together looks."""
MAX_LATELY: Final = 1_000
"""Windows that are looked back on: a minute of fifty people talking at once."""
MOMENT_GAP_S: Final = 20.0
"""At most one noticed moment a speaker in this time."""

NOT_SPEECH: Final = frozenset({"no_speech", "too_short", "clipped", "silence"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tone:
    """What is shown of a speaker."""

    emotion: str
    confidence: float
    """Smoothed probability of `emotion`."""
    unclear: bool
    heard_until_s: float
    """End of the newest window, seconds since the session's start."""


class SpeakerTone:
    """The smoothed tone of one speaker."""

    def __init__(self) -> None:
        self._probabilities: dict[str, float] = {}
        self._unclear = 0.0
        self._shown: str | None = None
        self._shown_unclear = False
        self._challenger: str | None = None
        self._heard_until_s = 0.0

    @property
    def tone(self) -> Tone | None:
        """None before the first window."""
        if self._shown is None:
            return None
        return Tone(
            emotion=self._shown,
            confidence=self._probabilities[self._shown],
            unclear=self._shown_unclear,
            heard_until_s=self._heard_until_s,
        )

    @property
    def probabilities(self) -> Mapping[str, float]:
        """The smoothed probability of every label; empty before the first window."""
        return dict(self._probabilities)

    def add(self, window: Window, prediction: Prediction) -> Tone:
        """Take in one window; return what is shown now."""
        weight = 1.0
        if self._probabilities:
            speech_s = max(0.2, window.duration_s * window.speech_ratio)
            silent_s = max(0.0, window.start_s - self._heard_until_s)
            weight = 1.0 - 0.5 ** (speech_s / HALF_LIFE_S + silent_s / SILENT_HALF_LIFE_S)
        self._heard_until_s = max(self._heard_until_s, window.end_s)
        if not self._probabilities or prediction.reason not in NOT_SPEECH:
            for label, probability in prediction.probabilities.items():
                before = self._probabilities.get(label, 0.0)
                self._probabilities[label] = before + weight * (probability - before)
        self._unclear += weight * (float(prediction.unclear) - self._unclear)
        self._shown_unclear = self._unclear > (UNCLEAR_OFF if self._shown_unclear else UNCLEAR_ON)
        self._choose()
        tone = self.tone
        assert tone is not None  # noqa: S101  # a window was just added
        return tone

    def _choose(self) -> None:
        leader = max(self._probabilities, key=lambda label: self._probabilities[label])
        if (
            self._shown is None
            or leader == self._shown
            or self._probabilities[leader] - self._probabilities[self._shown] >= LEAD
            or leader == self._challenger
        ):
            self._shown, self._challenger = leader, None
        else:
            self._challenger = leader


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spoken:
    """A clear window, as far as the tone of everybody together needs it."""

    speaker: str
    end_s: float
    speech_s: float
    emotion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A speaker's shown tone turned from one clear emotion to another."""

    speaker: str
    at_s: float
    emotion: str


class Aggregate:
    """All speakers of a session."""

    def __init__(self) -> None:
        self._speakers: dict[str, SpeakerTone] = {}
        self._clear: dict[str, str] = {}
        self._last_shift_s: dict[str, float] = {}
        self._lately: deque[_Spoken] = deque(maxlen=MAX_LATELY)

    def add(self, window: Window, prediction: Prediction) -> Shift | None:
        """Take in a window; return the moment worth noting, if it makes one."""
        speaker = self._speakers.setdefault(window.speaker, SpeakerTone())
        tone = speaker.add(window, prediction)
        if not prediction.unclear:
            speech_s = window.duration_s * window.speech_ratio
            spoken = _Spoken(speaker=window.speaker, end_s=window.end_s, speech_s=speech_s, emotion=prediction.emotion)
            self._lately.append(spoken)
        if tone.unclear:
            return None
        before = self._clear.get(window.speaker)
        self._clear[window.speaker] = tone.emotion
        if before is None or before == tone.emotion:
            return None
        last_s = self._last_shift_s.get(window.speaker)
        if last_s is not None and window.start_s - last_s < MOMENT_GAP_S:
            return None
        self._last_shift_s[window.speaker] = window.start_s
        return Shift(speaker=window.speaker, at_s=window.start_s, emotion=tone.emotion)

    def tone(self, speaker: str) -> Tone | None:
        found = self._speakers.get(speaker)
        return found.tone if found is not None else None

    def overall(self, now_s: float) -> str | None:
        """How everybody together sounded in the last minute: the emotion with most of the clear speech."""
        seconds: dict[str, float] = defaultdict(float)
        for spoken in self._lately:
            if now_s - spoken.end_s <= OVERALL_S:
                seconds[spoken.emotion] += spoken.speech_s
        return max(seconds, key=lambda label: seconds[label], default=None)

    def forget(self, speaker: str) -> None:
        """Drop what is held of a speaker who withdrew."""
        kept = [spoken for spoken in self._lately if spoken.speaker != speaker]
        self._lately = deque(kept, maxlen=MAX_LATELY)
        self._speakers.pop(speaker, None)
        self._clear.pop(speaker, None)
        self._last_shift_s.pop(speaker, None)

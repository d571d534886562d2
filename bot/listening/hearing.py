"""From windows to what people see: each window is recognised, stored, published and added to its speaker's tone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog

from bot.listening.aggregate import Aggregate
from bot.listening.attendance import Attendance
from bot.listening.events import window_event, window_record
from bot.listening.intake import Intake
from bot.listening.moments import Moments
from bot.texts import english
from ser_engine.baseline import SpeakerBaseline
from ser_engine.errors import EngineError
from ser_engine.types import Prediction, Window
from storage.records import MomentRecord

if TYPE_CHECKING:
    from bot.app import App

BATCH: Final = 16
DEADLINE_S: Final = 15.0
COUNTED: Final = ("predictions", "predictions_lost", "windows_withdrawn", "windows_degraded")

_log = structlog.get_logger(__name__)


class Recognition:
    """`changed` is called after each window."""

    def __init__(
        self,
        session_id: str,
        app: App,
        intake: Intake,
        people: Attendance,
        moments: Moments,
        *,
        changed: Callable[[], None],
    ) -> None:
        self.tones = Aggregate()
        self._session_id = session_id
        self._app = app
        self._intake = intake
        self._people = people
        self._moments = moments
        self._changed = changed
        self._baselines: dict[str, SpeakerBaseline] = {}
        self._withdrawals: Counter[str] = Counter()
        """How often each speaker withdrew: a window counts only if it was taken after the last time."""
        self._counts = dict.fromkeys(COUNTED, 0)

    async def run(self) -> None:
        """Until the intake is closed and drained."""
        while windows := await self._intake.take(BATCH):
            since_s = self._intake.since_s
            before = {window.speaker: self._withdrawals[window.speaker] for window in windows}
            try:
                predictions = await self._app.backend.predict(
                    windows,
                    baselines=self._baselines,
                    deadline_s=DEADLINE_S,
                    waited_s=time.monotonic() - since_s[0],
                )
            except EngineError as error:
                self._counts["predictions_lost"] += len(windows)
                _log.warning("windows_lost", session=self._session_id, windows=len(windows), error=error.code)
                continue
            finally:
                for speaker, withdrawals in before.items():
                    if self._withdrawals[speaker] != withdrawals:  # it was begun anew with what they withdrew
                        self._forget_baseline(speaker)
            for window, prediction, whole_s in zip(windows, predictions, since_s, strict=True):
                self._app.delays.observe(time.monotonic() - whole_s)
                self._add(window, prediction, before[window.speaker])

    def forget(self, user_id: int) -> None:
        """A person withdrew: neither the window in the making nor their tone nor their baseline stays."""
        self._withdrawals[str(user_id)] += 1
        self._intake.discard(str(user_id))
        self.tones.forget(str(user_id))
        self._forget_baseline(str(user_id))

    def still_new(self, user_id: int) -> bool:
        """Whether the engine still gets to know this voice: it has heard something of it, and not enough yet."""
        baseline = self._baselines.get(str(user_id))
        return baseline is not None and baseline.heard > 0 and not baseline.settled

    def end(self) -> None:
        """The session is over: no baseline stays."""
        for speaker in list(self._baselines):
            self._forget_baseline(speaker)

    def _forget_baseline(self, speaker: str) -> None:
        if (baseline := self._baselines.pop(speaker, None)) is not None:
            baseline.discard()

    def counters(self) -> dict[str, int]:
        return {**self._intake.counters(), **self._counts}

    def _add(self, window: Window, prediction: Prediction, withdrawals: int) -> None:
        """`withdrawals` is how often its speaker had withdrawn when it was taken: they may be included again by now."""
        participant = self._people.participant(int(window.speaker))
        if participant is None or self._withdrawals[window.speaker] != withdrawals:
            self._counts["windows_withdrawn"] += 1
            return
        self._counts["predictions"] += 1
        record = window_record(participant.id, window, prediction)
        self._app.writer.put(self._session_id, record)
        self._app.bus.publish(self._session_id, "window", window_event(record))
        self._counts["windows_degraded"] += prediction.engine is not None
        if (shift := self.tones.add(window, prediction)) is not None:
            text = english("BEGINS_TO_SOUND", word=english.tone(shift.emotion))
            moment = MomentRecord(at_s=shift.at_s, kind="shift", participant_id=participant.id, text=text)
            self._moments.notice(moment)
        self._changed()

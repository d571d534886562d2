"""When more speech comes than is recognised: a cheaper model answers until it eases, so that nothing is dropped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from ser_engine.decision import Decider
from ser_engine.errors import EngineError
from ser_engine.models import open_directory

log = structlog.get_logger(__name__)

CALM_SHARE: Final = 0.25
"""It eases once windows wait less than this share of what is too long …"""
CALM_S: Final = 10.0
"""… and did so for this many seconds, so that the model does not change to and fro."""
QUIET_S: Final = 10.0
"""It eases, too, when nothing came for so long."""


class Pressure:
    """Told how long each batch's oldest window has waited. `after_s` is too long; 0 never is."""

    def __init__(self, after_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.begun = 0
        """How often it began."""
        self._after_s = after_s
        self._clock = clock
        self._pressed = False
        self._calm_since: float | None = None
        self._noted_at = clock()

    @property
    def pressed(self) -> bool:
        return self._pressed and self._clock() - self._noted_at < QUIET_S

    def give_up(self, why: str) -> None:
        """There is no cheaper model after all."""
        self._after_s, self._pressed = 0.0, False
        log.error("cheaper_model_failed", error=why)

    def note(self, waited_s: float) -> bool:
        """Whether the cheaper model should answer the batch whose oldest window has waited so long."""
        now = self._clock()
        self._pressed, self._noted_at = self.pressed, now
        if not self._pressed:
            if 0 < self._after_s <= waited_s:
                self._pressed, self._calm_since = True, None
                self.begun += 1
            return self._pressed
        if waited_s > self._after_s * CALM_SHARE:
            self._calm_since = None
        elif self._calm_since is None:
            self._calm_since = now
        elif now - self._calm_since >= CALM_S:
            self._pressed = False
        return self._pressed


def stand_in(directory: Path | None) -> Decider | None:
    """What makes answers of what the cheaper model hears; None where there is none, or only a broken one (logged)."""
    try:
        return None if directory is None else Decider(open_directory(directory))
    except EngineError as error:
        log.error("cheaper_model_failed", error=str(error))
        return None

"""The bot's one reaction on the panel: how everybody together sounded in the last minute, changed at most that often.

The panel says the same in words: an emoji never carries a meaning alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from bot.listening.clock import Clock
from bot.listening.panel import Panel
from bot.listening.surface import DISCORD_TROUBLE, Posted, Surface, SurfaceGone
from bot.pictures import palette

EVERY_S: Final = 60.0

_log = structlog.get_logger(__name__)


class Reaction:
    """`overall` gives the label of the last minute, None when nothing was clear."""

    def __init__(self, surface: Surface, panel: Panel, clock: Clock, overall: Callable[[], str | None]) -> None:
        self._surface = surface
        self._panel = panel
        self._clock = clock
        self._overall = overall
        self._shown: tuple[Posted, str] | None = None
        self.label: str | None = None
        """What it says, for the panel's words."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(EVERY_S)
            await self._show()

    async def _show(self) -> None:
        label, posted = self._overall(), self._panel.posted
        self.label = label
        self._panel.touch()
        emoji = palette.tone(label).emoji if label is not None else None
        wanted = (posted, emoji) if posted is not None and emoji is not None else None
        if posted is None or wanted == self._shown:
            return
        before = self._shown[1] if self._shown is not None and self._shown[0] == posted else None
        try:
            await self._surface.react(posted, emoji, instead_of=before)
        except (SurfaceGone, *DISCORD_TROUBLE) as error:  # the panel's words say it as well
            _log.info("reaction_not_shown", error=type(error).__name__)
        else:
            self._shown = wanted

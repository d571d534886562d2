"""The one panel message of a session: edited at most once in 5 s and only on a change.

Discord limits edits of messages older than an hour (error 30046), and a panel that scrolled away helps nobody, so it
moves to the end of the channel every 50 minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from bot.cards import Card
from bot.listening.clock import Clock
from bot.listening.surface import DISCORD_TROUBLE, Surface, SurfaceGone

EDIT_GAP_S: Final = 5.0
MAX_AGE_S: Final = 50 * 60.0

_log = structlog.get_logger(__name__)


class Panel:
    """Keeps one message true. `render` gives what it should say now."""

    def __init__(self, surface: Surface, clock: Clock, render: Callable[[], Card]) -> None:
        self._surface = surface
        self._clock = clock
        self._render = render
        self._changed = asyncio.Event()
        self._shown: Card | None = None
        self._edited_s = 0.0
        self._posted_s = 0.0
        self.message_id: int | None = None
        self.edits = 0
        self.failures = 0

    async def open(self) -> None:
        """Post it. Raises what the surface raises."""
        card = self._render()
        self.message_id = await self._surface.post(card)
        self._shown = card
        self._edited_s = self._posted_s = self._clock.monotonic_s()

    def touch(self) -> None:
        """Something may have changed."""
        self._changed.set()

    async def run(self) -> None:
        """Keep it true until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            wait_s = self._edited_s + EDIT_GAP_S - self._clock.monotonic_s()
            if wait_s > 0:
                await self._clock.sleep(wait_s)
            await self.refresh()

    async def refresh(self) -> None:
        """Edit or repost if that is due now. Never raises: a failed edit is counted and tried with the next change."""
        now_s = self._clock.monotonic_s()
        if self.message_id is None or now_s - self._edited_s < EDIT_GAP_S:
            return
        try:
            if now_s - self._posted_s >= MAX_AGE_S:
                await self._repost()
                return
            card = self._render()
            if card == self._shown:
                return
            self._edited_s = now_s
            await self._surface.edit(self.message_id, card)
            self._shown = card
            self.edits += 1
        except SurfaceGone:
            await self._replace_deleted()
        except DISCORD_TROUBLE as error:
            self._failed(error)

    async def close(self, card: Card) -> None:
        """Say a last thing in it and leave it without buttons."""
        if self.message_id is None:
            return
        try:
            await self._surface.edit(self.message_id, card)
        except SurfaceGone:
            pass
        except DISCORD_TROUBLE as error:
            self._failed(error)

    async def _repost(self) -> None:
        old = self.message_id
        await self.open()
        if old is not None:
            await self._surface.remove(old)

    async def _replace_deleted(self) -> None:
        """Somebody deleted it: people must still see that the bot listens."""
        try:
            await self.open()
        except (SurfaceGone, *DISCORD_TROUBLE) as error:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        self.failures += 1
        _log.warning("panel_not_shown", error=type(error).__name__, status=getattr(error, "status", None))

"""The one panel message of a session: edited at most once in 5 s and only on a change.

Discord limits edits of messages older than an hour (error 30046), and a panel that scrolled away helps nobody, so it
moves to the end of the channel every 50 minutes. Somebody may delete it, or take away the channel or the permission to
write there: it is posted anew where people can see it, and `lost` is told when there is no such place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from bot.cards import Card
from bot.listening.clock import Clock
from bot.listening.surface import DISCORD_TROUBLE, NoPlace, Posted, Surface, SurfaceGone
from storage.records import MessageKind

EDIT_GAP_S: Final = 5.0
MAX_AGE_S: Final = 50 * 60.0

_log = structlog.get_logger(__name__)


class Panel:
    """Keeps one message true. `render` gives what it should say now."""

    def __init__(
        self, surface: Surface, clock: Clock, render: Callable[[], Card], *, lost: Callable[[], None] = lambda: None
    ) -> None:
        self._surface = surface
        self._clock = clock
        self._render = render
        self._lost = lost
        self._changed = asyncio.Event()
        self._shown: Card | None = None
        self._misplaced = False
        """It was deleted, or stands where it cannot be kept true: post it anew."""
        self._edited_s = 0.0
        self._posted_s = 0.0
        self.posted: Posted | None = None
        self._posting = False
        self._before: list[Posted] = []
        """Older ones that are not known to be removed, and the last one until it says that it is over."""
        self.edits = 0
        self.failures = 0

    @property
    def message_id(self) -> int | None:
        return None if self.posted is None else self.posted.message_id

    async def open(self) -> None:
        """Post it. Raises what the surface raises."""
        card = self._render()
        self._edited_s = self._clock.monotonic_s()
        self._posting = True
        try:
            self.posted = await self._surface.post(card, MessageKind.PANEL)
        finally:
            self._posting = False
        self._shown, self._misplaced = card, False
        self._posted_s = self._edited_s

    def touch(self) -> None:
        """Something may have changed."""
        self._changed.set()

    def deleted(self, message_id: int) -> None:
        """A message was deleted in Discord; when it is the panel, people must see again that the bot listens."""
        if self.posted is not None and self.posted.message_id == message_id:
            self._misplaced = True
            self.touch()

    def check_place(self) -> None:
        """People, channels or permissions have changed."""
        self.touch()
        with suppress(SurfaceGone):  # the client has ended; the next one tells it again
            if self.posted is not None and not self._surface.stands_well(self.posted):
                self._misplaced = True

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
        if self._posting or now_s - self._edited_s < EDIT_GAP_S:
            return
        try:
            if self.posted is None or self._misplaced or now_s - self._posted_s >= MAX_AGE_S:
                await self._repost()
                return
            card = self._render()
            if card == self._shown:
                return
            self._edited_s = now_s
            await self._surface.edit(self.posted, card)
            self._shown = card
            self.edits += 1
        except NoPlace:
            if self.posted is not None:  # else another notice was enough from the start
                self._lost()
        except SurfaceGone:
            self._misplaced = True
            self.touch()
        except DISCORD_TROUBLE as error:
            self._failed(error)

    async def close(self, card: Card) -> None:
        """Say a last thing in it and leave it without buttons, and no older one beside it. One that Discord does not
        let be changed is deleted."""
        if self.posted is None:
            return
        if self.posted not in self._before:
            self._before.append(self.posted)
        try:
            await self._surface.edit(self.posted, card)
        except SurfaceGone:
            pass
        except DISCORD_TROUBLE as error:
            self._failed(error)
        else:
            self._before.remove(self.posted)
        with suppress(SurfaceGone, *DISCORD_TROUBLE):
            await self._remove_before()

    @property
    def left(self) -> list[Posted]:
        """After `close`, or when it was cut off: what still says that the bot listens."""
        return list(self._before)

    async def _repost(self) -> None:
        old = self.posted
        await self.open()
        if old is not None:
            self._before.append(old)
        await self._remove_before()

    async def _remove_before(self) -> None:
        while self._before:  # cut off in between, it is removed later: it would say for ever that the bot listens
            await self._surface.remove(self._before[-1])
            self._before.pop()

    def _failed(self, error: BaseException) -> None:
        self.failures += 1
        _log.warning("panel_not_shown", error=type(error).__name__, status=getattr(error, "status", None))

"""While nobody is included the bot is shown deafened: how people see that it hears nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from bot.listening.surface import DISCORD_TROUBLE, Surface, SurfaceGone

WAIT_S: Final = 2.0
"""Discord is slow to take requests at times, and somebody waits for the answer to their press."""


class Deafening:
    """`deaf` tells whether nobody is included. `over` tells whether the bot is leaving: showing the sign then would
    ask Discord to let it in again."""

    def __init__(self, surface: Surface, *, deaf: Callable[[], bool], over: Callable[[], bool]) -> None:
        self._surface = surface
        self._deaf = deaf
        self._over = over
        self._joined = asyncio.Event()

    def joined(self) -> None:
        """The bot is in the channel, for the first time or again."""
        self._joined.set()

    async def run(self) -> None:
        """Discord shows the sign only while the bot is in a channel, so it is set anew each time the bot has joined."""
        while True:
            await self._joined.wait()
            self._joined.clear()
            await self.show()

    async def show(self) -> None:
        """Show it as it is now, or give up after `WAIT_S`."""
        if self._over():
            return
        with suppress(SurfaceGone, *DISCORD_TROUBLE):
            async with asyncio.timeout(WAIT_S):
                await self._surface.deafen(deaf=self._deaf())

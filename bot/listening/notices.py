"""The three notices that somebody listens: the panel, the channel's status line and a chime.

Nobody is taken before one of them is shown. At the end the status line goes before the link does: Discord lets only
those set it who are in the channel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

import structlog

from bot.errors import NotPossible, VoiceFailed
from bot.listening.call import Call
from bot.listening.chime import chime_pcm
from bot.listening.ends import quietly
from bot.listening.panel import Panel
from bot.listening.surface import DISCORD_TROUBLE, Surface, SurfaceGone

NOTICE_S: Final = 5.0
CLEAR_S: Final = 2.0

_log = structlog.get_logger(__name__)


class Notices:
    def __init__(self, session_id: str, surface: Surface, panel: Panel, call: Call) -> None:
        self._session_id = session_id
        self._surface = surface
        self._panel = panel
        self._call = call
        self._shown: set[str] = set()

    async def show_panel(self) -> None:
        """Before the bot joins: people see why it comes."""
        await self._show("panel", self._panel.open())

    async def show_in_voice(self) -> None:
        """The notices that need the connection. Raises NotPossible when there is none at all."""
        await self._show("status", self._surface.show_status(self._surface.texts.VOICE_STATUS))
        await self._show("chime", self._chime())
        if not self._shown:
            raise NotPossible("NO_NOTICE")
        _log.info("notices_shown", session=self._session_id, notices=sorted(self._shown))

    async def clear(self) -> None:
        """Take the status line away. Never raises."""
        if "status" in self._shown:
            await quietly("status", self._surface.show_status(None), CLEAR_S)

    async def _chime(self) -> None:
        await self._call.play(await asyncio.to_thread(chime_pcm))

    async def _show(self, kind: str, showing: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(NOTICE_S):
                await showing
        except (VoiceFailed, SurfaceGone, *DISCORD_TROUBLE) as error:
            _log.info("notice_not_shown", session=self._session_id, kind=kind, error=type(error).__name__)
        else:
            self._shown.add(kind)

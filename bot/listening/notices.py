"""The notices that somebody listens: the panel, the channel's status line and a chime.

A notice counts only when people can perceive it, and without one that counts there is no session. Who is included by a
standing answer pressed nothing today, so they are told, with a button to leave. At the end the status line that people
had written is put back, and that goes before the link does: Discord lets only those set it who are in the channel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

import structlog

from bot.cards import Buttons, Card
from bot.errors import NotPossible, VoiceFailed
from bot.listening.call import Call
from bot.listening.chime import chime_pcm
from bot.listening.clock import Clock
from bot.listening.ends import quietly
from bot.listening.panel import Panel
from bot.listening.surface import DISCORD_TROUBLE, Posted, Surface, SurfaceGone
from bot.texts import LANGUAGES, of
from storage.records import MessageKind

NOTICE_S: Final = 5.0
READ_S: Final = 2.0
CLEAR_S: Final = 2.0
TAKE_BACK_S: Final = 5.0
"""For all messages together."""
GATHER_S: Final = 1.0
"""People who come together are told in one message."""
CHIME_GAP_S: Final = 10.0
"""At most one chime in this time."""
OWN_STATUS_LINES: Final = frozenset(of(language).VOICE_STATUS for language in LANGUAGES)
"""What the bot writes there, in any language."""
MAX_TOLD: Final = 20
"""People named in one message."""

_log = structlog.get_logger(__name__)


class Notices:
    """`included` tells whether somebody is heard now."""

    def __init__(
        self,
        session_id: str,
        surface: Surface,
        panel: Panel,
        call: Call,
        clock: Clock,
        *,
        included: Callable[[int], bool],
    ) -> None:
        self._session_id = session_id
        self._surface = surface
        self._panel = panel
        self._call = call
        self._clock = clock
        self._included = included
        self._shown: set[str] = set()
        self._status_before: str | None = None
        self._to_tell: dict[int, None] = {}
        """In order of arrival."""
        self._told: set[int] = set()
        self._wake = asyncio.Event()
        self._messages: list[Posted] = []
        self._late: dict[asyncio.Task[object], str] = {}
        """Notices that Discord has not taken yet, and what they are."""
        self._chimed_s: float | None = None
        self.line_left = False
        """Discord was slow: the status line may still say that the bot listens."""

    async def show_panel(self) -> None:
        """Before the bot joins: people see why it comes."""
        await self._show("panel", self._panel.open())

    async def show_in_voice(self) -> None:
        """The notices that need the connection. Raises NotPossible when no notice counts."""
        self._status_before = await self._read_status()
        await self._show("status", self._surface.show_status(self._surface.texts.VOICE_STATUS))
        await self._show("chime", self._chime())
        if not self._shown:
            raise NotPossible("NO_NOTICE")
        _log.info("notices_shown", session=self._session_id, notices=sorted(self._shown))

    def tell(self, user_id: int) -> None:
        """A standing answer includes this person: tell them once."""
        if user_id not in self._told:
            self._told.add(user_id)
            self._to_tell[user_id] = None
            self._wake.set()

    async def run(self) -> None:
        """Tell people until cancelled."""
        while True:
            await self._wake.wait()
            await self._clock.sleep(GATHER_S)
            self._wake.clear()
            people = [user_id for user_id in self._to_tell if self._included(user_id)]
            self._told.difference_update(self._to_tell.keys() - set(people))  # they went, and may come again
            self._to_tell.clear()
            for at in range(0, len(people), MAX_TOLD):
                await self._show("standing", self._post(people[at : at + MAX_TOLD]))
            if people:
                await self._show("chime", self._chime())

    async def clear(self) -> None:
        """Put people's own status line back. Never raises. What Discord has not taken by now is not shown any more."""
        tried = self._shown.union(self._late.values())  # Discord may show what is cut off here
        for task in self._late:
            task.cancel()
        if self._late:
            await asyncio.wait(self._late, timeout=CLEAR_S)
        if "status" in tried:
            await quietly("status", self._put_back(), CLEAR_S)

    async def clear_line(self) -> None:
        """After the end, where Discord was slow to take the line before it: whoever is out has to look in for that."""
        if await self._surface.status() in OWN_STATUS_LINES:
            async with self._surface.looking_in():
                await self._put_back()

    async def _put_back(self) -> None:
        self.line_left = True  # until Discord says that it has it, or why not
        try:
            await self._surface.show_status(self._status_before)
        except (SurfaceGone, *DISCORD_TROUBLE):
            self.line_left = False
            raise
        self.line_left = False

    async def take_back(self) -> None:
        """Take the messages to single people away; they may be many, and Discord slow. Never raises."""
        await quietly("notices", self._remove_messages(), TAKE_BACK_S)
        await quietly("notices", self._remove_later(), CLEAR_S)

    async def _remove_messages(self) -> None:
        for message in tuple(self._messages):
            await quietly("notice", self._remove(message), CLEAR_S)

    async def _remove(self, message: Posted) -> None:
        await self._surface.remove(message)
        self._messages.remove(message)

    async def _remove_later(self) -> None:
        """What there was no time for."""
        for message in self._messages:
            await self._surface.remove_later(message)

    async def _post(self, people: list[int]) -> None:
        texts = self._surface.texts
        card = Card(title=texts.STANDING_TITLE, text=texts.STANDING_TOLD, buttons=Buttons.LEAVE)
        self._messages.append(await self._surface.post(card, MessageKind.NOTICE, mention=people))

    async def _read_status(self) -> str | None:
        """What people wrote. What a killed process of the bot left there is not theirs."""
        try:
            async with asyncio.timeout(READ_S):
                status = await self._surface.status()
        except (SurfaceGone, *DISCORD_TROUBLE):
            return None
        return None if status in OWN_STATUS_LINES else status

    async def _chime(self) -> None:
        now_s = self._clock.monotonic_s()
        if self._chimed_s is not None and now_s - self._chimed_s < CHIME_GAP_S:
            return
        if not self._surface.audible():
            raise VoiceFailed("VOICE_FAILED")
        self._chimed_s = now_s
        await self._call.play(await asyncio.to_thread(chime_pcm))

    async def _show(self, kind: str, showing: Coroutine[Any, Any, object]) -> None:
        """Show a notice. One that Discord is slow to take is not waited for, and counts when it is there.

        Nobody would know of one that was cut off whether it is, and it would say for ever that somebody listens.
        """
        task = asyncio.create_task(showing, name=f"notice-{kind}-{self._session_id}")
        try:
            await asyncio.wait({task}, timeout=NOTICE_S)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        if not task.done():
            _log.info("notice_not_shown", session=self._session_id, kind=kind, error=TimeoutError.__name__)
            self._late[task] = kind
            task.add_done_callback(partial(self._came_late, kind))
            return
        try:
            task.result()
        except (VoiceFailed, SurfaceGone, *DISCORD_TROUBLE) as error:
            _log.info("notice_not_shown", session=self._session_id, kind=kind, error=type(error).__name__)
        else:
            self._shown.add(kind)

    def _came_late(self, kind: str, task: asyncio.Task[object]) -> None:
        del self._late[task]
        if task.cancelled():
            return
        if (error := task.exception()) is None:
            self._shown.add(kind)
        else:
            _log.info("notice_not_shown", session=self._session_id, kind=kind, error=type(error).__name__)

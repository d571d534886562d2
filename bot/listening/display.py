"""What people see of a session while it runs: the panel, its reaction, and the notices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bot.cards import Card
from bot.listening.call import Call
from bot.listening.clock import Clock
from bot.listening.notices import Notices
from bot.listening.panel import Panel
from bot.listening.reaction import Reaction
from bot.listening.surface import Surface


class Display:
    """`render` gives the panel, `overall` the tone of everybody together; `lost`: people can see no panel any more.
    `included` tells whether somebody is heard now."""

    def __init__(
        self,
        session_id: str,
        surface: Surface,
        call: Call,
        clock: Clock,
        *,
        render: Callable[[], Card],
        overall: Callable[[], str | None],
        lost: Callable[[], None],
        included: Callable[[int], bool],
    ) -> None:
        self._session_id = session_id
        self.panel = Panel(surface, clock, render, lost=lost)
        self.notices = Notices(session_id, surface, self.panel, call, clock, included=included)
        self.reaction = Reaction(surface, self.panel, clock, overall)

    async def run(self) -> None:
        """Keep all of it true until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.panel.run(), name=f"panel-{self._session_id}")
            tasks.create_task(self.notices.run(), name=f"notices-{self._session_id}")
            tasks.create_task(self.reaction.run(), name=f"reaction-{self._session_id}")

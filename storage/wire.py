"""Short messages between the processes that share one PostgreSQL, by its LISTEN and NOTIFY.

Each process holds one connection: it listens, sends, and by its name in ``pg_stat_activity`` says that the process
lives. Nothing of a message reaches a table. A connection that breaks is made anew, with a growing pause; what was sent
meanwhile waits in a bounded queue, and what others said meanwhile is lost, so whoever listens is told of each new
connection and looks into the tables.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import structlog
from sqlalchemy import text

from storage.database import Database
from storage.patience import be_missed

CHANNEL: Final = "undertone"
NAME: Final = "undertone/"
"""What the connection of each process is called, before the process' own name."""
LONGEST_BYTES: Final = 7_900
"""Of one notification; PostgreSQL takes 7,999."""
QUEUE_MESSAGES: Final = 5_000
BEAT_S: Final = 10.0
ANSWER_S: Final = 5.0
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 10.0

_log = structlog.get_logger(__name__)


class Wire:
    """One process' end. `heard` is called with the sender's name and a message; it must be quick, and own messages
    are left out. `connected` is awaited after each new connection."""

    def __init__(
        self,
        database: Database,
        me: str,
        *,
        heard: Callable[[str, str], None],
        connected: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._me: Final = me
        self._heard = heard
        self._connected = connected
        self._waiting: deque[str] = deque()
        self._wake = asyncio.Event()
        self._counts = dict.fromkeys(("sent", "received", "dropped", "too_long", "reconnects"), 0)
        self.up = False
        """Whether the others can be heard now."""

    def send(self, message: str) -> bool:
        """Queue one message without line breaks for everybody else. False when it is too long to be sent."""
        if len(message.encode()) + len(self._me) + 1 > LONGEST_BYTES:
            self._counts["too_long"] += 1
            return False
        if len(self._waiting) >= QUEUE_MESSAGES:
            self._waiting.popleft()
            self._counts["dropped"] += 1
        self._waiting.append(message)
        self._wake.set()
        return True

    def counters(self) -> dict[str, int]:
        return {**self._counts, "waiting": len(self._waiting), "connected": int(self.up)}

    async def run(self) -> None:
        """Listen and send until cancelled."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                async with self._database.line() as line:
                    await self._open(line)
                    pause_s = FIRST_PAUSE_S
                    await self._work(line)
            except Exception as error:  # noqa: BLE001  # whatever broke it, the connection is made anew
                _log.warning("wire_broke", error=type(error).__name__, retry_in_s=pause_s)
            finally:
                self.up = False
            self._counts["reconnects"] += 1
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311  # spreads reconnects, hides nothing
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _open(self, line: Any) -> None:
        await be_missed(line)
        name = NAME + self._me
        await line.execute("SELECT set_config('application_name', $1, false)", name, timeout=ANSWER_S)
        await line.add_listener(CHANNEL, self._notified)
        line.add_termination_listener(lambda _: self._wake.set())
        self.up = True
        await self._connected()

    async def _work(self, line: Any) -> None:
        while not line.is_closed():
            if not self._waiting:
                self._wake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_S):
                        await self._wake.wait()
            if not self._waiting:
                await line.execute("SELECT 1", timeout=ANSWER_S)
                continue
            pack = self._pack()
            try:
                await line.execute("SELECT pg_notify($1, $2)", CHANNEL, "\n".join([self._me, *pack]), timeout=ANSWER_S)
            except BaseException:
                self._waiting.extendleft(reversed(pack))  # sent twice at worst; whoever hears it can tell
                raise
            self._counts["sent"] += len(pack)
        raise ConnectionError("the connection was closed")

    def _pack(self) -> list[str]:
        """As many messages as one notification holds."""
        pack, left = [], LONGEST_BYTES - len(self._me)
        while self._waiting and (left := left - len(self._waiting[0].encode()) - 1) >= 0:
            pack.append(self._waiting.popleft())
        return pack

    def _notified(self, _line: Any, _pid: int, _channel: str, payload: str) -> None:
        sender, *messages = payload.split("\n")
        if sender == self._me:
            return
        self._counts["received"] += len(messages)
        for message in messages:
            self._heard(sender, message)


async def living(database: Database) -> frozenset[str]:
    """The names of the processes that hold a wire to this database now."""
    query = text(
        "SELECT substr(application_name, :begin) FROM pg_stat_activity "
        "WHERE datname = current_database() AND starts_with(application_name, :name)"
    )
    async with database.transaction() as db:
        return frozenset(await db.scalars(query, {"begin": len(NAME) + 1, "name": NAME}))

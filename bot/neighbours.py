"""The other processes that share the database: what they and this one tell each other, and what is done for one that
died.

- Live events. A session runs in one process; its events go to all, with their numbers, so that any process can show it
  live and a page may go on at another one. What is lost on the way is noticed by its number, and the pages read anew.
- Deletion. Whoever deletes their data may do it where another process has the server. That one takes them out of its
  sessions and says so before the rows go.
- Death. A process whose connection is gone from the database twice in a row, while this one's holds, has died. Its
  sessions are closed as interrupted; what they left in Discord is put right by the process that has, or gets, their
  server's shard.
- Shards. Each says which it has, so each knows of those that no process has.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

import structlog

from bot.listening.events import state_event
from bot.listening.follower import LiveEvent
from bot.listening.recovery import recover
from bot.sharding import EVERY, Shards
from storage.errors import StorageError
from storage.records import SessionRecord, SessionState

if TYPE_CHECKING:
    from bot.app import App

LOOK_EVERY_S: Final = 5.0
STEADY_S: Final = 25.0
"""How long this process' own connection must hold before another's absence counts: after an outage of the database all
of them come back, each after its pause."""
ANSWER_S: Final = 2.0
"""How long a deletion waits for the others; then the rows go, and what they still write of the person is not stored."""
MAX_REQUESTS: Final = 1_000
RENEW_EVERY_S: Final = 30.0
"""Between two looks for messages that speak of somebody who was deleted: whoever asks meanwhile has the next one."""

_log = structlog.get_logger(__name__)


class Neighbours:
    """Of one process. On a database that cannot be shared there are none, and nothing is told.

    A process without `shards` has all servers. Another one may be there all the same, as the old one in an upgrade.
    """

    def __init__(self, app: App, me: str, shards: Shards | None, *, look_every_s: float = LOOK_EVERY_S) -> None:
        self._app = app
        self._me = me
        self._shards = shards or EVERY
        self._look_every_s = look_every_s
        self._requests: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MAX_REQUESTS)
        self._renewal = asyncio.Event()
        self._answers: dict[str, asyncio.Queue[str]] = {}
        self._since_s: float | None = None
        """When the connection was made that holds now."""
        self._missing: set[str] = set()
        """Owners of sessions that were not seen at the last look."""
        self._twice: set[str] = set()
        """Who has servers that this process has, too."""
        self._theirs: dict[str, Shards] = {}
        """What each of the others has, by its name."""
        self._unserved: list[int] = []
        """Shards that no process had at the last look."""
        self._counts = dict.fromkeys(("refused", "unanswered", "died", "reclaimed"), 0)
        shared = app.storage.shared
        self._wire = app.storage.wire(me, heard=self._heard, connected=self._connected) if shared else None
        if self._wire is not None:
            app.bus.tell = self._tell_event

    def ready(self) -> dict[str, bool]:
        """Whether they can be heard, if there are any."""
        return {} if self._wire is None else {"neighbours": self._wire.up}

    @property
    def owner(self) -> str | None:
        """Whom this process' sessions belong to, where others have to know."""
        return self._me if self._wire is not None else None

    def has(self, guild_id: int | None) -> bool:
        """Whether this process has a server; private conversations are on the first shard."""
        return self._shards.has(guild_id or 0)

    def counters(self) -> dict[str, int]:
        if self._wire is None:
            return {}
        shards = {"shards_served_twice": len(self._twice), "shards_unserved": len(self._unserved)}
        return {**self._counts, **shards, **self._wire.counters()}

    async def run(self) -> None:
        """Until cancelled."""
        if self._wire is None:
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._wire.run(), name="neighbours-wire")
            tasks.create_task(self._work(), name="neighbours-requests")
            tasks.create_task(self._renew(), name="neighbours-renewal")
            tasks.create_task(self._look(), name="neighbours-look")

    # --- said

    def forget(self, session_ids: Collection[str]) -> None:
        """The live events of these sessions are to be forgotten: something of them was deleted."""
        for session_id in session_ids:
            self._say({"t": "forget", "session": session_id})

    async def leave_everything(self, user_id: int, guild_id: int | None, interaction_id: int) -> None:
        """Have a person taken out of whatever runs elsewhere; returns when that is done, or after a bounded wait."""
        if self._wire is None or (guild_id is not None and self.has(guild_id)):
            return
        number, answers = secrets.token_hex(4), asyncio.Queue[str](MAX_REQUESTS)
        self._answers[number] = answers
        try:
            expected = set(await self._app.storage.living()) - {self._me}
            person = self._app.storage.sealed(user_id)  # no id in the clear, not even in a message that is kept nowhere
            self._say({"t": "leave", "n": number, "who": person, "guild": guild_id, "by": interaction_id})
            async with asyncio.timeout(ANSWER_S):
                while expected:
                    expected.discard(await answers.get())
        except TimeoutError:
            self._counts["unanswered"] += 1
            _log.warning("neighbours_did_not_answer")
        finally:
            del self._answers[number]

    def deleted(self, user_id: int, guild_id: int | None) -> None:
        """A person's rows are gone: what was asked about them before, elsewhere, is not answered."""
        if self._wire is not None and (guild_id is None or not self.has(guild_id)):
            self._say({"t": "deleted", "who": self._app.storage.sealed(user_id)})

    def renew(self) -> None:
        """Messages in Discord speak of somebody who was deleted: each process writes those of its servers anew."""
        self._say({"t": "renew"})

    def _tell_event(self, session_id: str, series: int, event: LiveEvent) -> None:
        about = {"t": "event", "session": session_id, "series": series, "id": event.id}
        if not self._say({**about, "kind": event.kind, "data": event.data}):  # too long: it is read from the database
            self._say({**about, "kind": "reset", "data": {}})

    def _say(self, message: dict[str, Any]) -> bool:
        if self._wire is None:
            return True
        return self._wire.send(json.dumps(message, separators=(",", ":"), default=str))

    # --- heard

    def _heard(self, sender: str, message: str) -> None:
        said = json.loads(message)
        match said["t"]:
            case "event" if any(session.record.id == said["session"] for session in self._app.sessions.running()):
                _log.warning("own_session_told", session=said["session"], by=sender)  # taken for dead, and reclaimed
            case "event":
                self._app.bus.take(said["session"], said["series"], said["id"], said["kind"], said["data"])
            case "forget":
                self._app.bus.forget(said["session"])
            case "left" if said["n"] in self._answers:
                self._answers[said["n"]].put_nowait(sender)
            case "hello" if said.get("to") in (None, self._me):
                self._met(sender, Shards(tuple(said["shards"]), said["of"]))
                if said.get("to") is None:  # it came later, and has not heard this one's
                    self._say({**self._hello(), "to": sender})
            case "deleted":
                self._app.withdrawals.note(self._app.storage.unsealed(said["who"]))
            case "renew":
                self._renewal.set()
            case "leave":
                try:
                    self._requests.put_nowait(said)
                except asyncio.QueueFull:
                    self._counts["refused"] += 1

    def _hello(self) -> dict[str, Any]:
        return {"t": "hello", "shards": self._shards.ids, "of": self._shards.count}

    def _met(self, sender: str, theirs: Shards) -> None:
        """Another process says which servers it has."""
        self._theirs[sender] = theirs
        if twice := self._shards.common(theirs):
            self._twice.add(sender)
            _log.error("shards_served_twice", shards=twice, of=str(self._shards), by=sender, theirs=str(theirs))

    async def _work(self) -> None:
        """Take people out who delete their data elsewhere."""
        while True:
            said = await self._requests.get()
            try:
                user_id = self._app.storage.unsealed(said["who"])
                self._app.withdrawals.note(user_id)
                await self._app.sessions.leave_everything(user_id, said["guild"], said["by"])
                traces = await self._app.storage.traces_of(user_id, said["guild"])
                self._app.writer.forget(traces.participants)
            except Exception as error:  # noqa: BLE001  # the sender stops waiting, and the hourly round does the rest
                _log.warning("request_failed", what=said["t"], error=_code(error))
                continue
            self._say({"t": "left", "n": said["n"]})

    async def _renew(self) -> None:
        """Write anew what speaks of people who deleted their data elsewhere. Discord may take long over it."""
        while True:
            await self._renewal.wait()
            await self._app.connected()
            self._renewal.clear()
            try:
                await self._app.deletions.remove_doomed()
            except Exception as error:  # noqa: BLE001  # the hourly round does the rest
                _log.warning("request_failed", what="renew", error=_code(error))
            await self._app.clock.sleep(RENEW_EVERY_S)

    async def _connected(self) -> None:
        """What was said while this process could not hear is lost, so the tables are asked."""
        app = self._app
        self._since_s = app.clock.monotonic_s()
        self._twice = set()
        self._say(self._hello())
        running = {session.record.id: session for session in app.sessions.running()}
        if running and (again := await app.storage.owners.reclaim(self._me, running)):
            self._counts["reclaimed"] += len(again)
            _log.warning("sessions_reclaimed", sessions=len(again))
            self.forget(again)  # the others hold them as ended
        for session in running.values():
            stored = {participant.id for participant in await app.storage.participants(session.record.id)}
            for user_id in session.people.included_ids():
                participant = session.people.participant(user_id)
                if participant is not None and participant.id not in stored:
                    # After whatever they pressed: by Discord's clock, with which this machine's need not agree.
                    await session.people.exclude(user_id, session.people.book.newest(user_id) + 1)
        for session_id in app.bus.held():  # of all of them something may have been deleted, so pages read anew
            record = await app.storage.session(session_id)
            if record is not None and record.state is not SessionState.LIVE and session_id not in running:
                app.bus.take(session_id, 0, 0, "state", _end_of(record))
            app.bus.forget(session_id)

    def _note_unserved(self, shards: list[int]) -> None:
        if shards and shards != self._unserved:
            _log.warning("shards_unserved", shards=shards, of=self._shards.count)
        elif self._unserved and not shards:
            _log.info("shards_are_all_served", of=self._shards.count)
        self._unserved = shards

    # --- died

    async def _look(self) -> None:
        """Close what processes that died left open."""
        while True:
            await asyncio.sleep(self._look_every_s)
            try:
                await self._look_once()
            except StorageError as error:
                _log.warning("neighbours_not_seen", error=error.code)

    @property
    def _steady(self) -> bool:
        if self._wire is None or not self._wire.up or self._since_s is None:
            return False
        return self._app.clock.monotonic_s() - self._since_s >= STEADY_S

    async def _look_once(self) -> None:
        storage = self._app.storage
        if not self._steady:
            self._missing = set()
            return
        living = await storage.living()
        self._twice &= living
        self._theirs = {name: shards for name, shards in self._theirs.items() if name in living}
        self._note_unserved(self._shards.unserved(self._theirs.values()))
        missing = await storage.owners.owners() - living - {self._me}
        dead, self._missing = missing & self._missing, missing
        if not dead:
            return
        self._counts["died"] += len(dead)
        records = await storage.owners.interrupt_of(dead)
        for record in records:
            _log.warning("session_was_interrupted", session=record.id, guild=record.guild_id)
            self._app.bus.publish(record.id, "state", _end_of(record))
        if own := [record for record in records if self.has(record.guild_id)]:
            self._app.spawn(recover(self._app, own), "recovery-of-others")


def _end_of(record: SessionRecord) -> dict[str, Any]:
    return state_event(record.state, link=None, reason=record.end_reason)


def _code(error: Exception) -> str:
    return error.code if isinstance(error, StorageError) else type(error).__name__

"""All sessions of the process: at most one a server. Turns what Discord reports into what a session should do."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from bot.errors import NotPossible
from bot.listening.ends import EndReason
from bot.listening.hearing import COUNTED
from bot.listening.intake import Intake
from bot.listening.session import ListeningSession
from bot.listening.standing import StandingAnswers
from bot.voice.counters import ReceiveCounters
from storage.records import Decision, NewSession, Purpose, ServerSettings

if TYPE_CHECKING:
    from bot.app import App

STOP_WITHIN_S: Final = 6.0
NOTHING_YET: Final = {
    **ReceiveCounters().as_dict(),
    **Intake(lambda _: False).counters(),
    **dict.fromkeys((*COUNTED, "moments", "marks_refused", "people_not_included", "panel_edits"), 0),
}
"""Every counter of a session at 0. Prometheus sees no rise in a counter that first appears with a 1."""
NOT_TOTALS: Final = frozenset({"windows_waiting", "people_not_included"})
"""Counts of the moment: they end with their session, and are not added up."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    guild_id: int
    channel_id: int
    channel: Any
    """What the voice connector joins."""
    started_by: int
    present: Callable[[], Iterable[tuple[int, bool]]]
    """Asks for the user ids of those in the channel now, and whether each is a bot."""
    asked_in: int | None
    """The channel where the command was typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceChange:
    """Somebody's voice state changed."""

    guild_id: int
    user_id: int
    bot: bool
    itself: bool
    """It is this bot's own."""
    before_id: int | None
    after_id: int | None
    server_deaf: bool
    unasked: bool = False
    """The database did not tell what the person answered before: they are excluded until it does."""


class SessionManager:
    def __init__(self, app: App) -> None:
        self._app = app
        self._sessions: dict[int, ListeningSession] = {}
        self._starting: dict[int, list[tuple[int, int]]] = {}
        """By server: who left everything, and by which interaction, before there was a session that could hear it."""
        self._standing = StandingAnswers(app.storage, self.of)
        self._stopping = False
        self._past: Counter[str] = Counter()
        self._numbers: dict[str, int] = {}
        """Running sessions in the order of their starts, for figures that name nobody."""
        self._next_number = itertools.count(1)
        self.started = 0

    def of(self, guild_id: int | None) -> ListeningSession | None:
        """The running session of a server."""
        return self._sessions.get(guild_id) if guild_id is not None else None

    def running(self) -> list[ListeningSession]:
        return list(self._sessions.values())

    async def start(self, request: StartRequest) -> ListeningSession:
        """Open a session. Raises NotPossible (one runs already, stopping), VoiceFailed, StorageError."""
        with self.reserved(request.guild_id, request.channel_id):
            return await self._open(request)

    @contextmanager
    def reserved(self, guild_id: int, channel_id: int) -> Iterator[None]:
        """Keep the server's one voice connection for this. Raises NotPossible."""
        if self._stopping:
            raise NotPossible("STOPPING")
        if (running := self.of(guild_id)) is not None:
            why = "STILL_ENDING" if running.ending else "ALREADY_LISTENING"
            raise NotPossible(why, channel_id=running.record.channel_id)
        if guild_id in self._starting:
            raise NotPossible("ALREADY_LISTENING", channel_id=channel_id)
        self._starting[guild_id] = []
        try:
            yield
        finally:
            del self._starting[guild_id]

    async def _open(self, request: StartRequest) -> ListeningSession:
        server = await self._app.storage.server(request.guild_id)
        model = self._app.backend.model
        record = await self._app.storage.start_session(
            NewSession(
                guild_id=request.guild_id,
                channel_id=request.channel_id,
                started_by=request.started_by,
                model=model.name,
                model_version=model.version,
                labels=model.labels,
                owner=self._app.neighbours.owner,
            )
        )
        session = ListeningSession(record, self._app, self._app.surface(record, request.asked_in, server))
        self._sessions[request.guild_id] = session  # from here on it hears who comes, leaves and decides
        try:
            if self._stopping:
                raise NotPossible("STOPPING")
            for user_id, interaction_id in self._starting[request.guild_id]:
                await session.people.exclude(user_id, interaction_id)
            await session.people.meet(request.present())
            await session.open(request.channel)
        except BaseException:
            self._over(session)
            await session.abandon()
            raise
        self.started += 1
        self._numbers[record.id] = next(self._next_number)
        self._app.spawn(self._drive(session), f"session-{record.id}")
        return session

    async def _drive(self, session: ListeningSession) -> None:
        try:
            await session.run()
        except Exception as error:  # noqa: BLE001  # one session's fault must not end the others
            _log.error("session_broke", session=session.record.id, exc_info=error)
        finally:
            self._over(session)
        with suppress(NotPossible), self.reserved(session.record.guild_id, session.record.channel_id):
            await session.clear_line()

    def _over(self, session: ListeningSession) -> None:
        """Its server may have another one; what it counted stays, for a total never goes down."""
        self._past.update({kind: n for kind, n in session.counters().items() if kind not in NOT_TOTALS})
        self._numbers.pop(session.record.id, None)
        self._sessions.pop(session.record.guild_id, None)

    async def stop(self, guild_id: int, reason: EndReason = EndReason.STOPPED) -> ListeningSession:
        """End a server's session and wait for it. Raises NotPossible when none runs."""
        session = self.of(guild_id)
        if session is None:
            raise NotPossible("NOTHING_RUNS")
        session.end(reason)
        await asyncio.shield(session.ended)
        return session

    async def end_all(self, reason: EndReason, *, within_s: float = STOP_WITHIN_S) -> None:
        """End every session; return when all have ended or the time is over."""
        self._stopping = self._stopping or reason is EndReason.SHUTDOWN  # Discord may be lost on the way
        sessions = self.running()
        for session in sessions:
            session.end(reason)
        if sessions:
            done, late = await asyncio.wait({session.ended for session in sessions}, timeout=within_s)
            _log.info("sessions_ended", ended=len(done), late=len(late), reason=reason.value)

    # --- what Discord reports

    async def voice_changed(self, change: VoiceChange) -> None:
        session = self.of(change.guild_id)
        if session is None or session.ending:
            return
        ours = session.record.channel_id
        if change.itself:
            await self._moved_itself(session, change, ours)
        elif change.after_id == ours and change.before_id != ours:
            await session.people.arrive(change.user_id, bot=change.bot, unasked=change.unasked)
        elif change.before_id == ours and change.after_id != ours and not change.bot:
            await session.people.depart(change.user_id)

    async def _moved_itself(self, session: ListeningSession, change: VoiceChange, ours: int) -> None:
        if change.after_id is None and change.before_id == ours:
            session.call.lost_place(EndReason.KICKED)
        elif change.after_id is not None and change.after_id != ours:
            session.call.lost_place(EndReason.MOVED)
        else:
            await session.seen_here(server_deaf=change.server_deaf)

    async def seen_present(self, guild_id: int, present: Iterable[tuple[int, bool]], *, unasked: bool = False) -> None:
        """The gateway told anew who is there: arrivals and departures may have been missed. `unasked` as for
        `VoiceChange`: whoever came."""
        session = self.of(guild_id)
        if session is None or session.ending:
            return
        await session.people.meet(present, unasked=unasked)

    def channel_deleted(self, guild_id: int, channel_id: int) -> None:
        session = self.of(guild_id)
        if session is not None and session.record.channel_id == channel_id:
            session.end(EndReason.CHANNEL_DELETED)
        self.places_changed(guild_id)

    def messages_deleted(self, guild_id: int | None, message_ids: Collection[int]) -> None:
        if (session := self.of(guild_id)) is not None:
            for message_id in message_ids:
                session.panel.deleted(message_id)

    def places_changed(self, guild_id: int) -> None:
        """Channels, roles or permissions of a server are not as they were."""
        session = self.of(guild_id)
        if session is not None and not session.ending:
            session.panel.check_place()

    def server_changed(self, server: ServerSettings) -> None:
        """A server's administrators chose in `/settings`: it holds in a session that runs, too."""
        if (session := self.of(server.guild_id)) is not None:
            session.server_changed(server)

    def permission_lost(self, guild_id: int) -> None:
        if (session := self.of(guild_id)) is not None:
            session.end(EndReason.PERMISSIONS)

    def guild_removed(self, guild_id: int) -> None:
        if (session := self.of(guild_id)) is not None:
            session.end(EndReason.KICKED)

    async def decide(
        self,
        guild_id: int,
        user_id: int,
        answer: Decision | None,
        interaction_id: int,
        purpose: Purpose = Purpose.LIVE,
    ) -> bool:
        """A person gives a standing answer; see `StandingAnswers.decide`."""
        return await self._standing.decide(guild_id, user_id, answer, interaction_id, purpose)

    async def leave_everything(self, user_id: int, guild_id: int | None, interaction_id: int) -> None:
        """A person's data is about to be deleted: take them out of whatever runs first."""
        self._standing.forget(guild_id, user_id, interaction_id)
        for opening_id, left in self._starting.items():
            if guild_id is None or opening_id == guild_id:
                left.append((user_id, interaction_id))
        for session in self.running():
            if guild_id is None or session.record.guild_id == guild_id:
                await session.people.exclude(user_id, interaction_id)
        await self._standing.settled()

    def counters(self) -> dict[str, int]:
        """Totals over all sessions since the start, running and ended."""
        totals = Counter(self._past)
        for session in self.running():
            totals.update(session.counters())
        return {**NOTHING_YET, "sessions_running": len(self._sessions), "sessions_started": self.started, **totals}

    def each(self) -> dict[str, dict[str, int]]:
        """The counters of each running session, under its number since the start: a figure names no session."""
        numbered = ((self._numbers.get(session.record.id), session) for session in self.running())
        return {str(number): session.counters() for number, session in numbered if number is not None}

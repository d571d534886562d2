"""A listening session: from the first notice to the summary.

It puts its parts together and says in which order they work: the notices, the voice call, the people in it, what they
sound like, and the end. Order matters in two places: nobody is taken before at least one notice is shown, and at the
end the call closes before anything else, so that nothing is heard that nobody can see any more.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from bot.listening.attendance import Attendance
from bot.listening.board import Snapshot, panel_card
from bot.listening.call import Call
from bot.listening.deafening import Deafening
from bot.listening.display import Display
from bot.listening.ends import EndReason, quietly
from bot.listening.events import state_event
from bot.listening.farewell import Farewell
from bot.listening.hearing import Recognition
from bot.listening.intake import Intake
from bot.listening.limits import Limits
from bot.listening.moments import Moments
from bot.listening.surface import Surface
from bot.voice.states import LinkState
from storage.records import ServerSettings, SessionRecord, SessionState

if TYPE_CHECKING:
    from bot.app import App

DRAIN_S: Final = 4.0
HANG_UP_S: Final = 3.0
WRITE_S: Final = 3.0
LOOK_IN_S: Final = 15.0

_log = structlog.get_logger(__name__)


class ListeningSession:
    """One conversation in one voice channel."""

    def __init__(self, record: SessionRecord, app: App, surface: Surface) -> None:
        self.record = record
        self.ended: asyncio.Future[SessionRecord | None] = asyncio.get_running_loop().create_future()
        """Done when everything of the session is closed and stored; the record as it ended."""
        self._app = app
        self._surface = surface
        self._intake = Intake(lambda speaker: self.consents(int(speaker)))
        self.people = Attendance(
            record,
            app,
            released=self._forget_voice,
            changed=self._people_changed,
            by_standing=lambda user_id: self._display.notices.tell(user_id),
            name_of=surface.name,
        )
        self.call = Call(record.id, app.connect, self._intake, self.consents, changed=self._call_changed, end=self.end)
        self._moments = Moments(record.id, app)
        self._display = Display(
            record.id,
            surface,
            self.call,
            app.clock,
            render=lambda: panel_card(self.snapshot(), surface.texts),
            overall=lambda: self._hearing.tones.overall(self._now_s()) if surface.server.live_emotions else None,
            lost=lambda: self.end(EndReason.NO_NOTICE),
            included=self.consents,
        )
        self.panel = self._display.panel
        self._hearing = Recognition(record.id, app, self._intake, self.people, self._moments, changed=self.panel.touch)
        self.limits = Limits(app.clock, longest_s=app.max_session_s, end=self.end, looked=self.panel.touch)
        self._deafening = Deafening(surface, deaf=lambda: not self.people.included_ids(), over=lambda: self.ending)
        self._farewell = Farewell(
            record, app, surface, self.panel, self.people.names, self.people.left_ids, self.people.settle_all
        )
        self._ending: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()

    async def open(self, channel: Any) -> None:
        """Show the notices and join. Raises VoiceFailed, or NotPossible when no notice can be shown."""
        await self._display.notices.show_panel()
        await self.call.join(channel)
        await self._display.notices.show_in_voice()
        self._call_changed()
        _log.info("session_opened", session=self.record.id, guild=self.record.guild_id)

    async def run(self) -> None:
        """Work until the session ends; then close everything. Owns all tasks of the session."""
        reason = EndReason.ERROR
        hearing = asyncio.create_task(self._hearing.run(), name=f"recognise-{self.record.id}")
        parts = {"display": self._display.run(), "limits": self.limits.run(), "deafening": self._deafening.run()}
        beside = {asyncio.create_task(part, name=f"{name}-{self.record.id}") for name, part in parts.items()}
        waiting: set[asyncio.Future[Any]] = {self._ending, hearing, *beside}
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for error in filter(None, (task.exception() for task in done - {self._ending})):
                _log.error("session_task_died", session=self.record.id, exc_info=error)
            if self._ending in done:
                reason = self._ending.result()
        except asyncio.CancelledError:
            reason = EndReason.SHUTDOWN
            raise
        finally:
            self.end(reason)
            for task in beside:  # one may be at the database, which has its time
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await self._finish(reason, hearing)

    def end(self, reason: EndReason) -> None:
        """Hear no more from here on, and end; `ended` tells when that has happened. The first reason counts."""
        if not self._ending.done():
            _log.info("session_ending", session=self.record.id, reason=reason.value)
            self._ending.set_result(reason)
            self._intake.close()

    async def abandon(self, reason: EndReason = EndReason.COULD_NOT_START) -> None:
        """Close a session whose `open` failed."""
        await self._finish(reason)

    async def clear_line(self) -> None:
        """Once it is over, while the server's voice connection is free: take its words off the channel's status line
        where that could not be done in time. Never raises."""
        notices = self._display.notices
        if notices.line_left:
            await quietly("status", notices.clear_line(), LOOK_IN_S)

    async def _finish(self, reason: EndReason, hearing: asyncio.Task[None] | None = None) -> None:
        """Close everything. Whatever breaks, nobody waits for `ended` then."""
        record: SessionRecord | None = None
        try:
            record = await self._close(reason, hearing)
        finally:
            if not self.ended.done():
                self.ended.set_result(record)

    async def _close(self, reason: EndReason, hearing: asyncio.Task[None] | None) -> SessionRecord | None:
        """Leave the channel, recognise what is left, store and tell."""
        self.end(reason)
        await self._display.notices.clear()
        counters = self.counters()
        await quietly("call", self.call.close(), HANG_UP_S)
        if hearing is not None:
            await asyncio.wait({hearing}, timeout=DRAIN_S)
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
        self._hearing.end()
        farewell, lasted_s = self._farewell, self.limits.elapsed_s
        if reason is EndReason.SHUTDOWN:  # there is no time to wait first for a database that may hang
            record, _ = await asyncio.gather(
                self._store(reason, counters), farewell.close_panel(reason, None, lasted_s=lasted_s)
            )
            await self._display.notices.take_back()
        else:
            record = await self._store(reason, counters)
            await self._display.notices.take_back()
            await farewell.close_panel(reason, record, lasted_s=lasted_s)
        await farewell.sum_up(reason, record)
        return record

    async def _store(self, reason: EndReason, counters: dict[str, int]) -> SessionRecord | None:
        """Write all that is left of it, and its end; None when the database could not."""
        rows, flush = self.people.settle_all(), self._app.writer.flush()
        await asyncio.gather(quietly("rows", rows, WRITE_S), quietly("flush", flush, WRITE_S))
        return await self._farewell.store(reason, counters | self._heard())

    def _call_changed(self) -> None:
        """The call's state is news for open pages and for the panel."""
        state = state_event(SessionState.LIVE, link=self.call.state, reason=None)
        self._app.bus.publish(self.record.id, "state", state)
        self.panel.touch()
        if self.call.state is LinkState.LISTENING:
            self._deafening.joined()

    @property
    def ending(self) -> bool:
        return self._ending.done()

    async def seen_here(self, *, server_deaf: bool) -> None:
        """Discord says how the bot stands in the channel: as it was asked to, and somebody may have decided since."""
        self.call.server_deafened(deaf=server_deaf)
        if self.call.state is LinkState.LISTENING:
            await self._deafening.show()

    def consents(self, user_id: int) -> bool:
        """Whether packets of this person may be taken now; asked for each packet before it is decrypted."""
        return not self._intake.closed and self.people.consents(user_id)

    def snapshot(self) -> Snapshot:
        """What the panel shows now."""
        included, server = self.people.included_ids(), self.server
        return Snapshot(
            channel_id=self.record.channel_id,
            started_at=self.record.started_at,
            included=[(user_id, self._hearing.tones.tone(str(user_id))) for user_id in included],
            excluded=self.people.book.excluded_ids(),
            new_voices=frozenset(filter(self._hearing.still_new, included)),
            by_standing=frozenset(filter(self.people.book.by_standing, included)),
            live_emotions=server.live_emotions,
            viewer_role_id=server.viewer_role_id,
            overall=self._display.reaction.label,
            unsaved=self._app.writer.failing,
            pressed=self._app.backend.pressed,
            link=self.call.state,
            link_reason=self.call.reason,
            now_s=self._now_s(),
            alone=self.limits.alone,
            deafened=self.call.deafened,
            model=self.record.model,
            report_url=self._app.report_url(self.record.id),
        )

    def counters(self) -> dict[str, int]:
        """Every reason for a loss, with how often; totals of the session."""
        return {**self.call.tallies(), **self._heard(), "panel_edits": self.panel.edits}

    def _heard(self) -> dict[str, int]:
        return {**self._hearing.counters(), **self.people.counters(), **self._moments.counters()}

    def _now_s(self) -> float:
        return self.limits.elapsed_s if (at_s := self.call.now_s()) is None else at_s

    @property
    def server(self) -> ServerSettings:
        """What the server chose."""
        return self._surface.server

    def server_changed(self, server: ServerSettings) -> None:
        """The server chose otherwise: what the panel shows, who reads the report, where the summary goes."""
        self._surface.server = server
        self.panel.touch()

    async def mark(self, user_id: int, note: str = "") -> float:
        """Note a moment by hand; return where, in seconds. It belongs to who wrote it. Raises as `Moments.mark`."""
        return await self._moments.mark(self._now_s(), note, author_id=user_id)

    def _forget_voice(self, user_id: int) -> None:
        """Nothing of a person who is out stays."""
        self.call.discard(user_id)
        self._hearing.forget(user_id)

    async def _people_changed(self) -> None:
        """Somebody came, left or decided: the panel says so, and who hears nobody shows it by being deafened."""
        self.limits.note(alone=not self.people.book.present_ids())
        self.panel.check_place()
        await self._deafening.show()

"""A listening session: from the first notice to the summary.

It owns the voice link, the speakers' segmenters, recognition, the aggregate, the panel and the end. Order matters in
two places: nobody is taken before at least one notice is shown, and at the end the link closes before anything else, so
that nothing is heard that nobody can see any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, Final

import structlog

from bot import texts
from bot.errors import NotPossible, VoiceFailed
from bot.listening.aggregate import Aggregate, Shift
from bot.listening.attendance import Attendance
from bot.listening.board import Snapshot, panel_card
from bot.listening.chime import chime_pcm
from bot.listening.events import state_event, window_event, window_record
from bot.listening.farewell import Farewell
from bot.listening.intake import Intake
from bot.listening.panel import Panel
from bot.listening.parts import DISCORD_TROUBLE, LINK_ENDS, EndReason, Tools, quietly
from bot.listening.surface import Surface, SurfaceGone
from bot.listening.voice import Link
from bot.voice.errors import VoiceError
from ser_engine.errors import EngineError
from ser_engine.types import SAMPLE_RATE_HZ, Prediction, Window
from storage.errors import StorageError
from storage.records import MomentRecord, ParticipantRecord, SessionRecord, SessionState

BATCH: Final = 16
ALONE_S: Final = 60.0
DRAIN_S: Final = 4.0
REASON_GRACE_S: Final = 0.5
WATCH_EVERY_S: Final = 1.0

_log = structlog.get_logger(__name__)


class ListeningSession:
    """One conversation in one voice channel."""

    def __init__(self, record: SessionRecord, tools: Tools, surface: Surface) -> None:
        self.record = record
        self.ended: asyncio.Future[SessionRecord | None] = asyncio.get_running_loop().create_future()
        """Done when everything of the session is closed and stored; the record as it ended."""
        self._tools = tools
        self._surface = surface
        self._intake = Intake(lambda speaker: self.consents(int(speaker)))
        self._aggregate = Aggregate()
        self._panel = Panel(surface, tools.clock, lambda: panel_card(self.snapshot()))
        self._farewell = Farewell(record, tools, surface, self._panel)
        self.people = Attendance(
            record,
            tools.storage,
            released=self._forget_voice,
            changed=self._people_changed,
            publish=self._publish,
        )
        self._ending: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()
        self._link: Link | None = None
        self._link_state, self._link_reason = "connecting", ""
        self._deafened = False
        self._closing = False
        self._status_shown = False
        self._began_s = tools.clock.monotonic_s()
        self._alone_since_s: float | None = None
        self._counts = {"predictions": 0, "predictions_lost": 0, "windows_withdrawn": 0, "moments": 0}

    # --- opening

    async def open(self, channel: Any) -> None:
        """Show the notices and join. Raises VoiceFailed, or NotPossible when no notice can be shown."""
        notices = await self._notice("panel", self._panel.open())
        try:
            self._link = await self._tools.connect(
                channel, sink=self._intake, consent=self.consents, on_state=self._on_link_state
            )
        except (VoiceError, *DISCORD_TROUBLE) as error:
            _log.warning("voice_not_joined", session=self.record.id, error=type(error).__name__)
            raise VoiceFailed(texts.VOICE_FAILED) from error
        await self._show_ears()
        self._status_shown = bool(await self._notice("status", self._surface.show_status(texts.VOICE_STATUS)))
        notices += self._status_shown
        notices += await self._notice("chime", self._chime(self._link))
        if not notices:
            raise NotPossible(texts.NO_NOTICE)
        self._publish_state()
        _log.info("session_opened", session=self.record.id, guild=self.record.guild_id, notices=notices)

    async def abandon(self, reason: EndReason = EndReason.COULD_NOT_START) -> None:
        """Close a session whose `open` failed."""
        self.end(reason)
        await self._finish(reason)

    async def _chime(self, link: Link) -> None:
        if not await link.play(await asyncio.to_thread(chime_pcm)):
            raise VoiceFailed(texts.VOICE_FAILED)

    async def _notice(self, kind: str, showing: Awaitable[object]) -> int:
        """Show one of the three notices; 1 when it was shown."""
        try:
            async with asyncio.timeout(5):
                await showing
        except VoiceFailed:
            return 0
        except (SurfaceGone, *DISCORD_TROUBLE) as error:
            _log.info("notice_not_shown", session=self.record.id, kind=kind, error=type(error).__name__)
            return 0
        return 1

    # --- running

    async def run(self) -> None:
        """Work until the session ends; then close everything. Owns all tasks of the session."""
        reason = EndReason.ERROR
        recognising = asyncio.create_task(self._recognise(), name=f"recognise-{self.record.id}")
        helpers = [
            asyncio.create_task(self._panel.run(), name=f"panel-{self.record.id}"),
            asyncio.create_task(self._watch(), name=f"watch-{self.record.id}"),
        ]
        try:
            waiting: set[asyncio.Future[Any]] = {self._ending, recognising, *helpers}
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task is not self._ending and (error := task.exception()) is not None:
                    _log.error("session_task_died", session=self.record.id, exc_info=error)
            if self._ending in done:
                reason = self._ending.result()
        except asyncio.CancelledError:
            reason = EndReason.SHUTDOWN
            raise
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await self._finish(reason, recognising)

    def end(self, reason: EndReason) -> None:
        """Ask the session to end; `ended` tells when it has. The first reason counts."""
        if not self._ending.done():
            _log.info("session_ending", session=self.record.id, reason=reason.value)
            self._ending.set_result(reason)

    @property
    def ending(self) -> bool:
        return self._ending.done()

    @property
    def panel_message_id(self) -> int | None:
        return self._panel.message_id

    def consents(self, user_id: int) -> bool:
        """Whether packets of this person may be taken now; asked for each packet before it is decrypted."""
        return not self._closing and self.people.consents(user_id)

    def snapshot(self) -> Snapshot:
        """What the panel shows now."""
        return Snapshot(
            channel_id=self.record.channel_id,
            started_at=self.record.started_at,
            included=[(user, self._aggregate.tone(str(user))) for user in self.people.book.included_ids()],
            excluded=self.people.book.excluded_ids(),
            link=self._link_state,
            link_reason=self._link_reason,
            now_s=self._now_s(),
            alone=self._alone_since_s is not None,
            deafened=self._deafened,
            model=self.record.model,
            report_url=self._tools.report_url(self.record.id),
        )

    def counters(self) -> dict[str, int]:
        """Every reason for a loss, with how often; totals of the session."""
        link = dict(self._link.tallies()) if self._link is not None else {}
        return {**link, **self._intake.counters(), **self._counts, "panel_edits": self._panel.edits}

    @property
    def elapsed_s(self) -> float:
        return self._tools.clock.monotonic_s() - self._began_s

    # --- people

    async def arrive(self, user_id: int, *, bot: bool) -> None:
        """Somebody is in the channel, now or from the start."""
        if not self.ending:
            await self.people.arrive(user_id, bot=bot)
            self._note_alone()

    def depart(self, user_id: int) -> None:
        """Somebody left the channel."""
        self.people.book.depart(user_id)
        self._note_alone()
        self._panel.touch()

    async def mark(self, user_id: int, note: str = "") -> float:
        """Note a moment by hand; return where, in seconds. `user_id` is for the log only and is not stored."""
        at_s = self._now_s()
        _log.info("marked", session=self.record.id, user=user_id)
        await self._add_moment(MomentRecord(at_s=at_s, kind="mark", participant_id=None, text=note[:200]))
        return at_s

    def _forget_voice(self, user_id: int) -> None:
        """Nothing of a person who is out stays: not in the link, not the window in the making, not their tone."""
        if self._link is not None:
            self._link.discard(user_id)
        self._intake.discard(str(user_id))
        self._aggregate.forget(str(user_id))

    async def _people_changed(self) -> None:
        self._panel.touch()
        await self._show_ears()

    # --- what Discord does

    def server_deafened(self, *, deaf: bool) -> None:
        if deaf != self._deafened:
            self._deafened = deaf
            self._panel.touch()
            _log.info("server_deafened", session=self.record.id, deaf=deaf)

    def lost_place(self, reason: EndReason) -> None:
        """The bot is not in the channel any more.

        While the link joins, being in no channel is its own doing; another channel never is. Why it is out may be told
        a moment later: a deleted channel, or what the link says.
        """
        if reason is EndReason.KICKED:
            if self._link_state in ("connecting", "reconnecting"):
                return
            asyncio.get_running_loop().call_later(REASON_GRACE_S, self.end, reason)
        else:
            self.end(reason)

    def _on_link_state(self, state: str, note: str) -> None:
        before, reason = self._link_state, str(getattr(note, "code", note))
        self._link_state, self._link_reason = str(state), reason
        if state == before:
            return
        _log.info("link_state", session=self.record.id, state=str(state), reason=reason)
        self._publish_state()
        self._panel.touch()
        if state == "failed":
            self.end(LINK_ENDS.get(reason, EndReason.VOICE_FAILED))

    async def _show_ears(self) -> None:
        """Self-deafened in the channel while nobody is included."""
        with suppress(SurfaceGone, *DISCORD_TROUBLE):
            await self._surface.deafen(deaf=not self.people.book.included_ids())

    def _note_alone(self) -> None:
        alone = not self.people.book.present_ids()
        self._alone_since_s = self._tools.clock.monotonic_s() if alone else None

    async def _watch(self) -> None:
        """The time limits."""
        while True:
            await self._tools.clock.sleep(WATCH_EVERY_S)
            now_s = self._tools.clock.monotonic_s()
            if self.elapsed_s >= self._tools.max_session_s:
                self.end(EndReason.TIME_LIMIT)
            elif self._alone_since_s is not None and now_s - self._alone_since_s >= ALONE_S:
                self.end(EndReason.EVERYONE_LEFT)
            self._panel.touch()

    # --- windows

    async def _recognise(self) -> None:
        while windows := await self._intake.take(BATCH):
            try:
                predictions = await self._tools.backend.predict(windows, deadline_s=15.0)
            except EngineError as error:
                self._counts["predictions_lost"] += len(windows)
                _log.warning("windows_lost", session=self.record.id, windows=len(windows), error=error.code)
                continue
            for window, prediction in zip(windows, predictions, strict=True):
                await self._land(window, prediction)

    async def _land(self, window: Window, prediction: Prediction) -> None:
        participant = self.people.participant(int(window.speaker))
        if participant is None:  # withdrew while it was being recognised
            self._counts["windows_withdrawn"] += 1
            return
        self._counts["predictions"] += 1
        record = window_record(participant.id, window, prediction)
        self._tools.writer.put(self.record.id, record)
        self._publish("window", window_event(record))
        if (shift := self._aggregate.add(window, prediction)) is not None:
            await self._note_shift(shift, participant)
        self._panel.touch()

    async def _note_shift(self, shift: Shift, participant: ParticipantRecord) -> None:
        text = texts.begins_to_sound(shift.emotion)
        await self._add_moment(MomentRecord(at_s=shift.at_s, kind="shift", participant_id=participant.id, text=text))

    async def _add_moment(self, moment: MomentRecord) -> None:
        try:
            await self._tools.storage.add_moment(self.record.id, moment)
        except StorageError as error:
            _log.warning("moment_not_written", session=self.record.id, error=error.code)
            return
        self._counts["moments"] += 1
        self._publish(
            "moment",
            {"at_s": moment.at_s, "kind": moment.kind, "participant_id": moment.participant_id, "text": moment.text},
        )

    # --- the end

    async def _finish(self, reason: EndReason, recognising: asyncio.Task[None] | None = None) -> None:
        """Hear no more from here on; leave the channel, recognise what is left, store and tell.

        The status line goes before the link: Discord lets only those set it who are in the channel.
        """
        self._closing = True
        self._intake.close()
        if self._status_shown:
            await quietly("status", self._surface.show_status(None), 2.0)
        counters = self.counters()
        if self._link is not None:
            await quietly("link", self._link.close(), 3.0)
        if recognising is not None:
            await asyncio.wait({recognising}, timeout=DRAIN_S)
            recognising.cancel()
            await asyncio.gather(recognising, return_exceptions=True)
        record = await self._farewell.store(reason, counters | self._intake.counters() | self._counts)
        await self._farewell.tell(reason, record, lasted_s=self.elapsed_s)
        if not self.ended.done():
            self.ended.set_result(record)

    # --- live events

    def _now_s(self) -> float:
        return self._link.now_samples() / SAMPLE_RATE_HZ if self._link is not None else self.elapsed_s

    def _publish(self, kind: str, data: dict[str, Any]) -> None:
        self._tools.bus.publish(self.record.id, kind, data)

    def _publish_state(self) -> None:
        self._publish("state", state_event(SessionState.LIVE, link=self._link_state, reason=None))

"""The last part of a session's end: it is stored, its panel says why, and the summary is posted.

Nothing is heard any more at this point, so all that counts is that it happens, whatever Discord and the database do.
Discord may refuse for a while (rate limits, a server error) and discord.py then waits and tries again; a panel that
still says that somebody listens, or a summary that never came, would be worse than waiting. Only a process that is
being stopped, and a start that failed, have no time for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import aiohttp
import discord
import structlog

from bot.listening.board import ended_card
from bot.listening.ends import BROKEN, EndReason, quietly
from bot.listening.events import state_event
from bot.listening.panel import Panel
from bot.listening.summary import Summary, closed_card, summarise, without
from bot.listening.surface import Posted, Surface, SurfaceGone
from storage.errors import StorageError, UnknownSession
from storage.records import Edition, MessageKind, SessionRecord, SessionState, SummaryPlace

if TYPE_CHECKING:
    from bot.app import App

RECONNECT_S: Final = 60.0
"""How long a summary waits for a Discord that was lost."""
PATIENCE_S: Final = 60.0
"""For each of the two messages."""
AGAIN_S: Final = 10.0
"""Between two tries to write the end of a session, or to post its summary."""
HURRY_S: Final = (3.0, 5.0)
"""For the panel and the summary, when the process is being stopped or somebody waits for the answer to a start."""
LATER_S: Final = 2.0
"""To note what is to be deleted later."""
HURRIED: Final = frozenset({EndReason.SHUTDOWN, EndReason.COULD_NOT_START})

_log = structlog.get_logger(__name__)


class Farewell:
    """What is left to do for one session after its link was closed and its last window was recognised.

    `names` are what the people were called, by user id; `left` tells who withdrew without the database knowing, and
    `settle` tells the database.
    """

    def __init__(
        self,
        record: SessionRecord,
        app: App,
        surface: Surface,
        panel: Panel,
        names: Mapping[int, str],
        left: Callable[[], Collection[int]],
        settle: Callable[[], Awaitable[None]],
    ) -> None:
        self._record = record
        self._app = app
        self._surface = surface
        self._panel = panel
        self._names = names
        self._left = left
        self._settle = settle

    async def store(self, reason: EndReason, counters: Mapping[str, int]) -> SessionRecord | None:
        """Write the end, and tell open pages; None when the database could not.

        Then the end is tried again until the database takes it, and the summary waits for that. A summary made now
        would lack the results that are not stored, and could not be noted for a later deletion.
        """
        app, state = self._app, SessionState.INTERRUPTED if reason in BROKEN else SessionState.ENDED

        def end(at: datetime | None = None) -> Awaitable[SessionRecord]:
            return app.storage.end_session(self._record.id, state=state, reason=reason.value, counters=counters, at=at)

        ended_at = datetime.now(UTC)
        record = await quietly("store", end(), 5.0)
        if (record is None or self._left()) and reason is not EndReason.SHUTDOWN:  # the next start closes it then
            sum_up = record is None and reason is not EndReason.COULD_NOT_START
            app.spawn(self._store_late(lambda: end(ended_at), sum_up=sum_up), f"ends-late-{self._record.id}")
        app.bus.publish(self._record.id, "state", state_event(state, link=None, reason=reason.value))
        _log.info("session_ended", session=self._record.id, reason=reason.value, state=state.value)
        return record

    async def _store_late(self, end: Callable[[], Awaitable[SessionRecord]], *, sum_up: bool) -> None:
        """Until the database has it: retention looks for what has ended, and pages would show it as live."""
        record: SessionRecord | None = None
        while record is None:
            await self._app.clock.sleep(AGAIN_S)
            try:
                await self._settle()
                await self._app.writer.flush()
                record = await end()
            except UnknownSession:  # deleted meanwhile
                return
            except Exception as error:  # noqa: BLE001  # it would end the other sessions, too
                code = error.code if isinstance(error, StorageError) else type(error).__name__
                _log.warning("end_not_stored", session=self._record.id, error=code)
        _log.info("session_ended_late", session=record.id)
        if sum_up:
            await quietly("reconnect", self._app.connected(), RECONNECT_S)
            await quietly("summary", self._post_summary(), PATIENCE_S)

    async def close_panel(self, reason: EndReason, record: SessionRecord | None, *, lasted_s: float) -> None:
        """Say in the channel that it is over: the panel without buttons."""
        if reason is EndReason.CONNECTION_LOST:
            await quietly("reconnect", self._app.connected(), RECONNECT_S)
        if record is not None and record.ended_at is not None:
            lasted_s = (record.ended_at - record.started_at).total_seconds()
        card = ended_card(
            self._surface.texts,
            channel_id=self._record.channel_id,
            reason=reason.value,
            duration_s=lasted_s,
            report_url=self._app.report_url(self._record.id),
        )
        await quietly("panel", self._panel.close(card), HURRY_S[0] if reason in HURRIED else PATIENCE_S)
        for posted in self._panel.left:
            await quietly("panel", self._surface.remove_later(posted), LATER_S)

    async def sum_up(self, reason: EndReason, record: SessionRecord | None) -> None:
        """Post the summary of what was stored, if all of it was."""
        if record is not None and reason is not EndReason.COULD_NOT_START:
            await quietly("summary", self._post_summary(), HURRY_S[1] if reason in HURRIED else PATIENCE_S)

    async def _post_summary(self) -> None:
        await keep_posting_summary(self._app, self._surface, self._record.id, self._names, self._left)


async def keep_posting_summary(
    app: App,
    surface: Surface,
    session_id: str,
    names: Mapping[int, str],
    left: Callable[[], Collection[int]] = tuple,
) -> None:
    """Until Discord says that it has it, or why not. It may have taken it before, and only its answer was lost."""
    since = now = await app.storage.edition(session_id)
    while since is not None and now is not None:  # else it was deleted
        try:
            await post_summary(app, surface, session_id, names, left(), since=since)
        except (discord.DiscordServerError, aiohttp.ClientError, ConnectionError) as error:
            _log.info("summary_not_posted", session=session_id, error=type(error).__name__)
            await app.clock.sleep(AGAIN_S)
            now = await app.storage.edition(session_id)
        else:
            return


async def post_summary(
    app: App,
    surface: Surface,
    session_id: str,
    names: Mapping[int, str],
    left: Collection[int] = (),
    *,
    since: Edition,
) -> None:
    """Post what was stored, where people can see it; to who started the session when there is no such place.

    `left` are user ids of those who withdrew, although what is stored does not say so. `since` is the edition of the
    first try: what Discord took then is given back by the next one.

    What is deleted while Discord takes the summary is taken out of it again. Should this be cut off before that was
    looked at, the summary is noted as stale and is looked at with the next round of deletions.
    """
    posted: Posted | None = None
    summary: Summary | None = None
    try:
        if surface.server.summary_place is SummaryPlace.PARTICIPANTS:
            posted = await surface.post(closed_card(surface.texts, session_id), MessageKind.SUMMARY)
        elif (summary := await _summary(app, surface, session_id, names, left)) is not None:
            posted = await surface.post(summary.card, MessageKind.SUMMARY, picture=summary.picture)
    except SurfaceGone:
        summary = summary or await _summary(app, surface, session_id, names, left)
        if summary is not None:
            await surface.tell_starter(summary.card)
    now = await app.storage.edition(session_id)
    if now is None and posted is not None:
        await surface.remove(posted)
        return
    summaries = [m for m in await app.storage.messages_of_session(session_id) if m.kind is MessageKind.SUMMARY]
    if now != since:
        await app.deletions.renew(summaries)
        return
    for message in summaries:
        await app.storage.renewed(message.message_id)


async def _summary(
    app: App, surface: Surface, session_id: str, names: Mapping[int, str], left: Collection[int]
) -> Summary | None:
    """The summary of what is stored; None when that was deleted."""
    report = await app.storage.report(session_id)
    if report is None:
        return None
    report = without(report, left)
    people = [person.participant.user_id for person in report.participants]
    missing = [user_id for user_id in people if user_id not in names]
    found = await asyncio.gather(*(surface.called(user_id) for user_id in missing))
    names = {**names, **{user_id: name for user_id, name in zip(missing, found, strict=True) if name}}
    return summarise(report, surface.texts, names, report_url=app.report_url(session_id))

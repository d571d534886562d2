"""What is deleted is deleted in Discord too: the rows, the live events in memory, and the bot's own messages.

The rows go first, because deletion acts at once. A message that Discord would not delete then is left without its
session in the database, which means that it is still to be deleted: `run` tries again every hour. A summary that
also speaks of other people is not deleted but written anew without the person who left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import discord
import structlog

from bot.assembly import to_the_end
from bot.cards import embed_of
from bot.listening.discord_surface import picture_file
from bot.listening.summary import summarise
from bot.own_messages import TROUBLE, Refusal
from storage.errors import StorageError
from storage.records import MessageKind, MessageRecord

if TYPE_CHECKING:
    from bot.app import App

EVERY_S: Final = 3600.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    counts: dict[str, int]
    """Rows by table."""
    refused: list[Refusal]
    """Messages that are still there."""


class Deletions:
    def __init__(self, app: App) -> None:
        self._app = app

    async def session(self, session_id: str) -> Deleted:
        """A session with everything about it. Raises StorageError."""
        messages = await self._app.storage.messages_of_session(session_id)
        gone = await self._app.storage.delete_session(session_id)
        self._app.bus.forget(session_id)
        return Deleted(counts={"sessions": int(gone)}, refused=await self._app.own.remove(messages))

    async def person(self, user_id: int, guild_id: int | None, interaction_id: int) -> Deleted:
        """Everything about a person, in one server or everywhere. Raises StorageError."""
        app = self._app
        await app.sessions.leave_everything(user_id, guild_id, interaction_id)
        theirs = await app.storage.sessions_of(user_id) | await app.storage.sessions_marked_by(user_id)
        about = await app.storage.messages_about(user_id, guild_id)
        counts = await app.storage.delete_person(user_id, guild_id)
        refused = await app.own.remove(about)
        for session_id in theirs:  # the live events in memory, too; open pages read the report anew
            app.bus.forget(session_id)
            refused += await self._tell_anew(session_id, guild_id)
        return Deleted(counts=counts, refused=refused)

    async def run(self) -> None:
        """Retention, every hour, until cancelled. What is in Discord waits until Discord can be talked to."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every_hour(self._expire), name="retention-rows")
            await self._app.connected()
            tasks.create_task(self._every_hour(self._remove_doomed), name="retention-messages")

    async def _every_hour(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await to_the_end(step())
            except Exception as error:  # noqa: BLE001  # what is old waits for the next time, and nothing ends over it
                code = error.code if isinstance(error, StorageError) else type(error).__name__
                _log.warning("purge_failed", error=code)
            await self._app.clock.sleep(EVERY_S)

    async def _expire(self) -> None:
        """What is older than its server's days goes, with its live events, and what is left of servers long gone."""
        gone = await self._app.storage.purge_expired(self._app.clock.now())
        if gone:
            _log.info("sessions_purged", sessions=gone)
        if left := await self._app.storage.purge_left(self._app.clock.now()):
            _log.info("servers_purged", servers=len(left))
        for session_id in self._app.bus.held():
            if await self._app.storage.session(session_id) is None:
                self._app.bus.forget(session_id)

    async def _remove_doomed(self) -> None:
        """The messages of what is gone."""
        doomed = await self._app.storage.doomed_messages(self._app.clock.now())
        if refused := await self._app.own.remove(doomed):
            _log.warning("messages_not_deleted", messages=len(refused))

    async def _tell_anew(self, session_id: str, guild_id: int | None) -> list[Refusal]:
        """Write a session's summary without the person who left; take messages away that name single people."""
        record = await self._app.storage.session(session_id)
        if record is None or (guild_id is not None and record.guild_id != guild_id):
            return []
        messages = await self._app.storage.messages_of_session(session_id)
        refused = await self._app.own.remove(m for m in messages if m.kind is MessageKind.NOTICE)
        for message in messages:
            if message.kind is MessageKind.SUMMARY:
                refused += await self._rewrite(message, session_id)
        return refused

    async def _rewrite(self, message: MessageRecord, session_id: str) -> list[Refusal]:
        report = await self._app.storage.report(session_id)
        if report is None or not (report.participants or report.moments):
            return await self._app.own.remove([message])
        surface = self._app.surface(report.session, None, await self._app.storage.server(report.session.guild_id))
        people = [person.participant.user_id for person in report.participants]
        names = {user_id: name for user_id in people if (name := await surface.called(user_id))}
        summary = await summarise(report, surface.texts, names, report_url=self._app.report_url(session_id))
        embed, files = embed_of(summary.card), []
        if summary.picture is not None:
            embed.set_image(url="attachment://summary.png")
            files.append(picture_file(summary.picture))
        try:
            await self._app.own.partial(message).edit(embed=embed, attachments=files)
        except discord.NotFound:
            await self._app.storage.forget_messages([message.message_id])
        except TROUBLE:  # then rather no summary than one that still shows them
            return await self._app.own.remove([message])
        return []

"""What is deleted is deleted in Discord too: the rows, the live events in memory, and the bot's own messages.

The rows go first, because deletion acts at once, and with them what is in memory. A message that Discord would not
delete then is left without its session in the database, which means that it is still to be deleted. A summary that also
speaks of other people is not deleted but written anew without the person who left; until that has happened it is marked
as stale. It stays as it was posted, closed or open and in its language, whatever the server chose since. `run` tries
both again every hour.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import discord
import structlog

from bot.assembly import to_the_end
from bot.cards import SUMMARY_ID, embed_of
from bot.listening.discord_surface import picture_file
from bot.listening.summary import summarise
from bot.own_messages import TROUBLE, RefusedMessage
from bot.texts import LANGUAGES, Texts, of
from storage.errors import StorageError
from storage.records import MessageKind, MessageRecord
from storage.turns import Holds

if TYPE_CHECKING:
    from bot.app import App

EVERY_S: Final = 3600.0
ASK_AGAIN_S: Final = 60.0
"""After which a process asks again whether it is its turn to delete."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    counts: dict[str, int]
    """Rows by table."""
    refused: list[RefusedMessage]
    """Messages that are still there."""


class Deletions:
    def __init__(self, app: App) -> None:
        self._app = app

    async def session(self, session_id: str) -> Deleted:
        """A session with everything about it. Raises StorageError."""
        messages = await self._app.storage.messages_of_session(session_id)
        gone = await self._app.storage.delete_session(session_id)
        self._app.bus.forget(session_id)
        self._app.neighbours.forget([session_id])
        return Deleted(counts={"sessions": int(gone)}, refused=await self._app.own.remove(messages))

    async def person(self, user_id: int, guild_id: int | None, interaction_id: int) -> Deleted:
        """Everything about a person, in one server or everywhere. Raises StorageError."""
        app = self._app
        with app.withdrawals.under_way(user_id):
            await app.sessions.leave_everything(user_id, guild_id, interaction_id)
            await app.neighbours.leave_everything(user_id, guild_id, interaction_id)
            traces = await app.storage.traces_of(user_id, guild_id)
            about = await app.storage.messages_about(user_id, guild_id)
            counts = await app.storage.delete_person(user_id, guild_id)
        app.neighbours.deleted(user_id, guild_id)
        app.writer.forget(traces.participants)
        for session_id in traces.sessions:  # the live events in memory, too; open pages read the report anew
            app.bus.forget(session_id)
        app.neighbours.forget(traces.sessions)
        app.neighbours.renew()
        refused = await app.own.remove(about)
        refused += await self.renew(await app.storage.stale_messages(traces.sessions))
        return Deleted(counts=counts, refused=refused)

    async def renew(self, messages: Iterable[MessageRecord]) -> list[RefusedMessage]:
        """Write summaries as the database has them now; take messages away that name single people.

        Those of servers that another process has are left to that one. Raises StorageError.
        """
        refused: list[RefusedMessage] = []
        for message in messages:
            if not self._app.neighbours.has(message.guild_id):
                continue
            if message.kind is MessageKind.SUMMARY and message.session_id is not None:
                refused += await self._rewrite(message, message.session_id)
            else:
                refused += await self._app.own.remove([message])
        return refused

    async def run(self) -> None:
        """Retention, every hour, until cancelled. What is in Discord waits until Discord can be talked to.

        Of the processes that share the database, one deletes rows; each looks after the messages of its servers.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._in_turn(), name="retention-rows")
            tasks.create_task(self._every_hour(self._forget), name="retention-events")
            await self._app.connected()
            tasks.create_task(self._every_hour(self.remove_doomed), name="retention-messages")
            tasks.create_task(self._every_hour(self._note_servers), name="retention-servers")

    async def _in_turn(self) -> None:
        while True:
            try:
                async with self._app.storage.turn("retention") as holds:
                    if holds is not None:
                        await self._every_hour(self._expire, holds)
            except StorageError as error:
                _log.warning("purge_failed", error=error.code)
            await self._app.clock.sleep(ASK_AGAIN_S)

    async def _every_hour(self, step: Callable[[], Coroutine[Any, Any, None]], holds: Holds | None = None) -> None:
        while holds is None or await holds():
            try:
                await to_the_end(step())
            except Exception as error:  # noqa: BLE001  # what is old waits for the next time, and nothing ends over it
                code = error.code if isinstance(error, StorageError) else type(error).__name__
                _log.warning("purge_failed", error=code)
            await self._app.clock.sleep(EVERY_S)

    async def _expire(self) -> None:
        """What is older than its server's days goes, and what is left of servers long gone."""
        gone = await self._app.storage.purge_expired(self._app.clock.now())
        if gone:
            _log.info("sessions_purged", sessions=gone)
        if left := await self._app.storage.purge_left(self._app.clock.now()):
            _log.info("servers_purged", servers=len(left))
        await self._forget()

    async def _forget(self) -> None:
        """The live events of what is gone."""
        for session_id in self._app.bus.held():
            if await self._app.storage.session(session_id) is None:
                self._app.bus.forget(session_id)

    async def _note_servers(self) -> None:
        """In which servers the bot is: what Discord said of it while the database was away is not in it."""
        client = self._app.client()
        if client.is_ready():
            here = {guild.id for guild in client.guilds}
            await self._app.storage.servers_present(here, self._app.clock.now(), self._app.neighbours.has)

    async def remove_doomed(self) -> None:
        """The messages of what is gone, and those that speak of it."""
        found = await self._app.storage.doomed_messages(self._app.clock.now())
        doomed = [message for message in found if self._app.neighbours.has(message.guild_id)]
        refused = await self._app.own.remove(doomed)
        refused += await self.renew(await self._app.storage.stale_messages())
        if refused:
            _log.warning("messages_not_deleted", messages=len(refused))

    async def _rewrite(self, message: MessageRecord, session_id: str) -> list[RefusedMessage]:
        edition = await self._app.storage.edition(session_id)
        report = await self._app.storage.report(session_id)
        if report is None or not (report.participants or report.moments):
            return await self._app.own.remove([message])
        try:
            shown = await self._app.own.partial(message).fetch()
        except discord.NotFound:
            await self._app.storage.forget_messages([message.message_id])
            return []
        except TROUBLE:
            return await self._app.own.remove([message])
        if is_closed(shown):  # it names nobody, and stays closed whatever the server chose since
            await self._app.storage.renewed(message.message_id)
            return []
        surface = self._app.surface(report.session, None, await self._app.storage.server(report.session.guild_id))
        people = [person.participant.user_id for person in report.participants]
        names = {user_id: name for user_id in people if (name := await surface.called(user_id))}
        texts = spoken_in(shown) or surface.texts
        summary = summarise(report, texts, names, report_url=self._app.report_url(session_id))
        embed, files = embed_of(summary.card), []
        if (picture := await summary.picture()) is not None:
            embed.set_image(url="attachment://summary.png")
            files.append(picture_file(picture))
        try:
            await self._app.own.partial(message).edit(embed=embed, attachments=files)
        except discord.NotFound:
            await self._app.storage.forget_messages([message.message_id])
        except TROUBLE:  # then rather no summary than one that still shows them
            return await self._app.own.remove([message])
        else:
            if await self._app.storage.edition(session_id) == edition:  # else somebody else was deleted meanwhile
                await self._app.storage.renewed(message.message_id)
        return []


def is_closed(summary: discord.Message) -> bool:
    """Whether a summary that was posted shows nothing but the button that opens it."""
    rows = [row for row in summary.components if isinstance(row, discord.ActionRow)]
    buttons = [item for row in rows for item in row.children if isinstance(item, discord.Button)]
    return any((button.custom_id or "").startswith(SUMMARY_ID) for button in buttons)


def spoken_in(summary: discord.Message) -> Texts | None:
    """The language in which a summary was posted; None when nothing tells."""
    titles = {embed.title for embed in summary.embeds}
    return next((of(language) for language in LANGUAGES if of(language).SUMMARY_TITLE in titles), None)

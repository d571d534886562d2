"""The bot's own messages about a session or a person: noted when they are posted, so that deletion reaches them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

import discord
import structlog

from bot.assembly import to_the_end
from bot.listening.surface import DISCORD_TROUBLE
from storage import Storage
from storage.errors import StorageError
from storage.records import MessageKind, MessageRecord

TROUBLE: Final = (*DISCORD_TROUBLE, RuntimeError)
"""The last is of a client that has ended, and of there being none yet: whoever asks here may be on the web pages."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedMessage:
    """A message that Discord did not let the bot delete or change."""

    message: MessageRecord
    forbidden: bool
    """It may not; otherwise Discord did not answer, and the bot tries again every hour."""

    @property
    def link(self) -> str:
        return message_link(self.message.guild_id, self.message.channel_id, self.message.message_id)


class OwnMessages:
    def __init__(self, storage: Storage, client: Callable[[], discord.Client]) -> None:
        self._storage = storage
        self._client = client

    async def note(
        self,
        message: discord.Message,
        kind: MessageKind,
        *,
        session_id: str | None = None,
        about: int | None = None,
        stale: bool = False,
    ) -> None:
        """Remember a message that was just posted. One that cannot be remembered is logged.

        `stale`: it is written anew with the next round of deletions, unless somebody finds before that it is right.
        """
        record = MessageRecord(
            message_id=message.id,
            channel_id=message.channel.id,
            # A server that another process has is not among this one's; its channel names it all the same.
            guild_id=message.guild.id if message.guild is not None else getattr(message.channel, "guild_id", None),
            kind=kind,
            session_id=session_id,
        )
        try:
            # To the end: a message that nobody remembers could never be deleted.
            await to_the_end(self._storage.note_message(record, about=about, stale=stale))
        except StorageError as error:
            _log.warning("message_not_noted", kind=kind.value, session=session_id, error=error.code)

    async def discard(self, message: MessageRecord) -> None:
        """Delete a message now; one that Discord does not let go is tried again with the next round of deletions.

        Raises StorageError.
        """
        if await self.remove([message]):
            _log.info("message_not_deleted", session=message.session_id, kind=message.kind.value)
            await self.discard_later(message)

    async def discard_later(self, message: MessageRecord) -> None:
        """Delete a message with the next round of deletions. Raises StorageError."""
        await self._storage.note_message(replace(message, session_id=None))

    async def remove(self, messages: Iterable[MessageRecord]) -> list[RefusedMessage]:
        """Delete messages and reactions in Discord; what is gone is forgotten. Raises StorageError."""
        gone: list[int] = []
        refused: list[RefusedMessage] = []
        for message in messages:
            try:
                await self._take_away(message)
            except discord.NotFound:
                gone.append(message.message_id)
            except TROUBLE as error:
                refused.append(RefusedMessage(message=message, forbidden=isinstance(error, discord.Forbidden)))
            else:
                gone.append(message.message_id)
        await self._storage.forget_messages(gone)
        return refused

    async def _take_away(self, message: MessageRecord) -> None:
        partial = self.partial(message)
        if message.kind is not MessageKind.REACTION:
            await partial.delete()
            return
        theirs, me = await partial.fetch(), self._client().user
        for reaction in theirs.reactions:
            if reaction.me and me is not None:
                await theirs.remove_reaction(reaction.emoji, me)

    def partial(self, message: MessageRecord) -> discord.PartialMessage:
        """The message as something to edit or delete."""
        channel = self._client().get_partial_messageable(message.channel_id, guild_id=message.guild_id)
        return channel.get_partial_message(message.message_id)


def message_link(guild_id: int | None, channel_id: int, message_id: int) -> str:
    """Where Discord's clients show a message."""
    return f"https://discord.com/channels/{guild_id or '@me'}/{channel_id}/{message_id}"

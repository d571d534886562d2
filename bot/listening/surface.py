"""Where a session shows itself: the seam between listening and Discord's messages.

A `Surface` belongs to one session. Every method may raise `SurfaceGone` or one of `DISCORD_TROUBLE`; the callers decide
which notice may be missing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp
import discord

from bot.cards import Card
from bot.texts import Texts
from storage.records import MessageKind, ServerSettings

DISCORD_TROUBLE: Final = (discord.HTTPException, discord.ClientException, aiohttp.ClientError, OSError, TimeoutError)
"""What a call to Discord may end with on a bad day."""


class SurfaceGone(Exception):
    """The message or the channel is not there any more."""


class NoPlace(SurfaceGone):
    """No channel is left in which the people of the call can see a message of the bot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A message of the session."""

    channel_id: int
    message_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    png: bytes
    description: str
    """For people who cannot see it."""


Draw = Callable[[], Awaitable[Picture | None]]
"""Draws a picture, where one is wanted and can be drawn."""


class Surface(Protocol):
    texts: Texts
    """The words of the place where it shows itself: the server's language."""
    server: ServerSettings
    """What the server chose."""

    async def post(
        self, card: Card, kind: MessageKind, *, picture: Draw | None = None, mention: Sequence[int] = ()
    ) -> Posted:
        """Post where the people of the call can see it: the voice channel's own chat, or the next best channel.

        `picture` is drawn when there is a place for it. `mention` are people whose attention it asks for.

        Raises NoPlace.
        """
        ...

    async def edit(self, posted: Posted, card: Card) -> None:
        """Change a message. Raises SurfaceGone when somebody deleted it."""
        ...

    async def remove(self, posted: Posted) -> None:
        """Delete a message of ours; quiet when it is gone."""
        ...

    async def remove_later(self, posted: Posted) -> None:
        """Have a message of ours deleted with the next round of deletions. Raises StorageError."""
        ...

    def stands_well(self, posted: Posted) -> bool:
        """Whether the message is where a new one would be posted."""
        ...

    async def react(self, posted: Posted, emoji: str | None, *, instead_of: str | None) -> None:
        """Put the bot's one reaction on a message, and take the one before away."""
        ...

    async def tell_starter(self, card: Card) -> None:
        """Say it to the person who started the session, in private."""
        ...

    async def status(self) -> str | None:
        """The voice channel's status line as it is now; None when there is none, or when it cannot be read."""
        ...

    def looking_in(self) -> AbstractAsyncContextManager[None]:
        """In the voice channel for a moment, deaf and mute: who is not in it may not change its status line."""
        ...

    async def show_status(self, text: str | None) -> None:
        """Set or clear the voice channel's status line."""
        ...

    def audible(self) -> bool:
        """Whether the people of the call can hear the bot: it may speak and is neither muted nor suppressed."""
        ...

    async def deafen(self, *, deaf: bool) -> None:
        """Show in the voice channel whether the bot hears."""
        ...

    def name(self, user_id: int) -> str | None:
        """How a member is called now, from the cache."""
        ...

    async def called(self, user_id: int) -> str | None:
        """How a member is called now, asked of Discord when they are in no cache. Never raises."""
        ...

"""Where a session shows itself: the seam between listening and Discord's messages.

A `Surface` belongs to one session. Every method may raise `SurfaceGone` or one of `DISCORD_TROUBLE`; the callers decide
which notice may be missing.
"""

from __future__ import annotations

from typing import Final, Protocol

import aiohttp
import discord

from bot.cards import Card
from bot.texts import Texts

DISCORD_TROUBLE: Final = (discord.HTTPException, discord.ClientException, aiohttp.ClientError, OSError, TimeoutError)
"""What a call to Discord may end with on a bad day."""


class SurfaceGone(Exception):
    """The message or the channel is not there any more."""


class Surface(Protocol):
    texts: Texts
    """The words of the place where it shows itself: the server's language."""

    async def post(self, card: Card) -> int:
        """Post a message in the panel's channel; return its id."""
        ...

    async def edit(self, message_id: int, card: Card) -> None:
        """Change a message. Raises SurfaceGone when somebody deleted it."""
        ...

    async def remove(self, message_id: int) -> None:
        """Delete a message of ours; quiet when it is gone."""
        ...

    async def post_picture(self, card: Card, picture: bytes, *, description: str) -> int:
        """Post a card with a PNG inside."""
        ...

    async def show_status(self, text: str | None) -> None:
        """Set or clear the voice channel's status line."""
        ...

    async def deafen(self, *, deaf: bool) -> None:
        """Show in the voice channel whether the bot hears."""
        ...

    def name(self, user_id: int) -> str | None:
        """How a member is called now, from the cache."""
        ...

"""Who is called what, looked up when a page is shown and never stored."""

from __future__ import annotations

from typing import Protocol


class NameDirectory(Protocol):
    """What Discord knows of names and membership now. Each answer is None when it is not known, and quick: from the
    client's cache, or a look-up bounded to a second or two."""

    async def name(self, guild_id: int, user_id: int) -> str | None:
        """How a member is called in that server."""
        ...

    async def channel(self, guild_id: int, channel_id: int) -> str | None:
        """A channel's name, without the number sign."""
        ...

    async def guild(self, guild_id: int) -> str | None:
        """A server's name."""
        ...


class NoNames:
    """Without a connection to Discord everybody keeps their pseudonym."""

    async def name(self, guild_id: int, user_id: int) -> str | None:
        return None

    async def channel(self, guild_id: int, channel_id: int) -> str | None:
        return None

    async def guild(self, guild_id: int) -> str | None:
        return None

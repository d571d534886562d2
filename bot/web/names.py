"""Who is called what, and who is what in a server: asked when a page is shown, and never stored."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final, Protocol

from bot.pictures.names import without_towers

MAX_NAME_CHARS: Final = 100
"""Discord's longest: a channel's, or a server's."""
_TURNING: Final = dict.fromkeys(map(ord, "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"))
"""Unicode's Bidi_Control: they turn the text around a name, and close the isolates that names stand in."""
_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and signs that show nothing. People make a name of them in order to have none."""


def readable(name: str | None) -> str | None:
    """A name as a page may show it: not too long, turning nothing around it, and None where there is nothing to see."""
    shown = without_towers((name or "")[:MAX_NAME_CHARS].translate(_TURNING)).strip()
    seen = any(c not in _BLANK and unicodedata.category(c)[0] not in "CZ" for c in shown)
    return shown if seen else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What somebody is in a server now."""

    role_ids: frozenset[int]
    manages_server: bool = False
    """Has *Manage Server*."""


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

    async def membership(self, guild_id: int, user_id: int) -> Membership | None:
        """The roles of a member; None for everybody else, and while Discord does not answer."""
        ...


class NoNames:
    """Without a connection to Discord everybody keeps their pseudonym, and nobody is a member of anything."""

    async def name(self, guild_id: int, user_id: int) -> str | None:
        return None

    async def channel(self, guild_id: int, channel_id: int) -> str | None:
        return None

    async def guild(self, guild_id: int) -> str | None:
        return None

    async def membership(self, guild_id: int, user_id: int) -> Membership | None:
        return None

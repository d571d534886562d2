"""What in a message is a recording: its files and those of a message that it forwards, told by nothing but being there.

Whether a file can be analysed is found out by its content, at every door alike; here a file is only left aside when it
says that it is a picture or a text and something else is there too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import discord

MAX_RECORDINGS: Final = 10
"""As many as one message of Discord holds."""
LONG_BYTES: Final = 1_000_000
LONG_S: Final = 60.0
_ASIDE: Final = ("image/", "text/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The recordings of one message."""

    files: tuple[discord.Attachment, ...]
    own_voice: bool
    """Recorded by the message's author in Discord itself: it is their own voice. Anything else may be anybody's."""
    forwarded: bool


def found_in(message: discord.Message) -> Found:
    files = list(message.attachments)
    inside = [file for snapshot in message.message_snapshots for file in snapshot.attachments]
    heard = [file for file in [*files, *inside] if not (file.content_type or "").startswith(_ASIDE)]
    return Found(
        files=tuple((heard or [*files, *inside])[:MAX_RECORDINGS]),
        own_voice=bool(files) and message.flags.voice,
        forwarded=not files and bool(inside),
    )


def is_long(file: discord.Attachment) -> bool:
    """Whether it holds others up: by its stated length, or by its size where none is stated."""
    return file.size > LONG_BYTES if file.duration is None else file.duration > LONG_S

"""Which of the bot's messages Discord did not let it delete, and why, in words."""

from __future__ import annotations

from collections.abc import Sequence

from bot.own_messages import RefusedMessage
from bot.texts import Texts

MAX_LISTED = 10


def not_deleted(texts: Texts, refused: Sequence[RefusedMessage]) -> list[str]:
    """A line for each message that is still there."""
    lines = [
        texts("NOT_DELETED_FORBIDDEN" if refusal.forbidden else "NOT_DELETED_YET", url=refusal.link)
        for refusal in refused[:MAX_LISTED]
    ]
    if len(refused) > MAX_LISTED:
        lines.append(texts("AND_MORE", n=len(refused) - MAX_LISTED))
    return lines

"""discord.py's DEBUG log prints keys, tokens and what people write; this takes it out before anybody can read it.

Every voice gateway message is logged whole, the transport key among them, and so is every event of the main gateway. A
filter on the loggers keeps which message it was and drops what was in it. It is put there once, for the whole process,
and acts whatever the log level and wherever the records go.
"""

from __future__ import annotations

import logging
from typing import Any, Final

_LOGGERS: Final = ("discord.gateway", "discord.http", "discord.voice_state", "discord.client", "discord.webhook.async_")
_KEPT: Final = ("op", "t", "s", "seq")
_SAFE: Final = (bool, int, float, type(None))
_WORDS: Final = frozenset(["GET", "POST", "PUT", "PATCH", "DELETE"])


class _Redact(logging.Filter):
    """Takes the content out of the arguments of records below INFO; numbers and the kinds of messages stay."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.INFO and record.args:
            if isinstance(record.args, dict):
                record.args = (_kind_of(record.args),)
            else:
                record.args = tuple(_redacted(value) for value in record.args)
        return True


def _redacted(value: Any) -> Any:
    if isinstance(value, _SAFE) or (isinstance(value, str) and value in _WORDS):
        return value
    return _kind_of(value) if isinstance(value, dict) else f"<{type(value).__name__}>"


def _kind_of(message: dict[str, Any]) -> dict[str, Any]:
    kept = {name: message[name] for name in _KEPT if isinstance(message.get(name), int | str)}
    return {**kept, "…": "left out"}


_FILTER: Final = _Redact()


def protect() -> None:
    """Put the filter in place; calling it again changes nothing."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if _FILTER not in logger.filters:
            logger.addFilter(_FILTER)

"""Logs: events with fields, for people in a terminal or as JSON for programs.

Ids are fields, and each is renamed before anybody can read it (`bot.log_names`), in tracebacks and in other libraries'
messages, too; names, message text and audio are never logged. The standard library's loggers (discord.py, aiohttp,
alembic) go the same way. discord.py's gateway logger prints the voice transport key at DEBUG, so DEBUG records that
carry a key are dropped whatever the level.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from typing import Any, Final, TextIO

import structlog

from bot.log_names import log_names

_CHATTY: Final = (
    "aiosqlite",
    "asyncio",
    "PIL",
    "aiohttp.access",
    "alembic",
    "sqlalchemy.engine",
    "h5py",
    "av",
    "libav",
)
_MOST_TROUBLES: Final = 1_000
_SECRETS: Final = ("secret_key", "secret key", "Authorization", "token")


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Renames what is still an id in the finished line, such as in a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return log_names.in_text(super().format(record))


class KeyFilter(logging.Filter):
    """Drops records of discord.py that would print the voice key or a token."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.DEBUG or not record.name.startswith("discord"):
            return True
        text = record.getMessage().lower()
        return not any(word.lower() in text for word in _SECRETS)


class CutOffFilter(logging.Filter):
    """Drops what a library says of work that was cut off: a second Ctrl-C asks for that, and nothing is broken."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


class Repeats(logging.Filter):
    """Lets a trouble through once a minute; what comes again meanwhile is counted and told with the next one.

    A service that ran out of something (descriptors, disk, database) says so hundreds of times a second otherwise, and
    fills what is left of the disk. What has a `reference` was told to a person, who may come with it: it always passes.
    """

    def __init__(self, *, every_s: float = 60.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every_s = every_s
        self._monotonic = monotonic
        self._seen: OrderedDict[tuple[object, ...], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        event: Any = record.msg
        fields = event if isinstance(event, dict) else {}
        if record.levelno < logging.WARNING or "reference" in fields:
            return True
        kind = record.exc_info[0] if record.exc_info else None
        key = (record.name, fields.get("event", event), fields.get("code"), fields.get("error"), kind)
        now = self._monotonic()
        told_at, more = self._seen.pop(key, (-math.inf, 0))
        if now - told_at < self._every_s:
            self._seen[key] = (told_at, more + 1)
            return False
        self._seen[key] = (now, 0)
        while len(self._seen) > _MOST_TROUBLES:
            self._seen.popitem(last=False)
        if more and fields:
            fields["repeated"] = more
        elif more:
            record.msg = f"{event} (and {more} times more before)"
        return True


def configure(
    level: str = "info", *, json: bool = False, stream: TextIO | None = None, gateway_level: int = logging.NOTSET
) -> None:
    """Set up structlog and the standard library's loggers, discord.py's gateway at a level of its own on request.

    Called once, from the command line; called again, nothing of the first time is left.
    """
    target = stream or sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if json else "%H:%M:%S", utc=json),
        structlog.processors.StackInfoRenderer(),
        _last_line_only if level != "debug" else _untouched,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if json
        # Plain tracebacks: the pretty ones print local variables, and those hold tokens and people's voices.
        else structlog.dev.ConsoleRenderer(
            colors=target.isatty(), pad_event_to=28, exception_formatter=structlog.dev.plain_traceback
        )
    )
    finish: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if json:
        finish.append(structlog.processors.format_exc_info)
    finish.append(_ids_renamed)
    handler = logging.StreamHandler(target)
    handler.addFilter(KeyFilter())
    handler.addFilter(CutOffFilter())
    handler.addFilter(Repeats())
    handler.setFormatter(_Formatter(foreign_pre_chain=shared, processors=[*finish, renderer]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("discord").setLevel(logging.NOTSET if level == "debug" else logging.WARNING)
    logging.getLogger("discord.gateway").setLevel(gateway_level)
    logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)  # warns of what others ask for, with their address
    logging.captureWarnings(capture=True)


def _ids_renamed(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        event[name] = log_names.in_field(name, value)
    return event


def _untouched(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return event


def _last_line_only(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Discord.py logs every reconnect with a traceback; outside DEBUG the error's own line is enough."""
    logger = str(event.get("logger", ""))
    info = event.get("exc_info")
    if logger.startswith("discord.") and logger != "discord.client" and info:
        error = info[1] if isinstance(info, tuple) else sys.exc_info()[1]
        event.pop("exc_info")
        event["error"] = f"{type(error).__name__}: {error}" if error else None
    return event

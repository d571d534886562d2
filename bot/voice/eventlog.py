"""Where this layer writes what happens: structlog when it is installed, as in the service, otherwise logging."""

from __future__ import annotations

import logging
from typing import Any, Protocol


class EventLog(Protocol):
    """Takes an event and its fields: ids, codes and numbers, never names."""

    def warning(self, event: str, **fields: Any) -> Any: ...
    def error(self, event: str, **fields: Any) -> Any: ...


class _PlainLog:
    """``voice_join_failed error=TimeoutError close_code=None``"""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def warning(self, event: str, **fields: Any) -> None:
        self._logger.warning("%s", self._line(event, fields))

    def error(self, event: str, **fields: Any) -> None:
        self._logger.error("%s", self._line(event, fields))

    def _line(self, event: str, fields: dict[str, Any]) -> str:
        return " ".join([event, *(f"{name}={value}" for name, value in fields.items())])


def event_log(name: str) -> EventLog:
    try:
        import structlog
    except ImportError:
        return _PlainLog(name)
    log: EventLog = structlog.get_logger(name)
    return log

"""A defect inside the layer, or in what listens to it, logged so that it can be found and tells nothing of a call.

An exception's text and its frames' variables may hold keys, names or audio; only its kind and the place are written. A
defect that comes with every packet is written ten times, then once in a thousand.
"""

from __future__ import annotations

from types import TracebackType

from .counters import ReceiveCounters
from .eventlog import event_log

_log = event_log(__name__)
_ALWAYS = 10
_SOMETIMES = 1_000


def place(traceback: TracebackType | None) -> str:
    """File and line of the innermost frame."""
    if traceback is None:
        return "unknown"
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{traceback.tb_frame.f_code.co_filename.rpartition('/')[2]}:{traceback.tb_lineno}"


def survive(counters: ReceiveCounters, event: str, error: BaseException, **ids: int) -> None:
    """Count and log a defect that the layer lives on with; `ids` are ids, never names."""
    counters.internal_errors += 1
    if counters.internal_errors <= _ALWAYS or counters.internal_errors % _SOMETIMES == 0:
        _log.error(event, error=type(error).__name__, place=place(error.__traceback__), **ids)

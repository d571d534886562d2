"""Ranges and conditions of requests for static files: aiohttp answers one that fails with a status and no word."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import web

from bot.web import words

_ASKED: Final = frozenset({"If-Match", "If-Unmodified-Since", "Range"})
_NOT_CHANGED: Final = frozenset({"If-None-Match", "If-Modified-Since"})


def check(request: web.Request, file: Path) -> None:
    """Raises HTTPPreconditionFailed and HTTPRequestRangeNotSatisfiable where aiohttp would answer so for `file`."""
    if request.headers.keys().isdisjoint(_ASKED):  # as with nearly every request
        return
    state = file.stat()
    tag = f"{state.st_mtime_ns:x}-{state.st_size:x}"  # the one that aiohttp sends
    if request.if_match is not None:
        holds = any(wanted.value == "*" or (wanted.value == tag and not wanted.is_weak) for wanted in request.if_match)
    else:
        since = request.if_unmodified_since
        holds = since is None or state.st_mtime <= since.timestamp()
    if not holds:
        raise web.HTTPPreconditionFailed(reason=words.CHANGED)
    if "Range" not in request.headers or _NOT_CHANGED & request.headers.keys() or request.if_range is not None:
        return
    try:
        start = request.http_range.start
    except ValueError:
        start = state.st_size
    if start is not None and start >= state.st_size:
        headers = {"Content-Range": f"bytes */{state.st_size}"}
        raise web.HTTPRequestRangeNotSatisfiable(reason=words.NO_RANGE, headers=headers)

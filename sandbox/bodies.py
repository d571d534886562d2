"""Reads the body of a request. What is wrong with one is its sender's fault, however aiohttp calls it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from sandbox import errors

WITHIN_S: Final = 60.0
"""How long a body may take."""
_BROKEN: Final = (
    ValueError,
    LookupError,  # an unknown charset
    TypeError,  # a charset that is no charset of texts
    AssertionError,
    RuntimeError,
    HttpProcessingError,
    web.RequestPayloadError,
)


def is_ours(record: logging.LogRecord) -> bool:
    """Whether a line of aiohttp's log tells of a fault here, and not of a body that cannot be read."""
    return not (record.exc_info and isinstance(record.exc_info[1], (HttpProcessingError, web.RequestPayloadError)))


@asynccontextmanager
async def whole() -> AsyncIterator[None]:
    """Around what aiohttp reads. Raises ApiError where a body stops or breaks off, is packed wrongly or is no form."""
    try:
        async with asyncio.timeout(WITHIN_S):
            yield
    except TimeoutError:
        raise errors.too_slow() from None
    except _BROKEN:
        raise errors.broken_body() from None


def loads(raw: bytes) -> Any:
    """What the JSON says. Raises ApiError for what is none, or is nested without end."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise errors.invalid_json() from None

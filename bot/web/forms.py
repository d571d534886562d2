"""Forms that change something: small, read in time, and taken only with the token that our page gave its reader."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from bot.web import words
from bot.web.access import same_text
from bot.web.errors import BadParameter, Forbidden
from bot.web.grants import visitor_of

FORM_TYPE: Final = "application/x-www-form-urlencoded"
_MAX_BYTES: Final = 4_096
_TIMEOUT_S: Final = 10.0


async def read_form(request: web.Request) -> Mapping[str, str]:
    """The fields of a form of ours. Raises BadParameter, and Forbidden when another page made it."""
    if request.content_type != FORM_TYPE or (request.content_length or 0) > _MAX_BYTES:
        raise BadParameter(words.NO_FORM)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            posted = await request.post()
    except (
        TimeoutError,
        ValueError,
        LookupError,  # an unknown charset
        web.HTTPRequestEntityTooLarge,
        web.RequestPayloadError,  # it ends early, or cannot be unpacked
    ):
        raise BadParameter(words.NO_FORM) from None
    fields = {name: value for name, value in posted.items() if isinstance(value, str)}
    token = visitor_of(request).csrf
    if not token or not same_text(fields.get("csrf", ""), token):
        raise Forbidden(words.STALE_FORM)
    return fields

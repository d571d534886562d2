"""Reactions: an emoji under a message."""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import unquote

from aiohttp import web

from sandbox import errors, payloads
from sandbox.permissions import Permission
from sandbox.rest.access import channel_of, message_of, snowflake, world_of
from sandbox.rest.answers import no_content, reply

ROUTES: Final = web.RouteTableDef()
_PATH: Final = "/channels/{channel_id}/messages/{message_id}/reactions/{emoji}"
_CUSTOM: Final = re.compile(r"\w{2,32}:\d{1,20}")
_DIFFERENT_LIMIT: Final = 20


def _emoji(request: web.Request) -> str:
    """The emoji in the path: one character (with its modifiers), or ``name:id``."""
    text = unquote(request.match_info["emoji"])
    symbol = bool(text) and len(text) <= 12 and any(unicodedata.category(c) in ("So", "Sk", "Me") for c in text)
    if not symbol and not _CUSTOM.fullmatch(text):
        raise errors.unknown_emoji()
    return text


@ROUTES.put(_PATH + "/@me")
async def add(request: web.Request) -> web.Response:
    """Needs to read the history, and to add reactions unless the emoji is there already."""
    world = world_of(request)
    emoji = _emoji(request)
    message = message_of(request, Permission.READ_MESSAGE_HISTORY)
    if all(r.emoji != emoji for r in message.reactions):
        channel_of(request, Permission.ADD_REACTIONS)
        if len(message.reactions) >= _DIFFERENT_LIMIT:
            raise errors.ApiError(400, 30010, f"Maximum number of reactions reached ({_DIFFERENT_LIMIT})")
    world.state.add_reaction(message, emoji, world.bot.id)
    return no_content()


@ROUTES.delete(_PATH + "/{user_id}")
async def remove(request: web.Request) -> web.Response:
    world = world_of(request)
    if request.match_info["user_id"] == "@me":
        message, user_id = message_of(request), world.bot.id
    else:
        message, user_id = message_of(request, Permission.MANAGE_MESSAGES), snowflake(request, "user_id")
    world.state.remove_reaction(message, _emoji(request), user_id)
    return no_content()


@ROUTES.get(_PATH)
async def reactors(request: web.Request) -> web.Response:
    world = world_of(request)
    emoji = _emoji(request)
    found = [r for r in message_of(request).reactions if r.emoji == emoji]
    ids = found[0].user_ids if found else []
    return reply([payloads.user(world.state.users[u]) for u in ids if u in world.state.users])

"""Messages of a channel: posting, reading, editing, deleting."""

from __future__ import annotations

import re
from typing import Any, Final

from aiohttp import web

from sandbox import errors
from sandbox.forms import MessageForm, parse
from sandbox.models import Channel
from sandbox.permissions import Permission, in_channel
from sandbox.posting import Uploads
from sandbox.rest.access import (
    channel_of,
    channel_to_write_in,
    form_body,
    json_body,
    limit_of,
    message_of,
    number,
    shown,
    world_of,
)
from sandbox.rest.answers import no_content, reply

ROUTES: Final = web.RouteTableDef()


@ROUTES.get("/channels/{channel_id}/messages")
async def history(request: web.Request) -> web.Response:
    """Newest first. Without the right to read the history the list is empty, as Discord answers it."""
    world = world_of(request)
    channel = channel_of(request)
    if not _may(request, channel, Permission.READ_MESSAGE_HISTORY):
        return reply([])
    limit = limit_of(request, default=50, most=100)
    found = [m for m in world.state.messages(channel.id) if not m.ephemeral]
    if before := number(request, "before"):
        found = [m for m in found if m.id < before]
    if after := number(request, "after"):
        found = [m for m in found if m.id > after][:limit]
    return reply([shown(request, m) for m in reversed(found[-limit:])])


@ROUTES.get("/channels/{channel_id}/messages/{message_id}")
async def message(request: web.Request) -> web.Response:
    return reply(shown(request, message_of(request, Permission.READ_MESSAGE_HISTORY)))


@ROUTES.post("/channels/{channel_id}/messages")
async def create(request: web.Request) -> web.Response:
    world = world_of(request)
    channel = channel_to_write_in(request)
    raw, uploads = await form_body(request)
    form = _form(request, channel, raw, uploads)
    return reply(shown(request, world.posting.create(channel, world.bot, form, uploads)))


@ROUTES.patch("/channels/{channel_id}/messages/{message_id}")
async def edit(request: web.Request) -> web.Response:
    world = world_of(request)
    record = message_of(request)
    if record.author.id != world.bot.id:
        raise errors.not_the_author()
    raw, uploads = await form_body(request)
    form = _form(request, channel_of(request), raw, uploads)
    return reply(shown(request, world.posting.edit(record, form, uploads)))


@ROUTES.delete("/channels/{channel_id}/messages/{message_id}")
async def delete(request: web.Request) -> web.Response:
    world = world_of(request)
    record = message_of(request)
    if record.author.id != world.bot.id and not _may(request, channel_of(request), Permission.MANAGE_MESSAGES):
        raise errors.missing_permissions()
    world.state.delete_message(record)
    return no_content()


@ROUTES.post("/channels/{channel_id}/messages/bulk-delete")
async def bulk_delete(request: web.Request) -> web.Response:
    world = world_of(request)
    channel = channel_of(request, Permission.MANAGE_MESSAGES)
    ids = (await json_body(request)).get("messages", [])
    if not isinstance(ids, list) or not 2 <= len(ids) <= 100:
        raise errors.invalid_field("messages", "BASE_TYPE_BAD_LENGTH", "Must be between 2 and 100 in length.")
    for message_id in ids:
        record = world.state.message(channel.id, int(message_id) if re.fullmatch(r"\d{1,20}", str(message_id)) else 0)
        if record is not None:
            world.state.delete_message(record)
    return no_content()


def _may(request: web.Request, channel: Channel, needed: Permission) -> bool:
    world = world_of(request)
    if channel.guild_id is None:
        return True
    return bool(in_channel(world.state.guilds[channel.guild_id], channel, world.bot.id) & needed)


def _form(request: web.Request, channel: Channel, raw: Any, uploads: Uploads) -> MessageForm:
    """The message, without what the bot may not do: embeds are dropped in silence, files refused."""
    form = parse(MessageForm, raw)
    if uploads and not _may(request, channel, Permission.ATTACH_FILES):
        raise errors.missing_permissions()
    if form.embeds and not _may(request, channel, Permission.EMBED_LINKS):
        form.embeds = []
    if form.message_reference is not None and not _may(request, channel, Permission.READ_MESSAGE_HISTORY):
        raise errors.ApiError(403, 160002, "Cannot reply without permission to read message history")
    return form

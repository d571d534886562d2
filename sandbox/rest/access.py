"""Reading requests: ids, bodies and files, and whether the bot may see and do what it asks for."""

from __future__ import annotations

import re
from typing import Any, Final

from aiohttp import BodyPartReader, web

from sandbox import errors, payloads
from sandbox.bodies import loads, whole
from sandbox.forms import ATTACHMENTS_LIMIT, UPLOAD_LIMIT_BYTES
from sandbox.models import Channel, Guild, Json, Message, User
from sandbox.permissions import Permission, in_channel, in_guild, to_write
from sandbox.posting import Upload, Uploads
from sandbox.world import WORLD, World

_JSON_LIMIT_BYTES: Final = 1024 * 1024
_FILE_PART: Final = re.compile(r"files\[(\d+)\]|file")


SIGNED_IN: Final = web.RequestKey("SIGNED_IN", User)
"""Whose own token came with the request, when it was not the bot's."""


def world_of(request: web.Request) -> World:
    return request.config_dict[WORLD]


def snowflake(request: web.Request, name: str) -> int:
    text = request.match_info[name]
    if not re.fullmatch(r"\d{1,20}", text):
        raise errors.invalid_field(name, "NUMBER_TYPE_COERCE", f'Value "{text[:40]}" is not snowflake.')
    return int(text)


def number(request: web.Request, name: str) -> int | None:
    """The whole number that the query gives under that name; None for none, and for what is no number."""
    text = request.query.get(name, "")
    return int(text) if re.fullmatch(r"\d{1,20}", text) else None


def limit_of(request: web.Request, *, default: int, most: int) -> int:
    """How many the query asks for. Raises ApiError for what is no number from 1 to `most`."""
    limit = number(request, "limit") if "limit" in request.query else default
    if limit is None or not 1 <= limit <= most:
        raise errors.invalid_field("limit", "NUMBER_TYPE_MAX", f"int value should be between 1 and {most}.")
    return limit


def guild_of(request: web.Request) -> Guild:
    """The server in the path; to a bot that is not a member it does not exist."""
    world = world_of(request)
    guild = world.state.guilds.get(snowflake(request, "guild_id"))
    if guild is None:
        raise errors.unknown_guild()
    if world.bot.id not in guild.members:
        raise errors.missing_access()
    return guild


def channel_of(request: web.Request, needed: int = 0) -> Channel:
    """The channel in the path, which the bot must be able to see, with the permissions `needed`.

    Raises:
        ApiError: 10003, 50001 or 50013.
    """
    world = world_of(request)
    channel = world.state.channels.get(snowflake(request, "channel_id"))
    if channel is None:
        raise errors.unknown_channel()
    if channel.guild_id is not None:
        allowed = in_channel(world.state.guilds[channel.guild_id], channel, world.bot.id)
        if not allowed & Permission.VIEW_CHANNEL:
            raise errors.missing_access()
        if allowed & needed != needed:
            raise errors.missing_permissions()
    return channel


def channel_to_write_in(request: web.Request) -> Channel:
    """The channel or thread in the path, in which the bot must be allowed to post. Raises as `channel_of` does."""
    channel = channel_of(request)
    return channel if channel.guild_id is None else channel_of(request, to_write(channel))


def message_of(request: web.Request, needed: int = 0) -> Message:
    """The message in the path. An ephemeral one is out of reach here; only its interaction's token opens it."""
    channel = channel_of(request, needed)
    message = world_of(request).state.message(channel.id, snowflake(request, "message_id"))
    if message is None or message.ephemeral:
        raise errors.unknown_message()
    return message


def need_in_guild(request: web.Request, guild: Guild, needed: Permission) -> None:
    if not in_guild(guild, world_of(request).bot.id) & needed:
        raise errors.missing_permissions()


def shown(request: web.Request, message: Message) -> Json:
    """A message as the bot sees it by REST."""
    world = world_of(request)
    return payloads.message(message, world.state, world.urls, viewer_id=world.bot.id)


async def json_body(request: web.Request) -> Json:
    """The body, which must be an object, or an empty object when there is none."""
    return _object(await json_value(request))


async def json_value(request: web.Request) -> Any:
    """The body whatever it is, or an empty object when there is none."""
    async with whole():
        raw = await request.content.read(_JSON_LIMIT_BYTES + 1)
        while not request.content.at_eof() and len(raw) <= _JSON_LIMIT_BYTES:
            raw += await request.content.read(_JSON_LIMIT_BYTES)
    if len(raw) > _JSON_LIMIT_BYTES:
        raise errors.too_large()
    return loads(raw) if raw else {}


def _object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise errors.invalid_field("_root", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
    return value


async def form_body(request: web.Request) -> tuple[Json, Uploads]:
    """The JSON of a request and its files: plain JSON, or multipart with ``payload_json`` and ``files[n]``."""
    if not request.content_type.startswith("multipart/"):
        return await json_body(request), {}
    async with whole():
        return await _parts(request)


async def _parts(request: web.Request) -> tuple[Json, Uploads]:
    body: Json = {}
    uploads: Uploads = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        if part.name == "payload_json":
            body = _object(loads(await _read(part, _JSON_LIMIT_BYTES)))
        elif found := _FILE_PART.fullmatch(part.name or ""):
            if len(uploads) == ATTACHMENTS_LIMIT:
                raise errors.invalid_field(
                    "attachments", "BASE_TYPE_MAX_LENGTH", f"Must be {ATTACHMENTS_LIMIT} or fewer in length."
                )
            content = await _read(part, UPLOAD_LIMIT_BYTES)
            uploads[int(found[1] or 0)] = Upload(
                filename=part.filename or "file", content=content, content_type=part.headers.get("Content-Type")
            )
    return body, uploads


async def _read(part: BodyPartReader, limit: int) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(256 * 1024):
        content += chunk
        if len(content) > limit:
            raise errors.too_large()
    return bytes(content)

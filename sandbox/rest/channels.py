"""Channels: reading, changing and deleting them, typing, and the line under a voice channel's name."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import BaseModel, Field

from sandbox import errors, payloads
from sandbox.forms import parse
from sandbox.models import ChannelType
from sandbox.permissions import Permission, in_channel
from sandbox.rest.access import channel_of, channel_to_write_in, json_body, world_of
from sandbox.rest.answers import no_content, reply

ROUTES: Final = web.RouteTableDef()


class _ChannelForm(BaseModel):
    name: str | None = Field(default=None, min_length=1, max_length=100)
    topic: str | None = Field(default=None, max_length=1_024)


class _StatusForm(BaseModel):
    status: str | None = Field(default=None, max_length=500)


@ROUTES.get("/channels/{channel_id}")
async def channel(request: web.Request) -> web.Response:
    return reply(payloads.channel(channel_of(request), world_of(request).state))


@ROUTES.patch("/channels/{channel_id}")
async def edit_channel(request: web.Request) -> web.Response:
    record = channel_of(request, Permission.MANAGE_CHANNELS)
    form = parse(_ChannelForm, await json_body(request))
    if form.name is not None:
        record.name = form.name
    if "topic" in form.model_fields_set:
        record.topic = form.topic
    state = world_of(request).state
    state.update_channel(record)
    return reply(payloads.channel(record, state))


@ROUTES.delete("/channels/{channel_id}")
async def delete_channel(request: web.Request) -> web.Response:
    record = channel_of(request, Permission.MANAGE_CHANNELS)
    state = world_of(request).state
    body = payloads.channel(record, state)
    if record.guild_id is not None:
        state.delete_channel(record)
    return reply(body)


@ROUTES.post("/channels/{channel_id}/typing")
async def typing(request: web.Request) -> web.Response:
    channel_to_write_in(request)
    return no_content()


@ROUTES.put("/channels/{channel_id}/voice-status")
async def voice_status(request: web.Request) -> web.Response:
    """From outside the channel it needs the right to manage the channel as well."""
    world = world_of(request)
    record = channel_of(request)
    if record.type is not ChannelType.VOICE or record.guild_id is None:
        raise errors.wrong_channel_type()
    form = parse(_StatusForm, await json_body(request))
    guild = world.state.guilds[record.guild_id]
    here = guild.voice_states.get(world.bot.id)
    needed = Permission.SET_VOICE_CHANNEL_STATUS
    if here is None or here.channel_id != record.id:
        needed |= Permission.MANAGE_CHANNELS
    if in_channel(guild, record, world.bot.id) & needed != needed:
        raise errors.missing_permissions()
    world.state.set_voice_status(record, form.status)
    return no_content()

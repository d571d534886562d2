"""Servers: their channels, roles and members, and who sits in voice."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import BaseModel

from sandbox import errors, payloads
from sandbox.forms import parse
from sandbox.gateway import Intent
from sandbox.models import ChannelType, Guild, Member
from sandbox.permissions import Permission, in_channel
from sandbox.rest.access import guild_of, json_body, limit_of, need_in_guild, number, snowflake, world_of
from sandbox.rest.answers import no_content, reply

ROUTES: Final = web.RouteTableDef()


class _MemberForm(BaseModel):
    nick: str | None = None
    mute: bool | None = None
    deaf: bool | None = None
    channel_id: int | None = None


class _StageForm(BaseModel):
    channel_id: int | None = None
    suppress: bool | None = None


@ROUTES.get("/guilds/{guild_id}")
async def guild(request: web.Request) -> web.Response:
    record = guild_of(request)
    body = payloads.guild(record)
    if request.query.get("with_counts") in ("1", "true"):
        body |= {"approximate_member_count": len(record.members), "approximate_presence_count": len(record.members)}
    return reply(body)


@ROUTES.get("/guilds/{guild_id}/channels")
async def channels(request: web.Request) -> web.Response:
    state = world_of(request).state
    return reply([payloads.channel(c, state) for c in guild_of(request).channels.values()])


@ROUTES.get("/guilds/{guild_id}/roles")
async def roles(request: web.Request) -> web.Response:
    return reply([payloads.role(r) for r in guild_of(request).roles.values()])


@ROUTES.get("/guilds/{guild_id}/members/search")
async def search_members(request: web.Request) -> web.Response:
    start = request.query.get("query", "").lower()
    found = [m for m in guild_of(request).members.values() if m.name.lower().startswith(start)]
    return reply([payloads.member(m) for m in found[: limit_of(request, default=1, most=1_000)]])


@ROUTES.get("/guilds/{guild_id}/members/{user_id}")
async def member(request: web.Request) -> web.Response:
    return reply(payloads.member(_member(request, guild_of(request))))


@ROUTES.get("/guilds/{guild_id}/members")
async def members(request: web.Request) -> web.Response:
    """Only for applications with the privileged members intent, as Discord has it."""
    world = world_of(request)
    record = guild_of(request)
    if not world.gateway.allowed_privileged & Intent.GUILD_MEMBERS:
        raise errors.missing_access()
    after = number(request, "after") or 0
    listed = sorted(m.user.id for m in record.members.values() if m.user.id > after)
    return reply([payloads.member(record.members[u]) for u in listed[: limit_of(request, default=1, most=1_000)]])


@ROUTES.patch("/guilds/{guild_id}/members/{user_id}")
async def edit_member(request: web.Request) -> web.Response:
    world = world_of(request)
    record = guild_of(request)
    raw = await json_body(request)
    form = parse(_MemberForm, raw)
    if request.match_info["user_id"] == "@me":
        who = record.members[world.bot.id]
    else:
        who = _member(request, record)
        for name, needed in (
            ("mute", Permission.MUTE_MEMBERS),
            ("deaf", Permission.DEAFEN_MEMBERS),
            ("channel_id", Permission.MOVE_MEMBERS),
        ):
            if name in raw:
                need_in_guild(request, record, needed)
    if "nick" in raw:
        who.nick = form.nick
        world.state.update_member(who)
    voice = record.voice_states.get(who.user.id)
    if voice is None and {"mute", "deaf", "channel_id"} & raw.keys():
        raise errors.not_in_voice()
    if voice is not None and (form.mute is not None or form.deaf is not None):
        world.state.update_voice(voice, mute=form.mute, deaf=form.deaf)
    if "channel_id" in raw:
        if form.channel_id is None:
            world.state.leave_voice(record.id, who.user.id)
        elif form.channel_id in record.channels:
            world.state.join_voice(who.user.id, record.channels[form.channel_id])
        else:
            raise errors.unknown_channel()
    return reply(payloads.member(who))


@ROUTES.get("/guilds/{guild_id}/voice-states/{user_id}")
async def voice_state(request: web.Request) -> web.Response:
    world = world_of(request)
    record = guild_of(request)
    own = request.match_info["user_id"] == "@me"
    user_id = world.bot.id if own else snowflake(request, "user_id")
    state = record.voice_states.get(user_id)
    if state is None:
        raise errors.unknown_voice_state()
    return reply(payloads.voice_state(state, who=record.members.get(user_id)))


@ROUTES.patch("/guilds/{guild_id}/voice-states/{user_id}")
async def edit_voice_state(request: web.Request) -> web.Response:
    """Letting somebody speak on a stage is for who may mute; whoever speaks may stop by themselves."""
    world = world_of(request)
    record = guild_of(request)
    own = request.match_info["user_id"] == "@me"
    form = parse(_StageForm, await json_body(request))
    state = record.voice_states.get(world.bot.id if own else snowflake(request, "user_id"))
    if state is None or state.channel_id is None:
        raise errors.unknown_voice_state()
    stage = record.channels[state.channel_id]
    if stage.type is not ChannelType.STAGE:
        raise errors.wrong_channel_type()
    if form.suppress is not None:
        stops = own and form.suppress
        if not stops and not in_channel(record, stage, world.bot.id) & Permission.MUTE_MEMBERS:
            raise errors.missing_permissions()
        world.state.update_voice(state, suppress=form.suppress)
    return no_content()


def _member(request: web.Request, guild: Guild) -> Member:
    who = guild.members.get(snowflake(request, "user_id"))
    if who is None:
        raise errors.unknown_member()
    return who

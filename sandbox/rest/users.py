"""The bot's own account, its application, the gateway's address, and other users."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import BaseModel

from sandbox import errors, payloads
from sandbox.bodies import whole
from sandbox.forms import parse
from sandbox.gateway import Intent
from sandbox.models import User
from sandbox.oauth import is_application
from sandbox.permissions import in_guild
from sandbox.rest.access import SIGNED_IN, json_body, snowflake, world_of
from sandbox.rest.answers import no_content, reply

ROUTES: Final = web.RouteTableDef()
_FORM: Final = "application/x-www-form-urlencoded"
"""All that OAuth2 takes (RFC 6749, appendix B); of a form with files aiohttp would write some to a disk."""
_INTENT_FLAGS: Final = {Intent.GUILD_PRESENCES: 1 << 13, Intent.GUILD_MEMBERS: 1 << 15, Intent.MESSAGE_CONTENT: 1 << 19}


def _asking(request: web.Request) -> User:
    """Whose token it is: a person who signed in somewhere, or the bot."""
    return request.get(SIGNED_IN) or world_of(request).bot


class _OpenDm(BaseModel):
    recipient_id: int


@ROUTES.get("/gateway")
async def gateway(request: web.Request) -> web.Response:
    return reply({"url": world_of(request).gateway.resume_url})


@ROUTES.get("/gateway/bot")
async def gateway_bot(request: web.Request) -> web.Response:
    limit = {"total": 1000, "remaining": 1000, "reset_after": 86_400_000, "max_concurrency": 1}
    gateway = world_of(request).gateway
    return reply({"url": gateway.resume_url, "shards": gateway.shards, "session_start_limit": limit})


@ROUTES.get("/users/@me")
async def me(request: web.Request) -> web.Response:
    user = _asking(request)
    return reply(payloads.user(user) | {"verified": True, "mfa_enabled": True, "email": None, "locale": "en-US"})


@ROUTES.get("/users/@me/guilds")
async def my_guilds(request: web.Request) -> web.Response:
    user = _asking(request)
    return reply(
        [
            {
                "id": str(guild.id),
                "name": guild.name,
                "icon": None,
                "banner": None,
                "owner": guild.owner_id == user.id,
                "features": [],
                "permissions": str(in_guild(guild, user.id)),
            }
            for guild in world_of(request).state.guilds.values()
            if user.id in guild.members
        ]
    )


@ROUTES.get("/users/@me/guilds/{guild_id}/member")
async def my_membership(request: web.Request) -> web.Response:
    guild = world_of(request).state.guilds.get(snowflake(request, "guild_id"))
    user = _asking(request)
    if guild is None or user.id not in guild.members:
        raise errors.unknown_guild()
    return reply(payloads.member(guild.members[user.id]))


@ROUTES.post("/oauth2/token")
async def token(request: web.Request) -> web.Response:
    """A code for a token, in OAuth2's form and with its errors."""
    world = world_of(request)
    try:
        async with whole():
            posted = await request.post() if request.content_type == _FORM else {}
    except errors.ApiError as error:
        return reply({"error": "invalid_request", "error_description": error.message}, status=error.status)
    form = {key: value for key, value in posted.items() if isinstance(value, str)}
    if not is_application(world, request.headers.get("Authorization", ""), form):
        return reply({"error": "invalid_client"}, status=401)
    if form.get("grant_type") != "authorization_code":
        return reply({"error": "unsupported_grant_type"}, status=400)
    granted = world.grants.exchange(form.get("code", ""), form.get("redirect_uri", ""), form.get("code_verifier"))
    if granted is None:
        return reply({"error": "invalid_grant", "error_description": 'Invalid "code" in request.'}, status=400)
    body = {"access_token": granted[0], "token_type": "Bearer", "expires_in": 604_800, "scope": granted[1]}
    return reply(body | {"refresh_token": granted[0]})


@ROUTES.delete("/users/@me/guilds/{guild_id}")
async def leave_guild(request: web.Request) -> web.Response:
    world = world_of(request)
    guild = world.state.guilds.get(snowflake(request, "guild_id"))
    if guild is None or world.bot.id not in guild.members:
        raise errors.unknown_guild()
    world.state.remove_member(guild, world.bot.id)
    return no_content()


@ROUTES.post("/users/@me/channels")
async def open_dm(request: web.Request) -> web.Response:
    world = world_of(request)
    form = parse(_OpenDm, await json_body(request))
    recipient = world.state.users.get(form.recipient_id)
    if recipient is None:
        raise errors.unknown_user()
    if recipient.bot:
        raise errors.cannot_message_user()
    return reply(payloads.channel(world.state.dm_channel(recipient.id), world.state))


@ROUTES.get("/users/{user_id}")
async def user(request: web.Request) -> web.Response:
    record = world_of(request).state.users.get(snowflake(request, "user_id"))
    if record is None:
        raise errors.unknown_user()
    return reply(payloads.user(record))


def application_flags(allowed_intents: int) -> int:
    """An application's flags: which privileged intents its owner switched on, as a small one may."""
    return sum(flag for intent, flag in _INTENT_FLAGS.items() if allowed_intents & intent)


@ROUTES.get("/oauth2/applications/@me")
@ROUTES.get("/applications/@me")
async def application(request: web.Request) -> web.Response:
    world = world_of(request)
    return reply(
        {
            "id": str(world.application_id),
            "name": world.bot.name,
            "icon": None,
            "description": "",
            "summary": "",
            "type": None,
            "bot": payloads.user(world.bot),
            "bot_public": True,
            "bot_require_code_grant": False,
            "verify_key": "0" * 64,
            "owner": payloads.user(world.owner),
            "team": None,
            "flags": application_flags(world.gateway.allowed_privileged),
            "explicit_content_filter": 0,
            "hook": True,
            "approximate_guild_count": len(world.state.guilds),
            "approximate_user_install_count": 0,
            "redirect_uris": [],
            "interactions_endpoint_url": None,
            "integration_types_config": {"0": {}, "1": {}},
        }
    )

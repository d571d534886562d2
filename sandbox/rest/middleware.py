"""What every request passes: armed faults, the token, rate limits; and every error on its way out."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web

from sandbox import errors
from sandbox.rest.access import SIGNED_IN
from sandbox.rest.answers import reply
from sandbox.world import WORLD

log = structlog.get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PREFIX: Final = re.compile(r"^/api/v\d+")
_OPEN: Final = re.compile(r"^/(interactions|webhooks)/|^/gateway$|^/oauth2/token$")
"""Paths that carry their own token, or need none."""
_SIGNED_IN: Final = re.compile(r"^/users/@me$|^/users/@me/guilds$|^/users/@me/guilds/\d+/member$")
"""What a person's own token opens."""

_BUCKETS: Final = {
    ("POST", "/channels/{channel_id}/messages"): "message-create",
    ("PATCH", "/channels/{channel_id}/messages/{message_id}"): "message-edit",
    ("DELETE", "/channels/{channel_id}/messages/{message_id}"): "message-delete",
    ("PUT", "/channels/{channel_id}/messages/{message_id}/reactions/{emoji}/@me"): "reaction",
    ("DELETE", "/channels/{channel_id}/messages/{message_id}/reactions/{emoji}/{user_id}"): "reaction",
    ("POST", "/channels/{channel_id}/typing"): "typing",
    ("PATCH", "/channels/{channel_id}"): "channel-edit",
    ("PUT", "/channels/{channel_id}/voice-status"): "voice-status",
    ("POST", "/webhooks/{webhook_id}/{token}"): "webhook",
    ("PATCH", "/webhooks/{webhook_id}/{token}/messages/{message_id}"): "webhook",
    ("DELETE", "/webhooks/{webhook_id}/{token}/messages/{message_id}"): "webhook",
}


def api_path(request: web.Request) -> str:
    return _PREFIX.sub("", request.path)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error as JSON; without the Via header clients take a 429 for a ban by the front door."""
    try:
        response = await handler(request)
    except errors.ApiError as error:
        response = reply(error.body(), status=error.status)
    except web.HTTPNotFound:
        response = reply(errors.not_found().body(), status=404)
    except web.HTTPMethodNotAllowed:
        response = reply(errors.method_not_allowed().body(), status=405)
    except web.HTTPRequestEntityTooLarge:
        response = reply(errors.too_large().body(), status=413)
    except (ConnectionError, web.RequestPayloadError):  # whoever asked has hung up, and nobody reads this
        response = reply(errors.broken_body().body(), status=400)
    except Exception:
        log.exception("sandbox.request_failed", method=request.method, path=api_path(request))
        response = reply({"message": "500: Internal Server Error", "code": 0}, status=500)
    response.headers["Via"] = "1.1 sandbox"
    return response


@web.middleware
async def apply_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    fault = request.config_dict[WORLD].faults.take_rest(request.method, api_path(request))
    if fault is None:
        return await handler(request)
    if fault.after or fault.status == 0:
        response = await handler(request)
    if fault.held is not None:
        await fault.held.wait()
    if fault.status == 0:
        return response
    if fault.status == 429:
        headers = {"Retry-After": str(max(round(fault.retry_after_s), 1))}
        headers |= {"X-RateLimit-Scope": "user", **({"X-RateLimit-Global": "true"} if fault.is_global else {})}
        return reply(_rate_limited(fault.retry_after_s, is_global=fault.is_global), status=429, headers=headers)
    return reply({"message": f"{fault.status}: simulated", "code": 0}, status=fault.status)


@web.middleware
async def check_token(request: web.Request, handler: Handler) -> web.StreamResponse:
    world = request.config_dict[WORLD]
    path = api_path(request)
    authorization = request.headers.get("Authorization", "")
    if authorization.startswith("Bearer ") and request.method == "GET" and _SIGNED_IN.match(path):
        user = world.grants.user(authorization.removeprefix("Bearer "))
        if user is None:
            raise errors.unauthorized()
        request[SIGNED_IN] = user
    elif not _OPEN.match(path) and authorization != f"Bot {world.token}":
        raise errors.unauthorized()
    return await handler(request)


@web.middleware
async def limit_rate(request: web.Request, handler: Handler) -> web.StreamResponse:
    world = request.config_dict[WORLD]
    verdict = world.limits.take(*_bucket(request))
    if not verdict.allowed:
        headers = verdict.headers | {
            "Retry-After": str(max(round(verdict.retry_after_s), 1)),
            "X-RateLimit-Scope": "user",
        }
        return reply(_rate_limited(verdict.retry_after_s), status=429, headers=headers)
    try:
        response = await handler(request)
    except errors.ApiError as error:
        response = reply(error.body(), status=error.status)
    response.headers.update(verdict.headers)
    return response


def _bucket(request: web.Request) -> tuple[str, str]:
    resource = request.match_info.route.resource
    template = _PREFIX.sub("", resource.canonical) if resource is not None else "?"
    info = request.match_info
    major = info.get("channel_id") or info.get("guild_id") or info.get("token", "")
    return _BUCKETS.get((request.method, template), f"{request.method} {template}"), major


def _rate_limited(retry_after_s: float, *, is_global: bool = False) -> dict[str, object]:
    return {"message": "You are being rate limited.", "retry_after": round(retry_after_s, 3), "global": is_global}


MIDDLEWARES: Final = (answer_errors, apply_faults, check_token, limit_rate)

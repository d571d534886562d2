"""Registering application commands, for everywhere or for one server."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from sandbox import errors
from sandbox.commands import Command
from sandbox.rest.access import guild_of, json_body, json_value, snowflake, world_of
from sandbox.rest.answers import no_content, reply

ROUTES: Final = web.RouteTableDef()
_SCOPES: Final = ("/applications/{application_id}", "/applications/{application_id}/guilds/{guild_id}")


def _scope(request: web.Request) -> int | None:
    """The server of the path, or None for the global scope; another application's commands are out of reach."""
    if snowflake(request, "application_id") != world_of(request).application_id:
        raise errors.ApiError(403, 20012, "You are not authorized to perform this action on this application")
    return guild_of(request).id if "guild_id" in request.match_info else None


def _written(request: web.Request, commands: list[Command]) -> list[dict[str, object]]:
    return [c.payload(world_of(request).application_id) for c in commands]


async def listed(request: web.Request) -> web.Response:
    return reply(_written(request, world_of(request).commands.listed(_scope(request))))


async def replace_all(request: web.Request) -> web.Response:
    scope = _scope(request)
    return reply(_written(request, world_of(request).commands.replace_all(scope, await json_value(request))))


async def upsert(request: web.Request) -> web.Response:
    scope = _scope(request)
    command = world_of(request).commands.upsert(scope, await json_body(request))
    return reply(_written(request, [command])[0], status=201)


async def one(request: web.Request) -> web.Response:
    command = world_of(request).commands.get(snowflake(request, "command_id"), _scope(request))
    return reply(_written(request, [command])[0])


async def edit(request: web.Request) -> web.Response:
    scope = _scope(request)
    book = world_of(request).commands
    before = book.get(snowflake(request, "command_id"), scope)
    merged = before.form.model_dump(mode="json", exclude_unset=True) | await json_body(request)
    return reply(_written(request, [book.upsert(scope, merged)])[0])


async def delete(request: web.Request) -> web.Response:
    world_of(request).commands.delete(snowflake(request, "command_id"), _scope(request))
    return no_content()


async def permissions(request: web.Request) -> web.Response:
    """Nobody has overridden a command's permissions here: an empty list, or 10066 for one command."""
    _scope(request)
    if "command_id" in request.match_info:
        raise errors.unknown("application command permissions", 10066)
    return reply([])


ROUTES_BY_METHOD: Final = (
    ("GET", "/commands", listed),
    ("PUT", "/commands", replace_all),
    ("POST", "/commands", upsert),
    ("GET", "/commands/{command_id}", one),
    ("PATCH", "/commands/{command_id}", edit),
    ("DELETE", "/commands/{command_id}", delete),
)

ROUTES.get(_SCOPES[1] + "/commands/permissions")(permissions)
ROUTES.get(_SCOPES[1] + "/commands/{command_id}/permissions")(permissions)
for _prefix in _SCOPES:
    for _method, _path, _handler in ROUTES_BY_METHOD:
        ROUTES.route(_method, _prefix + _path)(_handler)

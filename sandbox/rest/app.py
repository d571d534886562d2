"""The REST interface as one application."""

from __future__ import annotations

from aiohttp import web

from sandbox.rest import channels, commands, guilds, interactions, messages, reactions, users, webhooks
from sandbox.rest.middleware import MIDDLEWARES


def create_api() -> web.Application:
    """The application to be mounted at ``/api/v10``; it takes the world from the application around it."""
    app = web.Application(middlewares=MIDDLEWARES)
    for module in (users, guilds, channels, messages, reactions, commands, interactions, webhooks):
        app.add_routes(module.ROUTES)
    return app

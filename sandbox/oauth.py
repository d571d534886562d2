"""Signing in to somebody's web pages with an account of the simulated Discord: OAuth2's authorization-code grant.

The visitor chooses one of the people; there are no passwords in this world. What comes after that is as it is with
Discord: a code that works once and for a minute, exchanged for a token with the application's secret; and, when the
sign-in began with a challenge (PKCE, RFC 7636), only with the verifier that it was made of.
"""

from __future__ import annotations

import base64
import hmac
import re
from html import escape
from typing import Final

from aiohttp import web
from yarl import URL

from sandbox.world import World

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in · simulated Discord</title><link rel="stylesheet" href="/page/style.css"></head>
<body class="sign-in"><main><h1>Sign in as one of the people</h1>
<p>This is the simulated Discord inside the program. <b>{app}</b> at {site} asks who you are and learns the name of the
person you choose.</p><ul>{people}</ul></main></body></html>
"""


def authorize(world: World) -> web.RouteDef:
    """The page on which a visitor chooses who they are."""

    async def page(request: web.Request) -> web.Response:
        query = request.query
        redirect_uri, scope = query.get("redirect_uri", ""), query.get("scope", "")
        known = query.get("client_id") == str(world.application_id) and query.get("response_type") == "code"
        challenge = query.get("code_challenge")
        if challenge is not None and query.get("code_challenge_method") != "S256":
            return web.Response(status=400, text="Of the ways to prove a code (PKCE), only S256 is known.")
        if not known or not world.grants.may_redirect_to(redirect_uri) or "identify" not in scope.split():
            return web.Response(status=400, text="This sign-in link is not valid: client, address or scope is wrong.")
        chosen = world.state.users.get(int(query["as"])) if re.fullmatch("[0-9]{1,20}", query.get("as", "")) else None
        if chosen is not None and not chosen.bot:
            answer = {"code": world.grants.code(chosen, scope, redirect_uri, challenge)}
            answer |= {"state": query["state"]} if "state" in query else {}
            raise web.HTTPFound(URL(redirect_uri).update_query(answer))
        people = (u for u in world.state.users.values() if not u.bot)
        links = (
            f'<li><a class="button style-2" href="{escape(str(request.rel_url.update_query({"as": str(u.id)})))}">'
            f"{escape(u.name)}</a></li>"
            for u in people
        )
        site = escape(str(URL(redirect_uri).origin()))
        body = _PAGE.format(app=escape(world.bot.name), site=site, people="".join(links))
        policy = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
        return web.Response(text=body, content_type="text/html", headers={"Content-Security-Policy": policy})

    return web.get("/oauth2/authorize", page)


def is_application(world: World, authorization: str, form: dict[str, str]) -> bool:
    """Whether a token request comes from the application: by Basic authorization, or in the form."""
    name, secret = form.get("client_id", ""), form.get("client_secret", "")
    if authorization.startswith("Basic "):
        try:
            plain = base64.b64decode(authorization.removeprefix("Basic "), validate=True).decode()
        except ValueError:
            return False
        name, _, secret = plain.partition(":")
    return name == str(world.application_id) and hmac.compare_digest(
        secret.encode(errors="surrogatepass"), world.grants.client_secret.encode()
    )

"""Signing in to somebody's web pages with an account of the simulated Discord: OAuth2's authorization-code grant.

The visitor chooses one of the people; there are no passwords in this world. What comes after that is as it is with
Discord: a code that works once and for a minute, exchanged for a token with the application's secret; and, when the
sign-in began with a challenge (PKCE, RFC 7636), only with the verifier that it was made of.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Final

from aiohttp import web
from yarl import URL

from sandbox.models import User

if TYPE_CHECKING:
    from sandbox.world import World

_KEPT: Final = 500
_CODE_LIFETIME_S: Final = 60.0
_TOKEN_LIFETIME_S: Final = 604_800.0
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in · simulated Discord</title><link rel="stylesheet" href="/page/style.css"></head>
<body class="sign-in"><main><h1>Sign in as one of the people</h1>
<p>This is the simulated Discord inside the program. <b>{app}</b> at {site} asks who you are and learns the name of the
person you choose.</p><ul>{people}</ul></main></body></html>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grant:
    user: User
    scope: str
    redirect_uri: str
    expires_at: float
    challenge: str | None = None
    """PKCE's, by S256."""


class Grants:
    """Codes and tokens that were given out; bounded, the oldest are forgotten."""

    def __init__(self, client_secret: str) -> None:
        self.client_secret = client_secret
        self.redirect_uris: set[str] = set()
        """Where codes may be sent; empty: anywhere on this machine."""
        self._codes: OrderedDict[str, _Grant] = OrderedDict()
        self._tokens: OrderedDict[str, _Grant] = OrderedDict()

    def may_redirect_to(self, uri: str) -> bool:
        if self.redirect_uris:
            return uri in self.redirect_uris
        return URL(uri).scheme in ("http", "https") and URL(uri).host in ("127.0.0.1", "::1", "localhost")

    def code(self, user: User, scope: str, redirect_uri: str, challenge: str | None = None) -> str:
        expires_at = time.monotonic() + _CODE_LIFETIME_S
        grant = _Grant(user=user, scope=scope, redirect_uri=redirect_uri, expires_at=expires_at, challenge=challenge)
        return _keep(self._codes, grant)

    def exchange(self, code: str, redirect_uri: str, verifier: str | None = None) -> tuple[str, str] | None:
        """A token and its scope for a code.

        None when the code is unknown, used, too old or of another address, or the verifier is not its challenge's.
        """
        grant = self._codes.pop(code, None)
        if grant is None or grant.expires_at < time.monotonic() or grant.redirect_uri != redirect_uri:
            return None
        if grant.challenge is not None and grant.challenge != _challenge(verifier or ""):
            return None
        token = replace(grant, expires_at=time.monotonic() + _TOKEN_LIFETIME_S)
        return _keep(self._tokens, token), grant.scope

    def user(self, token: str) -> User | None:
        grant = self._tokens.get(token)
        return grant.user if grant is not None and grant.expires_at > time.monotonic() else None


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _keep(kept: OrderedDict[str, _Grant], grant: _Grant) -> str:
    key = secrets.token_urlsafe(24)
    kept[key] = grant
    while len(kept) > _KEPT:
        kept.popitem(last=False)
    return key


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
        chosen = world.state.users.get(int(query["as"])) if query.get("as", "").isdigit() else None
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
    return name == str(world.application_id) and hmac.compare_digest(secret, world.grants.client_secret)

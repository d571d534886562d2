"""Sign-in with Discord (OAuth2, authorization code). All that is asked for is who the visitor is.

The answer ends in one signed cookie with the user id and a time. Discord's token is used once and thrown away. The
state ties the answer to the browser that asked, so that nobody can be signed in as somebody else by a link. The code is
bound by PKCE (RFC 7636): whoever sees it on its way cannot use it.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import urlencode

import aiohttp
import structlog
from aiohttp import web
from pydantic import BaseModel, ValidationError

from bot.web.access import (
    KEY_COOKIE,
    SESSION_COOKIE,
    SESSION_LIFETIME_S,
    STATE_COOKIE,
    STATE_LIFETIME_S,
    Access,
    OAuthSettings,
    same_text,
)
from bot.web.errors import BadParameter, NotFound, Unavailable
from bot.web.forms import read_form
from bot.web.keys import ACCESS, HTTP, SIGN_INS
from bot.web.predict import client_of
from bot.web.templating import redirect

log = structlog.get_logger(__name__)


class _Token(BaseModel):
    access_token: str


class _User(BaseModel):
    id: str


async def sign_in(request: web.Request) -> web.StreamResponse:
    """Send the browser to Discord, remembering where it wanted to go."""
    access, oauth = _configured(request)
    nonce = secrets.token_urlsafe(24)
    state = access.sign(
        {"nonce": nonce, "to": _local_path(request.query.get("to", access.base + "/"))},
        purpose="state",
        lifetime_s=STATE_LIFETIME_S,
    )
    query = urlencode(
        {
            "client_id": oauth.client_id,
            "response_type": "code",
            "redirect_uri": _redirect_uri(access),
            "scope": "identify",
            "state": state,
            "prompt": "none",
            "code_challenge": _challenge(access.verifier(nonce)),
            "code_challenge_method": "S256",
        }
    )
    response = redirect(f"{oauth.authorize_url}?{query}")
    _set_cookie(response, access, STATE_COOKIE, nonce, STATE_LIFETIME_S)
    return response


async def callback(request: web.Request) -> web.StreamResponse:
    """Discord sent the browser back: check the state, learn who it is, sign the cookie."""
    access, oauth = _configured(request)
    claims = access.read(request.query.get("state", ""), purpose="state")
    nonce = request.cookies.get(access.cookie(STATE_COOKIE), "")
    if claims is None or not nonce or not same_text(nonce, str(claims.get("nonce"))):
        raise BadParameter("This sign-in was not begun here, or took too long. Please try again.")
    code = request.query.get("code")
    if not code or len(code) > 256:
        raise BadParameter("Discord did not sign you in.")
    if wait_s := request.app[SIGN_INS].take(client_of(request)):
        raise Unavailable("Too many sign in at the moment. Please try again.", retry_after_s=math.ceil(wait_s))
    user_id = await _who(request.app[HTTP], access, oauth, code, access.verifier(nonce))
    session = access.sign({"user": user_id}, purpose="session", lifetime_s=SESSION_LIFETIME_S)
    response = redirect(_local_path(str(claims.get("to", "/"))))
    response.del_cookie(access.cookie(STATE_COOKIE), path=access.cookie_path)
    _set_cookie(response, access, SESSION_COOKIE, session, SESSION_LIFETIME_S)
    return response


async def sign_out(request: web.Request) -> web.StreamResponse:
    await read_form(request)
    access = request.app[ACCESS]
    response = redirect(f"{access.base}/")
    for cookie in map(access.cookie, (SESSION_COOKIE, KEY_COOKIE)):
        if cookie in request.cookies:
            response.del_cookie(cookie, path=access.cookie_path)
    return response


async def _who(http: aiohttp.ClientSession, access: Access, oauth: OAuthSettings, code: str, verifier: str) -> str:
    """The user id behind an authorization code."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": _redirect_uri(access),
        "code_verifier": verifier,
    }
    basic = b64encode(f"{oauth.client_id}:{oauth.client_secret}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}"}
    try:
        async with http.post(f"{oauth.api_base}/oauth2/token", data=form, headers=headers) as answer:
            if answer.status != 200:
                log.info("sign_in_refused", status=answer.status)
                raise BadParameter("Discord did not accept the sign-in. Please try again.")
            token = _Token.model_validate_json(await answer.read())
        bearer = {"Authorization": f"Bearer {token.access_token}"}
        async with http.get(f"{oauth.api_base}/users/@me", headers=bearer) as answer:
            answer.raise_for_status()
            user = _User.model_validate_json(await answer.read())
    except (aiohttp.ClientError, TimeoutError, ValidationError) as error:
        log.warning("sign_in_failed", error=type(error).__name__)
        raise Unavailable("Discord did not answer properly. Please try again.", retry_after_s=5) from None
    if not user.id.isascii() or not user.id.isdigit() or len(user.id) > 20:
        raise Unavailable("Discord did not answer properly. Please try again.")
    return user.id


def _configured(request: web.Request) -> tuple[Access, OAuthSettings]:
    access = request.app[ACCESS]
    if access.oauth is None:
        raise NotFound("Nobody can sign in here: it is not set up.")
    return access, access.oauth


def _challenge(verifier: str) -> str:
    """The verifier's SHA-256, as Discord is given it before it sends the code."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _redirect_uri(access: Access) -> str:
    return f"{access.public_url}/oauth/callback"


def _local_path(path: str) -> str:
    """A path on this site; anything that a browser could read as another site becomes the front page."""
    if not path.startswith("/") or path.startswith(("//", "/\\")) or any(ord(c) < 32 or c == "\\" for c in path):
        return "/"
    return path[:200]


def _set_cookie(response: web.StreamResponse, access: Access, name: str, value: str, lifetime_s: int) -> None:
    response.set_cookie(
        access.cookie(name),
        value,
        max_age=lifetime_s,
        path=access.cookie_path,
        httponly=True,
        samesite="Lax",
        secure=access.secure_cookies,
    )

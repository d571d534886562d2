"""What the simulated Discord's sign-in has given out: codes that work once, and tokens."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from yarl import URL

from sandbox.models import User

_KEPT: Final = 500
_CODE_LIFETIME_S: Final = 60.0
_TOKEN_LIFETIME_S: Final = 604_800.0


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
        try:
            url = URL(uri)
        except ValueError:
            return False
        return url.scheme in ("http", "https") and url.host in ("127.0.0.1", "::1", "localhost")

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

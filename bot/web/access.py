"""Who may see what.

Three situations, decided once from the settings:

- **local**: the service listens on loopback and nobody can sign in. It is its owner's own view and everything is open,
  but only to requests whose Host names this machine: a foreign page that points its own name at 127.0.0.1 (DNS
  rebinding) names itself. A request that a proxy passed on is not local.
- **sign_in**: Discord OAuth2 is configured. A report opens for those who took part and for the one who started it.
- **closed**: it listens to a network and nobody can sign in. Reports stay shut, with words on what to set.

In all three, a live share link opens its one report, under pseudonyms.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

SESSION_LIFETIME_S: Final = 7 * 24 * 3600
STATE_LIFETIME_S: Final = 600
_MAX_COOKIE_CHARS: Final = 1_024
_FORWARDING_HEADERS: Final = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


class Mode(StrEnum):
    LOCAL = "local"
    SIGN_IN = "sign_in"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthSettings:
    client_id: str
    client_secret: str
    api_base: str
    """Discord's REST interface, ``https://discord.com/api/v10``."""
    authorize_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who asks. `user_id` is None for somebody who is not signed in."""

    user_id: int | None
    owner: bool = False
    """The local view's owner: everything is open."""


class Access:
    """The rules, and the signing of what they rest on. Stateless: nothing is stored of a visitor here."""

    def __init__(
        self,
        *,
        mode: Mode,
        key: bytes,
        public_url: str | None = None,
        oauth: OAuthSettings | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.mode = mode
        self.oauth = oauth
        self.public_url = public_url
        self._public_host = _host_of(urlsplit(public_url).netloc) if public_url else None
        self._key = hmac.new(key, b"undertone web cookies", hashlib.sha256).digest()
        self._now = now

    @classmethod
    def configure(
        cls,
        *,
        host: str,
        key: bytes,
        public_url: str | None = None,
        oauth_client_id: str | None = None,
        oauth_client_secret: str | None = None,
        discord_api_base: str = "https://discord.com/api/v10",
    ) -> Access:
        """From the service's settings. `key` is the installation's 32-byte key; cookies use one derived from it."""
        oauth = None
        if oauth_client_id and oauth_client_secret and public_url:
            site = discord_api_base.split("/api", 1)[0]
            oauth = OAuthSettings(
                client_id=oauth_client_id,
                client_secret=oauth_client_secret,
                api_base=discord_api_base,
                authorize_url=f"{site}/oauth2/authorize",
            )
        mode = Mode.SIGN_IN if oauth else Mode.LOCAL if is_loopback(host) else Mode.CLOSED
        return cls(mode=mode, key=key, public_url=public_url, oauth=oauth)

    @property
    def secure_cookies(self) -> bool:
        return bool(self.public_url and self.public_url.startswith("https://"))

    def host_allowed(self, host_header: str | None) -> bool:
        """Whether a request may name that host. Only the local view must be strict: it trusts without a sign-in."""
        if self.mode is not Mode.LOCAL:
            return True
        host = _host_of(host_header or "")
        return is_loopback(host) or (self._public_host is not None and host == self._public_host)

    def origin_allowed(self, origin: str | None, fetch_site: str | None, host_header: str | None) -> bool:
        """Whether a request that changes or costs something comes from our own pages (or from no browser at all)."""
        if fetch_site in ("cross-site", "same-site"):
            return False
        if origin is None:
            return True
        if origin == "null":
            return False
        return urlsplit(origin).netloc.lower() in {(host_header or "").lower(), self._public_netloc()}

    def visitor(self, session_cookie: str | None, *, host_header: str | None, forwarded: bool) -> Visitor:
        """Who a request comes from. `forwarded`: a proxy passed it on."""
        if self.mode is Mode.LOCAL:
            return Visitor(user_id=None, owner=not forwarded and is_loopback(_host_of(host_header or "")))
        if self.mode is Mode.SIGN_IN and session_cookie:
            claims = self.read(session_cookie, purpose="session")
            if claims is not None and isinstance(claims.get("user"), str) and claims["user"].isdigit():
                return Visitor(user_id=int(claims["user"]))
        return Visitor(user_id=None)

    def sign(self, claims: dict[str, Any], *, purpose: str, lifetime_s: int) -> str:
        """A token that only this installation can have made, for one purpose and until a time."""
        body = json.dumps({**claims, "for": purpose, "until": int(self._now()) + lifetime_s}, separators=(",", ":"))
        payload = urlsafe_b64encode(body.encode())
        return f"{payload.decode()}.{self._mac(payload)}"

    def read(self, token: str, *, purpose: str) -> dict[str, Any] | None:
        """The claims of a token of ours that is still good for that purpose; None for anything else."""
        payload, _, mac = token.partition(".")
        if len(token) > _MAX_COOKIE_CHARS or not token.isascii():
            return None
        if not hmac.compare_digest(mac, self._mac(payload.encode())):
            return None
        claims = json.loads(urlsafe_b64decode(payload))
        if claims.get("for") != purpose or claims.get("until", 0) <= self._now():
            return None
        return dict(claims)

    def _mac(self, payload: bytes) -> str:
        return urlsafe_b64encode(hmac.new(self._key, payload, hashlib.sha256).digest()).decode()

    def _public_netloc(self) -> str | None:
        return urlsplit(self.public_url).netloc.lower() if self.public_url else None


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine and nobody else can claim it."""
    host = host.strip("[]").lower()
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def was_forwarded(headers: Any) -> bool:
    """Whether a proxy says that it passed the request on."""
    return any(name in headers for name in _FORWARDING_HEADERS)


def _host_of(netloc: str) -> str:
    """The host of a Host header or an address, lower case, without port and brackets."""
    netloc = netloc.strip().lower()
    if netloc.startswith("["):
        return netloc[1:].partition("]")[0]
    return netloc.partition(":")[0]

"""Who may see what.

Three situations, decided once from the settings:

- **key**: nobody can sign in. Everything is open to whoever has the key in the address that ``undertone run`` prints, a
  new one at each start. Being on this machine proves nothing: a proxy is there too, and so is whoever uses it.
- **sign_in**: Discord OAuth2 is configured. A report opens for those who took part, for the one who started it, and for
  those who hold the role that its server chose (`bot.web.readers`).
- **open**: the demo. Its people are invented, so everything is open.

In all three, a live share link opens its one report, under pseudonyms.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

SESSION_COOKIE: Final = "undertone_session"
KEY_COOKIE: Final = "undertone_key"
STATE_COOKIE: Final = "undertone_state"
SESSION_LIFETIME_S: Final = 7 * 24 * 3600
STATE_LIFETIME_S: Final = 600
_MAX_COOKIE_CHARS: Final = 1_024
_FORWARDING_HEADERS: Final = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


class Mode(StrEnum):
    KEY = "key"
    SIGN_IN = "sign_in"
    OPEN = "open"


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
    """Everything is open: the visitor has the key, or this is the demo."""
    csrf: str = ""
    """Goes with every form of this visitor that changes something."""

    @property
    def known(self) -> bool:
        return self.owner or self.user_id is not None


class Access:
    """The rules, and the signing of what they rest on. Stateless: nothing is stored of a visitor here."""

    def __init__(
        self,
        *,
        mode: Mode,
        key: bytes,
        entry_key: str | None = None,
        strict_hosts: bool = False,
        public_url: str | None = None,
        oauth: OAuthSettings | None = None,
        allowed_origins: Collection[str] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self.mode = mode
        self.oauth = oauth
        self.public_url = public_url
        self.base: Final = urlsplit(public_url).path.rstrip("/") if public_url else ""
        """The path below which people reach the pages, such as ``/undertone``; empty when there is none."""
        self._public_host = _host_of(urlsplit(public_url).netloc) if public_url else None
        self._key = hmac.new(key, b"undertone web cookies", hashlib.sha256).digest()
        self._cookies_of = hmac.new(self._key, b"cookie names", hashlib.sha256).hexdigest()[:8]
        self._entry_key = entry_key
        self._strict_hosts = strict_hosts
        self._allowed_origins = frozenset(origin.lower() for origin in allowed_origins)
        self._now = now

    @classmethod
    def configure(
        cls,
        *,
        host: str,
        key: bytes,
        entry_key: str | None = None,
        open_to_all: bool = False,
        public_url: str | None = None,
        oauth_client_id: str | None = None,
        oauth_client_secret: str | None = None,
        discord_api_base: str = "https://discord.com/api/v10",
        allowed_origins: Collection[str] = (),
    ) -> Access:
        """From the service's settings.

        `key` is the installation's 32-byte key; cookies use one derived from it. `entry_key` is the one in the printed
        address; without it and without a sign-in, reports open through share links only.
        """
        oauth = None
        if oauth_client_id and oauth_client_secret and public_url:
            site = discord_api_base.split("/api", 1)[0]
            oauth = OAuthSettings(
                client_id=oauth_client_id,
                client_secret=oauth_client_secret,
                api_base=discord_api_base,
                authorize_url=f"{site}/oauth2/authorize",
            )
        mode = Mode.SIGN_IN if oauth else Mode.OPEN if open_to_all else Mode.KEY
        return cls(
            mode=mode,
            key=key,
            entry_key=entry_key if mode is Mode.KEY else None,
            strict_hosts=mode is not Mode.SIGN_IN and is_loopback(host),
            public_url=public_url,
            oauth=oauth,
            allowed_origins=allowed_origins,
        )

    @property
    def secure_cookies(self) -> bool:
        return bool(self.public_url and self.public_url.startswith("https://"))

    @property
    def cookie_path(self) -> str:
        return self.base or "/"

    def cookie(self, name: str) -> str:
        """The name of that cookie here. A browser keeps one jar for a host's ports, and two of us may share a host."""
        return f"{name}_{self._cookies_of}"

    def host_allowed(self, host_header: str | None) -> bool:
        """Whether a request may name that host. On loopback a foreign name is a page that points its own name here."""
        if not self._strict_hosts:
            return True
        host = _host_of(host_header or "")
        return is_loopback(host) or (self._public_host is not None and host == self._public_host)

    def origin_allowed(self, origin: str | None, fetch_site: str | None, host_header: str | None) -> bool:
        """Whether a request that changes or costs something comes from our own pages (or from no browser at all)."""
        if fetch_site in ("cross-site", "same-site"):
            return False
        if origin is None:
            return True
        if origin == "null":  # under our own no-referrer a browser hides the origin, and says where it comes from here
            return fetch_site == "same-origin"
        try:
            netloc = urlsplit(origin).netloc.lower()
        except ValueError:  # half an IPv6 address
            return False
        return netloc in {(host_header or "").lower(), self._public_netloc()}

    def shares_with(self, origin: str | None) -> bool:
        """Whether the operator named that site's pages, so that they may use ``/predict`` and ``/health``."""
        return origin is not None and origin.lower() in self._allowed_origins

    def visitor(self, *, session_cookie: str | None, key_cookie: str | None, authorization: str | None) -> Visitor:
        """Who a request comes from. A program sends the key as ``Authorization: Bearer``."""
        if self.mode is Mode.OPEN:
            return Visitor(user_id=None, owner=True, csrf=self._mac(b"csrf of everybody"))
        if self.mode is Mode.KEY:
            scheme, _, bearer = (authorization or "").partition(" ")
            if self._is_key_cookie(key_cookie) or (scheme.lower() == "bearer" and self.is_entry_key(bearer.strip())):
                return Visitor(user_id=None, owner=True, csrf=self._csrf(self.key_cookie()))
        elif session_cookie and (claims := self.read(session_cookie, purpose="session")) is not None:
            user = claims.get("user")
            if isinstance(user, str) and user.isascii() and user.isdigit():
                return Visitor(user_id=int(user), csrf=self._csrf(session_cookie))
        return Visitor(user_id=None)

    def is_entry_key(self, given: str) -> bool:
        """Whether that is the key in the printed address. Takes as long for a wrong one as for the right one."""
        return self._entry_key is not None and same_text(given, self._entry_key)

    def key_cookie(self) -> str:
        """What a browser that came with the key keeps instead of it; worth nothing after the next start."""
        return self._mac(f"entry key {self._entry_key}".encode())

    def verifier(self, nonce: str) -> str:
        """PKCE's secret of one sign-in. Only this installation can work it out, so it is kept nowhere."""
        return hmac.new(self._key, f"pkce {nonce}".encode(), hashlib.sha256).hexdigest()

    def _is_key_cookie(self, cookie: str | None) -> bool:
        return self._entry_key is not None and same_text(cookie or "", self.key_cookie())

    def _csrf(self, cookie: str) -> str:
        return self._mac(f"csrf {cookie}".encode())

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


def same_text(given: str, wanted: str) -> bool:
    """Whether they are the same, in a time that does not tell where they differ. What came may be no text in UTF-8."""
    return hmac.compare_digest(given.encode(errors="surrogatepass"), wanted.encode())


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

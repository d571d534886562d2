"""Everything that the parts of the loopback Discord share: one object, handed to each of them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from sandbox.commands import CommandBook
from sandbox.faults import Faults
from sandbox.gateway import Gateway
from sandbox.grants import Grants
from sandbox.interactions import Interactions
from sandbox.models import Attachment, Channel, User
from sandbox.posting import Posting
from sandbox.ratelimits import RateLimits
from sandbox.state import State

_ADDRESS_LIFETIME_S: Final = 24 * 3_600


@dataclass(slots=True)
class SignedUrls:
    """Addresses of files, signed and expiring, as Discord's are."""

    base: str = ""
    """``http://host:port``, known once the server listens."""
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def attachment(self, attachment: Attachment) -> str:
        path = f"/attachments/{attachment.channel_id}/{attachment.id}/{attachment.filename}"
        now = int(time.time())
        # Whole hours, so that one file keeps one address for a while and a browser does not fetch it anew.
        issued, expires = now - now % 3_600, now - now % 3_600 + _ADDRESS_LIFETIME_S
        return f"{self.base}{path}?ex={expires:x}&is={issued:x}&hm={self._sign(path, f'{expires:x}')}"

    def is_valid(self, path: str, expires: str, signature: str) -> bool:
        try:
            fresh = int(expires, 16) > time.time()
        except ValueError:
            return False
        return fresh and hmac.compare_digest(signature.encode(), self._sign(path, expires).encode())

    def _sign(self, path: str, expires: str) -> str:
        return hmac.new(self._key, f"{path}?{expires}".encode(), hashlib.sha256).hexdigest()


@dataclass(slots=True, kw_only=True)
class World:
    state: State
    bot: User
    owner: User
    """The account that the application belongs to."""
    token: str = field(repr=False)
    urls: SignedUrls
    commands: CommandBook
    interactions: Interactions
    posting: Posting
    gateway: Gateway
    faults: Faults
    limits: RateLimits
    grants: Grants
    user_installs: set[int] = field(default_factory=set)
    """Who added the application to their own account."""

    @property
    def application_id(self) -> int:
        return self.bot.id

    def installed(self, user: User, channel: Channel, integration_types: list[int] | None) -> bool:
        """Whether a command of these installations (0 a server's, 1 a person's) reaches that person in that place."""
        return (self.by_server(channel) and 0 in (integration_types or [0])) or self.by_person(user, integration_types)

    def by_server(self, channel: Channel) -> bool:
        """Whether the application is in the channel's server; its own direct messages are as good."""
        guild = self.state.guilds.get(channel.guild_id or 0)
        return guild is None or self.bot.id in guild.members

    def by_person(self, user: User, integration_types: list[int] | None) -> bool:
        return user.id in self.user_installs and 1 in (integration_types or [0])


WORLD: Final = web.AppKey("WORLD", World)

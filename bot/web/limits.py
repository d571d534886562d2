"""What one client, and all together, may ask of the recognition and of Discord. All tables are bounded."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

PER_MINUTE: Final = 120
BURST: Final = 60
MAX_CLIENTS: Final = 10_000

MAX_ACTIVE: Final = 6
"""Uploads in memory at once: 6 × 25 MB."""
MAX_WAITING: Final = 24
"""Uploads whose body is not read yet; more get 503."""
MAX_ACTIVE_PER_CLIENT: Final = 4
"""So that one client's slow uploads leave room for others."""

SIGN_INS_PER_MINUTE: Final = 300
"""Each asks Discord who it is. For 10,000 refused questions in ten minutes Discord bans the address, bot and all."""
SIGN_INS_PER_CLIENT: Final = 30

MAX_THUMBNAILS: Final = 512
MAX_MICROPHONES: Final = 24
MAX_MICROPHONES_PER_CLIENT: Final = 3


_OWN_BITS: Final = 64
"""Of an IPv6 address, those that whoever has a network chooses freely."""


def client_at(address: str) -> str:
    """Who is held to the limits for what comes from an address: of IPv6 its network of 64 bits, all of which one
    household, or one rented machine, has for itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # whatever a proxy says
        return address
    if parsed.version == 4 or parsed.is_loopback:
        return address
    if parsed.ipv4_mapped is not None:  # as a proxy names it that listens for both kinds at once
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(parsed) >> _OWN_BITS << _OWN_BITS))


def may_speak_for_others(address: str) -> bool:
    """Whether a proxy may be there, whose word on who asks is taken: this machine, or a network without strangers."""
    try:
        return not ipaddress.ip_address(address).is_global
    except ValueError:
        return False


class RateLimiter:
    """A token bucket for each client address; the longest unseen address is forgotten first."""

    def __init__(
        self,
        *,
        per_minute: float = PER_MINUTE,
        burst: int = BURST,
        max_clients: int = MAX_CLIENTS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_s = per_minute / 60
        self._burst = burst
        self._max_clients = max_clients
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.refused = 0

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, client: str) -> float:
        """Take one token. Returns 0.0, or the seconds until the next one when there is none."""
        now = self._monotonic()
        tokens, at = self._buckets.pop(client, (float(self._burst), now))
        tokens = min(float(self._burst), tokens + (now - at) * self._per_s)
        wait_s = 0.0 if tokens >= 1 else (1 - tokens) / self._per_s
        self._buckets[client] = (tokens if wait_s else tokens - 1, now)
        if len(self._buckets) > self._max_clients:
            self._buckets.popitem(last=False)
        if wait_s:
            self.refused += 1
        return wait_s


class SignIns:
    """How often Discord is asked who somebody is: a strange client alone must not keep the others from signing in."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        def limiter(per_minute: int) -> RateLimiter:
            return RateLimiter(per_minute=per_minute, burst=per_minute, monotonic=monotonic)

        self._each, self._all = limiter(SIGN_INS_PER_CLIENT), limiter(SIGN_INS_PER_MINUTE)

    @property
    def refused(self) -> int:
        return self._each.refused + self._all.refused

    def take(self, client: str) -> float:
        """Returns 0.0 when Discord may be asked, or the seconds until it may."""
        return self._each.take(client) or self._all.take("all")


class GateFull(Exception):
    """No slot, and no room to wait for one."""


@dataclass(slots=True, kw_only=True)
class _Client:
    slots: asyncio.Semaphore
    uploads: int = 0
    """Active and waiting."""


class UploadGate:
    """Bounds the uploads held in memory; the body of one that waits is not read."""

    def __init__(
        self,
        *,
        max_active: int = MAX_ACTIVE,
        max_waiting: int = MAX_WAITING,
        max_active_per_client: int = MAX_ACTIVE_PER_CLIENT,
    ) -> None:
        self._slots = asyncio.Semaphore(max_active)
        self._max_waiting = max_waiting
        self._max_per_client = max_active_per_client
        self._clients: dict[str, _Client] = {}
        self.active = 0
        self.waiting = 0
        self.refused = 0

    @asynccontextmanager
    async def slot(self, client: str) -> AsyncIterator[None]:
        """Hold one of the slots, waiting for it if need be. Raises GateFull at once when there is no room to wait.

        A client waits for its own share first: its slow uploads keep its own later ones waiting, and nobody else's.
        """
        own = self._clients.get(client) or _Client(slots=asyncio.Semaphore(self._max_per_client))
        if self.waiting >= self._max_waiting or own.uploads >= self._max_per_client + self._max_waiting // 2:
            self.refused += 1
            raise GateFull
        self._clients[client] = own
        own.uploads += 1
        self.waiting += 1
        waiting = True
        try:
            async with own.slots, self._slots:
                self.waiting -= 1
                waiting = False
                self.active += 1
                try:
                    yield
                finally:
                    self.active -= 1
        finally:
            if waiting:
                self.waiting -= 1
            own.uploads -= 1
            if not own.uploads:
                del self._clients[client]


class Microphones:
    """How many are open, in all and of each client."""

    def __init__(self, *, most: int = MAX_MICROPHONES, most_per_client: int = MAX_MICROPHONES_PER_CLIENT) -> None:
        self._most = most
        self._most_per_client = most_per_client
        self._clients: dict[str, int] = {}
        self.refused = 0

    @property
    def open(self) -> int:
        return sum(self._clients.values())

    @contextmanager
    def place(self, client: str) -> Iterator[None]:
        """Hold a place. Raises GateFull when there is none."""
        if self.open >= self._most or self._clients.get(client, 0) >= self._most_per_client:
            self.refused += 1
            raise GateFull
        self._clients[client] = self._clients.get(client, 0) + 1
        try:
            yield
        finally:
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]


class Thumbnails:
    """Small pictures by what they are of; the least used is forgotten first."""

    def __init__(self, *, most: int = MAX_THUMBNAILS) -> None:
        self._most = most
        self._held: OrderedDict[Hashable, str] = OrderedDict()

    def get(self, key: Hashable) -> str | None:
        found = self._held.get(key)
        if found is not None:
            self._held.move_to_end(key)
        return found

    def put(self, key: Hashable, picture: str) -> None:
        self._held[key] = picture
        if len(self._held) > self._most:
            self._held.popitem(last=False)

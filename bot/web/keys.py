"""What the handlers share, by typed key, and the contracts of those who bring it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

import aiohttp
import jinja2
from aiohttp import web

from bot.listening.live import LiveBus
from bot.web.access import Access
from bot.web.connections import Connections
from bot.web.limits import Microphones, RateLimiter, SignIns, Thumbnails, UploadGate
from bot.web.metrics import Metrics
from bot.web.names import NameDirectory
from bot.web.readers import Readers
from bot.web.reports import Reports
from ser_engine.backends.base import InferenceBackend
from storage.listing import Listed, Wanted
from storage.records import (
    Edition,
    ParticipantRecord,
    ServerSettings,
    SessionRecord,
    SessionReport,
    ShareRecord,
)


class ReportStore(Protocol):
    """The part of `storage.Storage` that the web uses: it reads, and does what `bot.web.manage` may do."""

    @property
    def retention_days(self) -> int: ...

    async def ping(self) -> None: ...

    async def session(self, session_id: str) -> SessionRecord | None: ...

    async def listed(
        self, wanted: Wanted, *, limit: int, user_id: int | None = None, readable: Collection[int] = ()
    ) -> list[Listed]: ...

    async def places(self, *, user_id: int | None = None, readable: Collection[int] = ()) -> list[tuple[int, int]]: ...

    async def participants(self, session_id: str) -> Sequence[ParticipantRecord]: ...

    async def report(self, session_id: str) -> SessionReport | None: ...

    async def edition(self, session_id: str) -> Edition | None: ...

    async def server(self, guild_id: int) -> ServerSettings: ...

    async def viewer_roles(self, guild_id: int | None = None) -> Mapping[int, int]: ...

    async def may_open(self, session_id: str, user_id: int) -> bool: ...

    async def share(self, token: str) -> ShareRecord | None: ...

    async def create_share(
        self,
        session_id: str,
        *,
        lifetime: timedelta,
        maker_id: int | None = None,
        participant_id: int | None = None,
    ) -> tuple[ShareRecord, str]: ...

    async def revoke_shares(self, session_id: str, *, maker_id: int | None = None) -> int: ...

    async def delete_session(self, session_id: str) -> bool: ...


class Ready(Protocol):
    """What else must be true for the service to be ready, by name: ``{"gateway": True}``."""

    def __call__(self) -> Mapping[str, bool] | Awaitable[Mapping[str, bool]]: ...


class Delete(Protocol):
    """Deletes a session and all about it. False: messages about it are still in Discord, and are tried again."""

    def __call__(self, session_id: str) -> Awaitable[bool]: ...


class Tell(Protocol):
    """Says in Discord, beside a session's summary, that somebody made a link to everybody's results.

    `maker_id` is None when the operator made it.
    """

    def __call__(self, session: SessionRecord, share: ShareRecord, maker_id: int | None) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Who runs this Undertone, as every page says below; what is None was not set."""

    name: str | None = None
    contact: str | None = None
    policy_url: str | None = None

    @property
    def contact_link(self) -> str | None:
        """Where the contact leads, when it is an address."""
        contact = self.contact or ""
        if contact.startswith(("https://", "http://")):
            return contact
        name, at, host = contact.partition("@")
        mail = at and name and "." in host and not any(c.isspace() or c in "<>()?&#/" for c in contact)
        return f"mailto:{contact}" if mail else None


Counters = Callable[[], Mapping[str, Mapping[str, float]]]
"""Totals by part of the service and kind: ``{"voice": {"dropped_not_included": 12}}``."""

STORAGE: Final = web.AppKey("STORAGE", ReportStore)
BACKEND: Final = web.AppKey("BACKEND", InferenceBackend)
BUS: Final = web.AppKey("BUS", LiveBus)
DELETE: Final = web.AppKey("DELETE", Delete)
TELL: Final = web.AppKey("TELL", Tell)
OPERATOR: Final = web.AppKey("OPERATOR", Operator)
READERS: Final = web.AppKey("READERS", Readers)
NAMES: Final = web.AppKey("NAMES", NameDirectory)
ACCESS: Final = web.AppKey("ACCESS", Access)
READY: Final = web.AppKey("READY", Ready)
METRICS: Final = web.AppKey("METRICS", Metrics)
CONNECTIONS: Final = web.AppKey("CONNECTIONS", Connections)
UPLOADS: Final = web.AppKey("UPLOADS", UploadGate)
MICROPHONES: Final = web.AppKey("MICROPHONES", Microphones)
UPLOAD_RATE: Final = web.AppKey("UPLOAD_RATE", RateLimiter)
SIGN_INS: Final = web.AppKey("SIGN_INS", SignIns)
THUMBNAILS: Final = web.AppKey("THUMBNAILS", Thumbnails)
TEMPLATES: Final = web.AppKey("TEMPLATES", jinja2.Environment)
HTTP: Final = web.AppKey("HTTP", aiohttp.ClientSession)
"""For the sign-in with Discord alone."""


class Streams:
    """The requests that follow live events now; they are ended at shutdown, which would wait for them otherwise."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()


REPORTS: Final = web.AppKey("REPORTS", Reports)
STREAMS: Final = web.AppKey("STREAMS", Streams)

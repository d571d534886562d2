"""What commands, events and sessions work with: the service's parts, handed to them in one piece."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import discord
from prometheus_client import Histogram

from bot.deletion import Deletions
from bot.listening.clock import Clock
from bot.listening.live import LiveBus
from bot.listening.manager import SessionManager
from bot.listening.surface import Surface
from bot.listening.voice import Connect
from bot.neighbours import Neighbours
from bot.own_messages import OwnMessages
from bot.settings import Settings
from bot.turns import Turns
from bot.withdrawals import Withdrawals
from ser_engine.backends.base import InferenceBackend
from storage import ServerSettings, SessionRecord, Storage, WindowWriter

Spawn = Callable[[Coroutine[Any, Any, None], str], object]
"""Gives a task its name and its owner."""


def window_seconds() -> Histogram:
    """How long a session's windows wait for their results."""
    return Histogram(
        "undertone_window_seconds",
        "Seconds from the end of a window of a session to its result.",
        buckets=(0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1, 2, 5, 15),
        registry=None,  # each web application has its own
    )


@dataclass(slots=True, kw_only=True)
class App:
    settings: Settings
    storage: Storage
    writer: WindowWriter
    backend: InferenceBackend
    bus: LiveBus
    clock: Clock
    client: Callable[[], discord.Client]
    """The client that is connected now; it is replaced when it breaks."""
    connected: Callable[[], Awaitable[None]]
    """Returns when Discord can be talked to (again)."""
    connect: Connect
    """Joins a voice channel."""
    surface: Callable[[SessionRecord, int | None, ServerSettings], Surface]
    """Where a session shows itself; the number is the channel in which it was asked for."""
    spawn: Spawn
    report_url: Callable[[str], str | None]
    """Address of a session's report; None when people could not open it anyway."""
    share_url: Callable[[str], str | None]
    """Address for a share token."""
    delays: Histogram = field(default_factory=window_seconds)
    me: str = field(default_factory=lambda: secrets.token_hex(8))
    """This process, for others that share the database."""
    sessions: SessionManager = field(init=False)
    own: OwnMessages = field(init=False)
    deletions: Deletions = field(init=False)
    neighbours: Neighbours = field(init=False)
    turns: Turns = field(init=False)
    withdrawals: Withdrawals = field(init=False)

    def __post_init__(self) -> None:
        self.sessions = SessionManager(self)
        self.own = OwnMessages(self.storage, self.client)
        self.deletions = Deletions(self)
        self.neighbours = Neighbours(self, self.me, self.settings.shards)
        self.turns = Turns(self.clock)
        self.withdrawals = Withdrawals()

    @property
    def max_session_s(self) -> float:
        return self.settings.max_session_h * 3600.0

"""What commands, events and sessions work with: the service's parts, handed to them in one piece."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import discord

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

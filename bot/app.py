"""What commands and events work with: the service's parts, handed to them in one piece."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import discord

from bot.listening.live import LiveBus
from bot.listening.manager import SessionManager
from bot.settings import Settings
from ser_engine.backends.base import InferenceBackend
from storage import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    settings: Settings
    storage: Storage
    backend: InferenceBackend
    bus: LiveBus
    sessions: SessionManager
    client: Callable[[], discord.Client]
    """The client that is connected now; it is replaced when it breaks."""
    report_url: Callable[[str], str | None]
    """Address of a session's report; None when people could not open it anyway."""
    share_url: Callable[[str], str | None]
    """Address for a share token."""

"""What sessions are made of: why one ends, and the tools all of them share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

import aiohttp
import discord
import structlog

from bot.listening.clock import Clock
from bot.listening.live import LiveBus
from bot.listening.surface import SurfaceGone
from bot.listening.voice import Connect
from ser_engine.backends.base import InferenceBackend
from storage import Storage, WindowWriter
from storage.errors import StorageError

DISCORD_TROUBLE: Final = (discord.HTTPException, discord.ClientException, aiohttp.ClientError, OSError, TimeoutError)
"""What a call to Discord may end with on a bad day."""

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class EndReason(StrEnum):
    """Why a session ended; stored, and said in `texts.END_REASONS`."""

    STOPPED = "stopped"
    EVERYONE_LEFT = "everyone_left"
    KICKED = "kicked"
    MOVED = "moved"
    CHANNEL_DELETED = "channel_deleted"
    PERMISSIONS = "permissions"
    TIME_LIMIT = "time_limit"
    SHUTDOWN = "shutdown"
    VOICE_FAILED = "voice_failed"
    CANNOT_DECRYPT = "cannot_decrypt"
    VOICE_REFUSED = "voice_refused"
    CONNECTION_LOST = "connection_lost"
    COULD_NOT_START = "could_not_start"
    ERROR = "error"


BROKEN: Final = frozenset(
    {
        EndReason.VOICE_FAILED,
        EndReason.CANNOT_DECRYPT,
        EndReason.VOICE_REFUSED,
        EndReason.CONNECTION_LOST,
        EndReason.COULD_NOT_START,
        EndReason.ERROR,
    }
)
"""After these a session is stored as interrupted."""


LINK_ENDS: Final = {
    "removed": EndReason.KICKED,
    "call_ended": EndReason.KICKED,
    "channel_gone": EndReason.CHANNEL_DELETED,
    "undecryptable": EndReason.CANNOT_DECRYPT,
    "dave_refused": EndReason.VOICE_REFUSED,
    "rate_limited": EndReason.VOICE_REFUSED,
}
"""What the end of a link means for its session, by the code of its reason; anything else is a lost connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What all sessions share."""

    storage: Storage
    writer: WindowWriter
    backend: InferenceBackend
    bus: LiveBus
    clock: Clock
    connect: Connect
    report_url: Callable[[str], str | None]
    connected: Callable[[], Awaitable[None]]
    """Returns when Discord can be talked to (again)."""
    max_session_s: float = 6 * 3600.0


async def quietly(step: str, doing: Awaitable[T], limit_s: float) -> T | None:
    """Do a step of the end within its time; None when it failed. The next step has its turn all the same."""
    try:
        async with asyncio.timeout(limit_s):
            return await doing
    except (SurfaceGone, StorageError, *DISCORD_TROUBLE) as error:
        _log.warning("end_step_failed", step=step, error=type(error).__name__)
    except Exception as error:  # noqa: BLE001  # the end must reach its last step whatever breaks
        _log.error("end_step_broke", step=step, exc_info=error)
    return None

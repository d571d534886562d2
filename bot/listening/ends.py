"""Why a session ends, and how each step of its end is carried out whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from enum import StrEnum
from typing import Final, TypeVar

import structlog

from bot.listening.surface import DISCORD_TROUBLE, SurfaceGone
from bot.voice.states import Reason
from storage.errors import StorageError

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
    NO_NOTICE = "no_notice"
    """Nobody could see any more that the bot listens."""
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

LINK_ENDS: Final[Mapping[Reason, EndReason]] = {
    Reason.REMOVED: EndReason.KICKED,
    Reason.CALL_ENDED: EndReason.KICKED,
    Reason.CHANNEL_GONE: EndReason.CHANNEL_DELETED,
    Reason.UNDECRYPTABLE: EndReason.CANNOT_DECRYPT,
    Reason.DAVE_REFUSED: EndReason.VOICE_REFUSED,
    Reason.RATE_LIMITED: EndReason.VOICE_REFUSED,
}
"""What a failed voice link means for its session. Any other reason is a connection that three tries did not bring
back: `EndReason.VOICE_FAILED`."""


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

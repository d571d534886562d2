"""A voice websocket of discord.py with what is private in it under public names."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, Final

from discord.errors import ConnectionClosed
from discord.gateway import DiscordVoiceWebSocket

_LAST_WORD_S: Final = 0.1
_OVER: Final = frozenset({"CLOSE", "CLOSING", "CLOSED", "ERROR"})
"""Kinds of message after which no other comes, by aiohttp's names."""


class WebSocketSeam(DiscordVoiceWebSocket):
    """discord.py's voice websocket with what is private in it under public names."""

    resumed = False
    """True once the gateway took a resume (op 9)."""

    @property
    def connection(self) -> Any:
        """The connection this websocket belongs to."""
        return self._connection

    def go_on_from(self, last: WebSocketSeam) -> None:
        """Take over what the gateway told on the last websocket and does not tell again."""
        self.secret_key = last.secret_key

    async def check_open(self) -> None:
        """Whether the gateway has hung up while something else than its messages was waited for; these are lost then.

        Raises:
            ConnectionClosed: it has; the code says why.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORD_S):
                while (await self.ws.receive()).type.name not in _OVER:
                    pass
                raise ConnectionClosed(self.ws, shard_id=None)

    @property
    def latency_s(self) -> float | None:
        """The shortest time between a heartbeat and its answer, of the last twenty; None before the first."""
        heartbeat = self._keep_alive
        return None if heartbeat is None else min(heartbeat.recent_ack_latencies, default=None)

    @property
    def unanswered_s(self) -> float:
        """How long the gateway has answered no heartbeat."""
        return 0.0 if self._keep_alive is None else time.perf_counter() - self._keep_alive._last_recv


def close_code(error: BaseException) -> int | None:
    """The close code of a voice websocket that ended."""
    return error.code if isinstance(error, ConnectionClosed) else None

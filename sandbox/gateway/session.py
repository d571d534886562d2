"""A bot's gateway session: what it wants to hear, and what it has not confirmed yet.

The session outlives its connection, so that a client that was cut off can resume and miss nothing.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from dataclasses import dataclass
from enum import IntFlag
from typing import Any, Final

from sandbox.models import Json

REPLAY_LIMIT: Final = 2_000
OUTBOX_LIMIT: Final = 2_000


class Intent(IntFlag):
    GUILDS = 1 << 0
    GUILD_MEMBERS = 1 << 1
    GUILD_VOICE_STATES = 1 << 7
    GUILD_PRESENCES = 1 << 8
    GUILD_MESSAGES = 1 << 9
    GUILD_MESSAGE_REACTIONS = 1 << 10
    DIRECT_MESSAGES = 1 << 12
    DIRECT_MESSAGE_REACTIONS = 1 << 13
    MESSAGE_CONTENT = 1 << 15


PRIVILEGED: Final = Intent.GUILD_MEMBERS | Intent.GUILD_PRESENCES | Intent.MESSAGE_CONTENT


@dataclass(frozen=True, slots=True)
class Close:
    """In an outbox: hang up with this code; 1006 drops the connection without a word."""

    code: int
    reason: str = ""


Outbox = asyncio.Queue["str | Close"]


class Session:
    def __init__(self, *, intents: int, shard: tuple[int, int], replay_limit: int = REPLAY_LIMIT) -> None:
        self.id = secrets.token_hex(16)
        self.intents = intents
        self.shard = shard
        self.sequence = 0
        self.detached_at: float | None = None
        """Monotonic time at which its connection was lost; None while it has one."""
        self._replay: deque[tuple[int, str]] = deque(maxlen=replay_limit)
        self._outbox: Outbox | None = None

    def attach(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.detached_at = None

    def detach(self, outbox: Outbox, now: float) -> None:
        """Forget a connection that ended, unless another has taken its place."""
        if self._outbox is outbox:
            self._outbox = None
            self.detached_at = now

    @property
    def connected(self) -> bool:
        return self._outbox is not None

    def serves(self, guild_id: int | None) -> bool:
        """Whether this shard hears of a server; direct messages belong to shard 0."""
        number, count = self.shard
        return number == (0 if guild_id is None else (guild_id >> 22) % count)

    def dispatch(self, event: str, data: Json) -> None:
        self.sequence += 1
        frame = json.dumps({"op": 0, "s": self.sequence, "t": event, "d": data})
        self._replay.append((self.sequence, frame))
        self._put(frame)

    def send(self, op: int, data: Any = None) -> None:
        """Anything but a dispatch; it is not replayed."""
        self._put(json.dumps({"op": op, "s": None, "t": None, "d": data}))

    def hang_up(self, code: int) -> None:
        self._put(Close(code))

    def can_resume_from(self, sequence: int) -> bool:
        oldest = self._replay[0][0] if self._replay else self.sequence + 1
        return oldest - 1 <= sequence <= self.sequence

    def replay_from(self, sequence: int) -> int:
        """Send again what came after `sequence`; returns how many dispatches that were."""
        missed = [frame for number, frame in self._replay if number > sequence]
        for frame in missed:
            self._put(frame)
        return len(missed)

    def _put(self, item: str | Close) -> None:
        if self._outbox is None:
            return
        try:
            self._outbox.put_nowait(item)
        except asyncio.QueueFull:
            # A client that reads so slowly is cut off; it can resume within what the replay holds.
            outbox, self._outbox = self._outbox, None
            while not outbox.empty():
                outbox.get_nowait()
            outbox.put_nowait(Close(4008, "too slow"))

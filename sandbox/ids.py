"""Snowflakes: Discord's ids, which carry the millisecond they were made in."""

from __future__ import annotations

import itertools
import time
from typing import Final

DISCORD_EPOCH_MS: Final = 1_420_070_400_000
"""2015-01-01T00:00:00Z, from which a snowflake counts its milliseconds."""


class SnowflakeFactory:
    """Makes ids that rise strictly, also when 4,096 a millisecond are not enough or the clock steps back."""

    def __init__(self) -> None:
        self._last = 0
        self._increment = itertools.count()

    def next(self, shard: tuple[int, int] | None = None) -> int:
        """`shard` is the number of a shard and of all shards, for a server that is to be on that one."""
        since_epoch_ms = time.time_ns() // 1_000_000 - DISCORD_EPOCH_MS
        self._last = max((since_epoch_ms << 22) | (next(self._increment) & 0xFFF), self._last + 1)
        if shard is not None:
            number, count = shard
            self._last += ((number - (self._last >> 22)) % count) << 22
        return self._last

"""How long a session may run: to its longest time, and for a minute after everybody has left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bot.listening.clock import Clock
from bot.listening.ends import EndReason

ALONE_S: Final = 60.0
LOOK_EVERY_S: Final = 1.0


class Limits:
    """`looked` is called after each look, once a second: what depends on the time may have changed."""

    def __init__(
        self, clock: Clock, *, longest_s: float, end: Callable[[EndReason], None], looked: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._longest_s = longest_s
        self._end = end
        self._looked = looked
        self._began_s = clock.monotonic_s()
        self._alone_since_s: float | None = None

    @property
    def elapsed_s(self) -> float:
        return self._clock.monotonic_s() - self._began_s

    @property
    def alone(self) -> bool:
        """Whether nobody is in the channel."""
        return self._alone_since_s is not None

    def note(self, *, alone: bool) -> None:
        """Somebody came or left."""
        if alone != self.alone:
            self._alone_since_s = self._clock.monotonic_s() if alone else None

    async def run(self) -> None:
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            if self.elapsed_s >= self._longest_s:
                self._end(EndReason.TIME_LIMIT)
            elif self._alone_since_s is not None and self._clock.monotonic_s() - self._alone_since_s >= ALONE_S:
                self._end(EndReason.EVERYONE_LEFT)
            self._looked()

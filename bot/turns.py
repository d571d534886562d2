"""Whose analysis comes next: one at a time and three a minute for each person, and short clips not behind long ones."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from bot.errors import NotPossible
from bot.listening.clock import Clock

AT_ONCE: Final = 4
"""Recordings analysed at the same time."""
LONG_AT_ONCE: Final = 2
"""Of these, long ones: the other places are for short clips alone, which therefore wait for short clips alone."""
USES: Final = 3
PER_S: Final = 60.0
MAX_PEOPLE: Final = 10_000
"""People whose last uses are remembered."""
MAX_WAITING: Final = 200
"""Recordings that wait or are analysed; more are refused."""


@dataclass(slots=True)
class _Person:
    used_s: deque[float] = field(default_factory=lambda: deque(maxlen=USES))
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Turns:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._people: OrderedDict[int, _Person] = OrderedDict()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._long_slots = asyncio.Semaphore(LONG_AT_ONCE)
        self.waiting = 0
        """Waiting or being analysed now."""
        self.refused_too_many = 0
        """Uses that were one too many in a person's minute."""
        self.refused_full = 0
        """Recordings that found too many others waiting."""
        self.begun = 0

    def admit(self, person_id: int) -> None:
        """Count one use. Raises NotPossible when it is one too many in this minute."""
        person = self._person(person_id)
        now_s = self._clock.monotonic_s()
        if len(person.used_s) == USES and (wait_s := person.used_s[0] + PER_S - now_s) > 0:
            self.refused_too_many += 1
            raise NotPossible("COOLDOWN", seconds=max(1, round(wait_s)))
        person.used_s.append(now_s)

    @asynccontextmanager
    async def turn(self, person_id: int, *, long: bool) -> AsyncIterator[None]:
        """Wait for a place. Raises NotPossible when too much waits already."""
        if self.waiting >= MAX_WAITING:
            self.refused_full += 1
            raise NotPossible("TOO_BUSY")
        self.waiting += 1
        try:
            async with self._person(person_id).lock:
                if not long:
                    async with self._slots:
                        self.begun += 1
                        yield
                else:
                    async with self._long_slots, self._slots:
                        self.begun += 1
                        yield
        finally:
            self.waiting -= 1

    def counters(self) -> dict[str, int]:
        """Totals since the start, and what waits or runs now."""
        return {
            "begun": self.begun,
            "refused_too_many": self.refused_too_many,
            "refused_full": self.refused_full,
            "waiting": self.waiting,
        }

    def _person(self, person_id: int) -> _Person:
        person = self._people.setdefault(person_id, _Person())
        self._people.move_to_end(person_id)
        if len(self._people) > MAX_PEOPLE:
            self._forget_somebody()
        return person

    def _forget_somebody(self) -> None:
        """The one who used it longest ago, and has nothing running."""
        idle = next((key for key, person in self._people.items() if not person.lock.locked()), None)
        if idle is not None:
            del self._people[idle]

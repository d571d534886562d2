"""Which of a bot's servers this process has: Discord's shards, by the rule that a server's id says its shard."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MOST: Final = 1_000
_WRITTEN: Final = re.compile(r"(\d{1,3}(?:,\d{1,3})*)/(\d{1,4})")


@dataclass(frozen=True, slots=True)
class Shards:
    """Some of `count` shards."""

    ids: tuple[int, ...]
    count: int

    @classmethod
    def parse(cls, written: str) -> Shards:
        """From ``0,1/4``: the first two of four. Raises ValueError in words."""
        match = _WRITTEN.fullmatch(written.replace(" ", ""))
        if match is None:
            raise ValueError("must be this process' shards and the number of all, such as 0,1/4")
        ids, count = tuple(sorted({int(part) for part in match[1].split(",")})), int(match[2])
        if not 1 <= count <= MOST:
            raise ValueError(f"must be of 1 to {MOST} shards, such as 0,1/4")
        if ids[-1] >= count:
            raise ValueError(f"must name shards from 0 to {count - 1}: {count} shards begin with 0")
        return cls(ids, count)

    def has(self, guild_id: int) -> bool:
        """Whether a server is on one of them (Discord's rule: its id without the lower 22 bits, modulo the number)."""
        return (guild_id >> 22) % self.count in self.ids

    def common(self, other: Shards) -> list[int]:
        """Those of these shards that have servers in common with `other`, which may count another number of shards."""
        step = math.gcd(self.count, other.count)
        theirs = {number % step for number in other.ids}
        return [number for number in self.ids if number % step in theirs]

    def unserved(self, others: Iterable[Shards]) -> list[int]:
        """Those of all `count` shards that neither these are nor `others` have: whole, by shards of one number."""
        served: dict[int, set[int]] = {self.count: set(self.ids)}
        for other in others:
            served.setdefault(other.count, set()).update(other.ids)

        def is_served(number: int) -> bool:
            steps = ((math.gcd(self.count, count), count, ids) for count, ids in served.items())
            return any(ids.issuperset(range(number % step, count, step)) for step, count, ids in steps)

        return [number for number in range(self.count) if not is_served(number)]

    @property
    def all(self) -> bool:
        return len(self.ids) == self.count

    def __str__(self) -> str:
        return f"{','.join(map(str, self.ids))}/{self.count}"


EVERY: Final = Shards((0,), 1)
"""What a process has that was given none."""

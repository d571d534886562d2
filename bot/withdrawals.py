"""Who said no a moment ago: an answer about their voice that is still on its way must not reach anybody.

A voice message may wait in a queue for a minute. Whoever opts out or deletes their data meanwhile is not answered
about. A no takes a moment until it is stored, and what is asked in that moment still reads the answer before it: such
a no counts as long as it is under way, and for all that was asked until then. In memory only; a deletion leaves nothing
else that could tell.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MAX_PEOPLE: Final = 10_000


class Withdrawals:
    def __init__(self) -> None:
        self._last: OrderedDict[int, int] = OrderedDict()
        self._under_way: Counter[int] = Counter()
        self._forgotten = 0
        """The newest of those that were forgotten for want of room. It counts for everybody, to be on the safe side."""
        self.number = 0
        """Of all so far; an answer that is begun remembers it."""

    def note(self, user_id: int) -> None:
        """This person wants to be analysed no more."""
        self.number += 1
        self._last[user_id] = self.number
        self._last.move_to_end(user_id)
        if len(self._last) > MAX_PEOPLE:
            _, self._forgotten = self._last.popitem(last=False)

    @contextmanager
    def under_way(self, user_id: int) -> Iterator[None]:
        """This person said no, which is being stored."""
        self._under_way[user_id] += 1
        self.note(user_id)
        try:
            yield
        finally:
            self.note(user_id)
            self._under_way[user_id] -= 1
            if not self._under_way[user_id]:
                del self._under_way[user_id]

    def since(self, number: int, user_id: int) -> bool:
        """Whether the person said no after the withdrawal of that number, or is saying it now."""
        return user_id in self._under_way or max(self._last.get(user_id, 0), self._forgotten) > number

"""Who said no a moment ago: an answer about their voice that is still on its way must not reach anybody.

A voice message may wait in a queue for a minute. Whoever opts out or deletes their data meanwhile is not answered
about. In memory only; a deletion leaves nothing else that could tell.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MAX_PEOPLE: Final = 10_000


class Withdrawals:
    def __init__(self) -> None:
        self._last: OrderedDict[int, int] = OrderedDict()
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

    def since(self, number: int, user_id: int) -> bool:
        """Whether the person said no after the withdrawal of that number."""
        return max(self._last.get(user_id, 0), self._forgotten) > number

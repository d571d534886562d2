"""Whose SSRC is whose: the voice gateway's word (op 5, 11, 12, 13), and nothing else.

A packet names only an SSRC. One that the gateway has not named has no owner, and is not heard.
"""

from __future__ import annotations

from typing import Final

_MAX_SSRCS: Final = 1_024
_MAX_PER_USER: Final = 4
"""A client that reconnects gets a new SSRC while packets of the old one are still on the way."""


class SsrcMap:
    """SSRC to user id, bounded; a user keeps the last few so that a change loses nothing that is on its way."""

    def __init__(self) -> None:
        self.owners: dict[int, int] = {}
        """User id by SSRC, to look at."""
        self._ssrcs_of: dict[int, list[int]] = {}

    def user(self, ssrc: int) -> int | None:
        return self.owners.get(ssrc)

    def ssrcs(self, user_id: int) -> tuple[int, ...]:
        """The user's SSRCs, oldest first."""
        return tuple(self._ssrcs_of.get(user_id, ()))

    def assign(self, ssrc: int, user_id: int) -> bool:
        """Take the gateway's word; True when it is news."""
        if self.owners.get(ssrc) == user_id:
            return False
        self._forget_ssrc(ssrc)
        if len(self.owners) >= _MAX_SSRCS:
            self._forget_ssrc(next(iter(self.owners)))
        own = self._ssrcs_of.setdefault(user_id, [])
        if len(own) >= _MAX_PER_USER:
            self._forget_ssrc(own[0])
            own = self._ssrcs_of.setdefault(user_id, [])
        own.append(ssrc)
        self.owners[ssrc] = user_id
        return True

    def forget_user(self, user_id: int) -> tuple[int, ...]:
        """The user left the call; their SSRCs may be given to others."""
        gone = tuple(self._ssrcs_of.pop(user_id, ()))
        for ssrc in gone:
            self.owners.pop(ssrc, None)
        return gone

    def clear(self) -> None:
        self.owners.clear()
        self._ssrcs_of.clear()

    def _forget_ssrc(self, ssrc: int) -> None:
        user_id = self.owners.pop(ssrc, None)
        if user_id is None:
            return
        own = self._ssrcs_of[user_id]
        own.remove(ssrc)
        if not own:
            del self._ssrcs_of[user_id]

"""Who sits at which leaf of the group's tree: all that a server needs to know of it."""

from __future__ import annotations


class Leaves:
    """The tree's leaves, some of them blank. A member's leaf stays the same for as long as it is a member."""

    def __init__(self) -> None:
        self._users: list[int | None] = []

    def __contains__(self, user_id: int) -> bool:
        return user_id in self._users

    def __bool__(self) -> bool:
        return bool(self._users)

    @property
    def members(self) -> tuple[int, ...]:
        """From left to right."""
        return tuple(user_id for user_id in self._users if user_id is not None)

    def of(self, user_id: int) -> int:
        """The member's leaf.

        Raises:
            ValueError: no member.
        """
        return self._users.index(user_id)

    def seat(self, user_id: int) -> int:
        """Give a new member the leftmost blank leaf, or a new one (RFC 9420, 7.7)."""
        if None in self._users:
            leaf = self._users.index(None)
            self._users[leaf] = user_id
            return leaf
        self._users.append(user_id)
        return len(self._users) - 1

    def blank(self, leaf: int) -> None:
        """Remove the member at a leaf; blank leaves at the right end are cut off (RFC 9420, 7.8)."""
        self._users[leaf] = None
        while self._users and self._users[-1] is None:
            self._users.pop()

    def clear(self) -> None:
        self._users.clear()

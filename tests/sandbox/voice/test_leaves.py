"""The tree's leaves: the leftmost blank one is taken, and a member's stays its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.voice.leaves import Leaves

pytestmark = pytest.mark.unit


def test_a_blank_leaf_is_taken_from_the_left() -> None:
    leaves = Leaves()
    assert [leaves.seat(user) for user in (1, 2, 3, 4)] == [0, 1, 2, 3]
    leaves.blank(2)
    leaves.blank(0)
    assert leaves.members == (2, 4)
    assert [leaves.seat(user) for user in (5, 6, 7)] == [0, 2, 4]


def test_blank_leaves_at_the_end_are_cut_off() -> None:
    leaves = Leaves()
    for user in (1, 2, 3):
        leaves.seat(user)
    leaves.blank(1)
    leaves.blank(2)
    assert leaves.members == (1,)
    assert leaves.seat(9) == 1
    leaves.blank(0)
    leaves.blank(1)
    assert not leaves
    with pytest.raises(ValueError, match="not in list"):
        leaves.of(1)


@given(st.lists(st.integers(0, 9)))
def test_nobody_moves_while_others_come_and_go(users: list[int]) -> None:
    leaves = Leaves()
    known: dict[int, int] = {}
    for user in users:
        if user in leaves:
            leaves.blank(known.pop(user))
        else:
            known[user] = leaves.seat(user)
        assert {user: leaves.of(user) for user in leaves.members} == known

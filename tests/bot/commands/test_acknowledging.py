"""What does not wait for Discord's acknowledgement does not depend on it either."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bot.commands.common import acknowledged

pytestmark = pytest.mark.unit


class TooLate(Exception):
    """Discord has forgotten the interaction."""


def interaction(*, refused: bool) -> Any:
    async def defer(**_: Any) -> None:
        if refused:
            raise TooLate

    return SimpleNamespace(response=SimpleNamespace(is_done=lambda: False, defer=defer))


async def turns_of_the_loop() -> None:
    """Until the refusal has long come."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_was_done_is_given_in_order() -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(0)
        return number

    assert await acknowledged(interaction(refused=False), work(1), work(2)) == [1, 2]


async def test_a_deletion_comes_to_its_end_although_discord_refuses_the_acknowledgement() -> None:
    ended = False

    async def work() -> None:
        nonlocal ended
        await turns_of_the_loop()
        ended = True

    with pytest.raises(TooLate):
        await acknowledged(interaction(refused=True), work())
    assert ended


@pytest.mark.parametrize("refused", [False, True])
async def test_what_goes_wrong_with_it_is_raised_all_the_same(refused: bool) -> None:
    async def work() -> None:
        await turns_of_the_loop()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await acknowledged(interaction(refused=refused), work())

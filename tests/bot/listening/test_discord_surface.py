"""What Discord did is not undone by a database that is busy at that moment."""

from __future__ import annotations

from typing import Any

import pytest

from bot.listening.discord_surface import DiscordSurface
from bot.listening.surface import Posted
from bot.texts import english
from storage.errors import StorageUnavailable
from tests.fakes.records import session

pytestmark = pytest.mark.unit


class Own:
    """Deletes in Discord and cannot forget."""

    def __init__(self) -> None:
        self.removed: list[int] = []

    async def discard(self, message: Any) -> None:
        self.removed.append(message.message_id)
        raise StorageUnavailable("locked")


async def test_a_message_that_the_database_cannot_forget_is_removed_all_the_same() -> None:
    own: Any = Own()
    nothing: Any = None
    surface = DiscordSurface(
        nothing,
        session(),
        asked_in=None,
        own=own,
        read_status=nothing,
        buttons=nothing,
        speaks=lambda _: english,
        server=nothing,
        spawn=nothing,
    )
    await surface.remove(Posted(channel_id=20, message_id=7))
    assert own.removed == [7]

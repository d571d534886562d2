"""The list of sessions asks about the role in a bounded number of servers, and about one when that is chosen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.web import readers
from bot.web.names import Membership
from bot.web.readers import Readers
from storage import NewSession, Storage
from tests.bot.web.conftest import ALICE, STRANGER
from tests.fakes.names import FakeNames

pytestmark = pytest.mark.integration

ROLE = 7


async def in_servers(storage: Storage, number: int) -> None:
    """A session and a viewer role in each of so many servers, the first the oldest."""
    for guild_id in range(1, number + 1):
        new = NewSession(guild_id=guild_id, channel_id=2, started_by=1, model="m", model_version="v", labels=("Angry",))
        await storage.start_session(new)
        await storage.change_server(guild_id, lambda now: replace(now, viewer_role_id=ROLE))


async def test_the_newest_servers_are_asked_and_the_others_are_counted(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "MAX_SERVERS", 2)
    await in_servers(storage, 3)
    holder = Membership(role_ids=frozenset({ROLE}))
    names = FakeNames(members={(guild_id, ALICE): holder for guild_id in (1, 2, 3)})
    asking = Readers(storage, names)
    assert await asking.servers(ALICE) == {2, 3}
    assert (sorted(names.asked), asking.not_asked) == ([2, 3], 1)
    assert await asking.servers(ALICE, only=1) == {1}
    assert await asking.reads(1, ALICE)
    assert not await asking.reads(1, STRANGER)


async def test_a_server_without_a_role_is_not_asked_about(storage: Storage) -> None:
    await in_servers(storage, 1)
    await storage.change_server(1, lambda now: replace(now, viewer_role_id=None))
    names = FakeNames(members={(1, ALICE): Membership(role_ids=frozenset({ROLE}))})
    assert not await Readers(storage, names).reads(1, ALICE)
    assert names.asked == []

"""The list of sessions: filtered, paged, and of one person however many others there are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from storage import NewSession, SessionState, Storage, schema
from storage.identity import Identity
from storage.listing import Wanted

pytestmark = pytest.mark.integration

STARTER, MEMBER, STRANGER = 1, 2, 3
BEGAN = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
async def ids(storage: Storage) -> list[str]:
    """Six sessions, an hour apart, oldest first; the member is in the first, third and fifth."""
    found = []
    for number in range(6):
        session = await storage.start_session(
            NewSession(
                guild_id=10 + number % 2,
                channel_id=20 + number % 3,
                started_by=STARTER,
                model="seed",
                model_version="abc",
                labels=("Angry",),
            )
        )
        for person in (MEMBER, 7)[number % 2 :]:
            await storage.include_participant(session.id, person)
        if number < 4:
            await storage.end_session(session.id, state=SessionState.ENDED, reason="stopped", counters={})
        async with storage._database.writing() as db:  # the storage has no door to the past
            await db.execute(
                update(schema.Session).filter_by(id=session.id).values(started_at=BEGAN + timedelta(hours=number))
            )
        found.append(session.id)
    return found


async def _page(storage: Storage, user_id: int | None = None, limit: int = 10, **wanted: object) -> list[str]:
    return [
        item.session.id
        for item in await storage.listed(Wanted(**wanted), limit=limit, user_id=user_id)  # type: ignore[arg-type]
    ]


async def test_places_to_choose_from_are_those_of_all_ones_sessions(
    storage: Storage, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    everywhere = [(10, 20), (10, 21), (10, 22), (11, 20), (11, 21), (11, 22)]
    assert sorted(await storage.places()) == everywhere
    monkeypatch.setattr("storage.listing._FIRST_LOOK", 2)
    monkeypatch.setattr("storage.listing._NEXT_LOOKS", 2)
    assert await storage.places(user_id=STARTER) == everywhere
    assert await storage.places(user_id=MEMBER) == [(10, 20), (10, 21), (10, 22)]
    assert await storage.places(user_id=MEMBER, readable={11}) == everywhere
    assert await storage.places(user_id=STRANGER) == []


async def test_newest_first_and_only_ones_own(storage: Storage, ids: list[str]) -> None:
    assert await _page(storage) == ids[::-1]
    assert await _page(storage, STARTER) == ids[::-1]
    assert await _page(storage, MEMBER) == [ids[4], ids[2], ids[0]]
    assert await _page(storage, STRANGER) == []


async def test_a_page_and_the_next(storage: Storage, ids: list[str]) -> None:
    assert await _page(storage, limit=2) == [ids[5], ids[4]]
    assert await _page(storage, MEMBER, limit=1) == [ids[4]]
    assert await _page(storage, MEMBER, limit=1, before=BEGAN + timedelta(hours=4)) == [ids[2]]


async def test_whoever_is_on_the_page_comes_with_it(storage: Storage, ids: list[str]) -> None:
    listed = await storage.listed(Wanted(), limit=2)
    assert [[person.user_id for person in item.people] for item in listed] == [[7], [MEMBER, 7]]
    assert [[person.pseudonym for person in item.people] for item in listed] == [
        ["Speaker 1"],
        ["Speaker 1", "Speaker 2"],
    ]


async def test_filters(storage: Storage, ids: list[str]) -> None:
    assert await _page(storage, guild_id=11) == [ids[5], ids[3], ids[1]]
    assert await _page(storage, channel_id=20) == [ids[3], ids[0]]
    assert await _page(storage, state=SessionState.LIVE) == [ids[5], ids[4]]
    assert await _page(storage, MEMBER, state=SessionState.LIVE) == [ids[4]]
    day = BEGAN + timedelta(hours=1)
    assert await _page(storage, since=day, before=day + timedelta(hours=2)) == [ids[2], ids[1]]


async def test_what_is_old_is_found_behind_many_newer_ones_of_others(
    storage: Storage, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.listing._FIRST_LOOK", 1)
    monkeypatch.setattr("storage.listing._NEXT_LOOKS", 2)
    assert await _page(storage, MEMBER) == [ids[4], ids[2], ids[0]]
    assert await _page(storage, STRANGER) == []


async def test_only_ids_on_the_page_are_unsealed(
    storage: Storage, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    unsealed: list[str] = []
    unseal = Identity.unseal

    def counted(identity: Identity, sealed: str) -> int:
        unsealed.append(sealed)
        return unseal(identity, sealed)

    monkeypatch.setattr(Identity, "unseal", counted)
    await storage.listed(Wanted(), limit=1, user_id=MEMBER)
    assert len(unsealed) == 3  # who started it, and its two people

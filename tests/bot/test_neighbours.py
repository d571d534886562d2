"""Two services with a shard each, on one PostgreSQL: what one does reaches what runs in the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import discord
import pytest
from discord.utils import time_snowflake
from sqlalchemy import text

from bot import neighbours
from bot.commands.panel_view import INCLUDE_ID
from bot.commands.sharing import tell_of_share
from bot.listening.clock import SystemClock
from bot.listening.events import state_event
from bot.service import Service
from bot.texts import english as texts
from bot.texts import of
from sandbox import Sandbox, User
from storage.owners import PROCESS_ENDED
from storage.records import SessionState
from storage.wire import NAME
from tests.fakes.backend import FakeBackend
from tests.fakes.log import written
from tests.fakes.postgres import new_database
from tests.fakes.settings import keep_addresses, settings_for
from tests.fakes.voice_link import FakeVoice
from tests.fakes.waiting import until
from tests.fakes.world import World, text_of

pytestmark = pytest.mark.integration


@dataclass
class Two:
    """The service that has the server, with a session and somebody in it; and the one that has not."""

    world: World
    here: Service
    there: Service
    ada: User
    session_id: str

    @property
    def included(self) -> bool:
        session = self.here.sessions.of(self.world.sandbox.guild.id)
        return session is not None and session.consents(self.ada.id)


@pytest.fixture
async def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Two]:
    keep_addresses(monkeypatch)
    database = await asyncio.to_thread(new_database)
    async with Sandbox(rate_limits=False) as sandbox, AsyncExitStack() as stack:
        number, voice = (sandbox.guild.id >> 22) % 2, FakeVoice()
        services = []
        for shard in (number, 1 - number):
            settings = settings_for(sandbox, tmp_path, database_address=database, shards=f"{shard}/2")
            services.append(await stack.enter_async_context(Service(settings, backend=FakeBackend(), connect=voice)))
        for service in services:
            await service.discord_ready()
        await until(lambda: all(service.app.neighbours.ready()["neighbours"] for service in services))
        here, there = services
        world = World(sandbox, here, voice)
        ada = sandbox.add_person("Ada")
        world.sit(world.owner, ada)
        await world.seen(world.owner, ada)
        await world.attested()  # its button is one for the whole process
        await world.ask(world.owner, "listen start")
        panel = await world.panel()
        await world.press(ada, panel, INCLUDE_ID)
        session = here.sessions.of(sandbox.guild.id)
        assert session is not None
        two = Two(world=world, here=here, there=there, ada=ada, session_id=session.record.id)
        assert two.included
        yield two


async def test_whoever_deletes_everything_elsewhere_is_taken_out_before_the_rows_go(two: Two) -> None:
    await until(lambda: two.there.bus.knows(two.session_id))
    done = await two.there.app.deletions.person(two.ada.id, None, _now())
    assert not two.included
    assert done.counts["participants"] == 1
    assert await two.here.storage.participants(two.session_id) == []
    assert two.there.app.neighbours.counters()["unanswered"] == 0


async def test_what_is_asked_elsewhere_about_somebody_before_their_rows_are_gone_is_not_answered(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their standing answer is read until then."""
    delete, withdrawals = two.there.storage.delete_person, two.here.app.withdrawals
    asked: list[int] = []

    async def meanwhile(user_id: int, guild_id: int | None) -> dict[str, int]:
        asked.append(withdrawals.number)
        return await delete(user_id, guild_id)

    monkeypatch.setattr(two.there.storage, "delete_person", meanwhile)
    await two.there.app.deletions.person(two.ada.id, None, _now())
    await until(lambda: withdrawals.since(asked[0], two.ada.id))


async def test_a_deletion_that_could_not_be_heard_is_found_in_the_tables(two: Two) -> None:
    await two.there.storage.delete_person(two.ada.id, None)
    assert two.included
    assert speaks_of_somebody(two.here, two.session_id)
    await break_wire(two.here)
    await until(lambda: not two.included)
    await until(lambda: not speaks_of_somebody(two.here, two.session_id))
    assert two.here.app.neighbours.counters()["reconnects"] == 1


async def test_live_events_of_somebody_deleted_unheard_are_forgotten_elsewhere_too(two: Two) -> None:
    await until(lambda: speaks_of_somebody(two.there, two.session_id))
    await two.here.storage.delete_person(two.ada.id, None)
    with two.there.bus.follow(two.session_id) as follower:
        await break_wire(two.there)
        await until(lambda: follower.closed)  # the page comes back and reads anew
    assert not speaks_of_somebody(two.there, two.session_id)


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_clock_that_is_wrong_keeps_nobody_in_and_nobody_out(two: Two, minutes: int) -> None:
    """Presses are in the order of Discord's clock, and this machine's may be minutes behind or ahead of it."""

    class Wrong(SystemClock):
        def now(self) -> datetime:
            return super().now() + timedelta(minutes=minutes)

    two.here.app.clock = Wrong()
    await two.there.storage.delete_person(two.ada.id, None)
    await break_wire(two.here)
    await until(lambda: not two.included)
    await two.world.press(two.ada, await two.world.panel(), INCLUDE_ID)
    await until(lambda: two.included)


def speaks_of_somebody(service: Service, session_id: str) -> bool:
    return any(event.kind == "participant" for event in service.bus.recent(session_id))


async def break_wire(service: Service) -> None:
    async with service.storage._database.transaction() as db:
        await db.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name"),
            {"name": f"{NAME}{service.app.me}"},
        )


async def test_a_link_made_elsewhere_is_told_in_the_servers_language_and_goes_with_who_made_it(two: Two) -> None:
    sandbox, storage, owner = two.world.sandbox, two.there.storage, two.world.owner
    sandbox.guild.locale = "de"
    record = await storage.session(two.session_id)
    assert record is not None
    share, _ = await storage.create_share(record.id, lifetime=timedelta(days=1), maker_id=owner.id)
    await tell_of_share(two.there.app, record, share, maker_id=owner.id)
    name, expires = f"<@{owner.id}>", int(share.expires_at.timestamp())
    started = int(record.started_at.timestamp())
    told = of("de")("SHARED_WITH_OTHERS", who=name, started=started, expires=expires)
    assert told in [text_of(message) for message in two.world.messages()]

    done = await two.here.app.deletions.person(owner.id, sandbox.guild.id, _now())
    assert done.refused == []
    assert not [message for message in two.world.messages() if name in text_of(message)]


async def test_names_of_a_server_elsewhere_are_asked_once(two: Two) -> None:
    guild, names = two.world.sandbox.guild, two.there.gateway.names
    for _ in range(2):
        assert await names.name(guild.id, two.ada.id) == "Ada"
        assert await names.channel(guild.id, two.world.sandbox.voice_channel.id) == "Fireside"
        assert await names.guild(guild.id) == guild.name
        assert await names.name(guild.id, 12345) is None
    assert names.asked_elsewhere == 4
    owner = await names.membership(guild.id, two.world.owner.id)
    assert owner is not None
    assert owner.manages_server
    assert await names.membership(guild.id, 12345) is None
    assert await two.here.gateway.names.name(guild.id, two.ada.id) == "Ada"
    assert two.here.gateway.names.asked_elsewhere == 0


async def test_a_process_counts_only_servers_of_its_shards_as_left(two: Two) -> None:
    guild_id = two.world.sandbox.guild.id
    await two.there.storage.servers_present(set(), two.here.app.clock.now(), two.there.app.neighbours.has)
    async with two.here.storage._database.transaction() as db:
        assert (await db.execute(text("SELECT guild_id, left_at FROM servers"))).all() == [(guild_id, None)]


async def test_taking_a_person_out_does_not_wait_for_messages_in_discord(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def slow() -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(two.here.app.deletions, "remove_doomed", slow)
    two.there.app.neighbours.renew()
    await begun.wait()
    await two.there.app.neighbours.leave_everything(two.ada.id, None, _now())
    assert not two.included
    assert two.there.app.neighbours.counters()["unanswered"] == 0


async def test_discord_that_fails_ends_nothing_and_is_asked_once_for_many_requests(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def broken() -> None:
        asked.append(1)
        raise RuntimeError("Session is closed")

    monkeypatch.setattr(two.here.app.deletions, "remove_doomed", broken)
    for _ in range(5):
        two.there.app.neighbours.renew()
    await until(lambda: asked)
    await two.there.app.neighbours.leave_everything(two.ada.id, None, _now())
    assert [session.record.id for session in two.here.sessions.running()] == [two.session_id]
    assert not two.included
    assert len(asked) == 1


async def test_after_an_outage_the_others_have_time_to_come_back(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    there = two.there.app.neighbours

    async def alone() -> frozenset[str]:
        return frozenset({two.there.app.me})

    monkeypatch.setattr(two.there.storage, "living", alone)
    await break_wire(two.there)
    await until(lambda: there.counters()["reconnects"] == 1 and there.ready()["neighbours"])
    for _ in range(3):
        await there._look_once()
    assert there.counters()["died"] == 0
    monkeypatch.setattr(neighbours, "STEADY_S", 0.0)
    for _ in range(3):
        await there._look_once()
    assert there.counters()["died"]


async def test_whoever_takes_a_process_for_dead_does_not_end_what_runs_there(two: Two) -> None:
    end = state_event(SessionState.INTERRUPTED, link=None, reason=PROCESS_ENDED)
    with two.here.bus.follow(two.session_id) as follower:
        two.there.bus.publish(two.session_id, "state", end)
        await two.there.app.neighbours.leave_everything(two.ada.id, None, _now())
        assert two.there.app.neighbours.counters()["unanswered"] == 0, "all of it was heard"
        assert not follower.closed


async def test_a_shard_that_no_process_has_is_told_until_one_has_it(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "STEADY_S", 0.0)
    left = two.here.app.neighbours

    async def unserved() -> int:
        await left._look_once()
        return left.counters()["shards_unserved"]

    await until(lambda: two.there.app.me in left._theirs)
    assert await unserved() == 0
    (missing,) = two.there.app.neighbours._shards.ids
    settings = two.there.settings
    with written("info") as log:
        await two.there.stop()
        assert await unserved() == 1
        assert await unserved() == 1
        async with Service(settings, backend=FakeBackend(), connect=FakeVoice()) as again:
            await until(lambda: again.app.me in left._theirs)
            assert await unserved() == 0
    assert log.getvalue().count("shards_unserved") == 1
    assert f"shards=[{missing}]" in log.getvalue()


@pytest.mark.parametrize("shards", [None, "0,1,2/3"])
async def test_one_that_is_started_beside_another_leaves_its_session_alone_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: str | None
) -> None:
    """By mistake, or in an upgrade that starts the new one before it stops the old one."""
    keep_addresses(monkeypatch)
    database = await asyncio.to_thread(new_database)
    async with Sandbox(rate_limits=False) as sandbox, AsyncExitStack() as stack:
        voice = FakeVoice()
        settings = settings_for(sandbox, tmp_path, database_address=database)
        old = Service(settings, backend=FakeBackend(), connect=voice)
        await stack.enter_async_context(old)
        await old.discord_ready()
        world = World(sandbox, old, voice)
        world.sit(world.owner)
        await world.seen(world.owner)
        panel = await world.attest_and_start()
        session_id = world.running().record.id
        await until(lambda: old.app.neighbours.ready()["neighbours"])

        settings = settings_for(sandbox, tmp_path, database_address=database, shards=shards)
        new = await stack.enter_async_context(Service(settings, backend=FakeBackend(), connect=voice))
        both = (old.app.neighbours, new.app.neighbours)
        await until(lambda: [one.counters()["shards_served_twice"] for one in both] == [1, 1])
        record = await new.storage.session(session_id)
        assert record is not None
        assert record.state is SessionState.LIVE
        assert texts.PANEL_ENDED_TITLE not in text_of(panel)

        await old.stop()
        record = await new.storage.session(session_id)
        assert record is not None
        assert (record.state, record.end_reason) == (SessionState.ENDED, "shutdown")
        summaries = [message for message in world.messages() if texts.SUMMARY_TITLE in text_of(message)]
        assert len(summaries) <= 1
        await until(lambda: old.app.me not in new.app.neighbours._twice)


def _now() -> int:
    return time_snowflake(discord.utils.utcnow(), high=True)

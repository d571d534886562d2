"""Consent is what the person pressed last, in a Discord that is slow and among people who press at once."""

from __future__ import annotations

import asyncio

import pytest
from discord.utils import utcnow

from bot import client
from bot.commands import arrivals
from bot.commands.attest import ATTEST_ID
from bot.commands.panel_view import EXCLUDE_ID, INCLUDE_ID, STOP_ID
from bot.listening.session import ListeningSession
from bot.texts import english as texts
from sandbox import Message, User
from storage.errors import StorageUnavailable
from storage.records import Decision
from tests.fakes.listening import Held
from tests.fakes.log import written
from tests.fakes.voice_link import tone_burst
from tests.fakes.world import World, text_of
from tests.load.flood import flood

pytestmark = pytest.mark.e2e

CALLBACKS = r"^/interactions/"


async def begun(world: World, *others: User) -> tuple[ListeningSession, Message]:
    people = (world.owner, *others)
    world.sit(*people)
    await world.seen(*people)
    panel = await world.attest_and_start()
    session = world.service.sessions.of(world.sandbox.guild.id)
    assert session is not None
    return session, panel


async def test_leave_me_out_counts_although_include_me_is_acknowledged_after_it(world: World) -> None:
    session, panel = await begun(world, world.mara)
    answered = asyncio.Event()
    slow = world.sandbox.faults.rest(0, path=CALLBACKS, held=answered)
    include = asyncio.create_task(world.press(world.mara, panel, INCLUDE_ID), name="include")
    await world.sandbox.wait_for(lambda: slow.hits)  # she presses again while Discord is busy with the first
    await world.press(world.mara, panel, EXCLUDE_ID)
    answered.set()
    assert text_of(await include) == texts.ALREADY_EXCLUDED
    assert not session.consents(world.mara.id)
    world.voice.link.hear(world.mara.id, tone_burst())
    await world.ask(world.owner, "listen stop")
    report = await world.service.storage.report(session.record.id)
    assert report is not None
    assert not any(person.windows for person in report.participants)


async def test_leaving_does_not_wait_for_discord(world: World) -> None:
    session, panel = await begun(world, world.mara)
    await world.press(world.mara, panel, INCLUDE_ID)
    answered = asyncio.Event()
    world.sandbox.faults.rest(0, path=CALLBACKS, held=answered)
    exclude = asyncio.create_task(world.press(world.mara, panel, EXCLUDE_ID), name="exclude")
    await world.sandbox.wait_for(lambda: not session.consents(world.mara.id))
    assert not exclude.done()
    answered.set()
    assert text_of(await exclude) == texts.EXCLUDED


@pytest.mark.parametrize("status", [0, 500], ids=["slow", "refused"])
async def test_stopping_does_not_wait_for_discord(world: World, status: int) -> None:
    session, panel = await begun(world, world.mara)
    answered = asyncio.Event()
    world.sandbox.faults.rest(status, path=CALLBACKS, held=answered)
    stopping = asyncio.create_task(world.sandbox.press(world.owner, panel, STOP_ID), name="stop")
    await world.sandbox.wait_for(lambda: session.ending)
    answered.set()
    await stopping
    await world.over()
    await world.embed(texts.SUMMARY_TITLE)


async def test_opting_out_takes_effect_before_discord_acknowledges_it(world: World) -> None:
    session, panel = await begun(world, world.mara)
    await world.press(world.mara, panel, INCLUDE_ID)
    answered = asyncio.Event()
    world.sandbox.faults.rest(0, path=CALLBACKS, held=answered)
    asking = asyncio.create_task(world.ask(world.mara, "privacy opt-out"), name="opt-out")
    await world.sandbox.wait_for(lambda: not session.consents(world.mara.id))
    assert not asking.done()
    answered.set()
    await asking


async def test_deleting_takes_a_person_out_before_discord_acknowledges_it(world: World) -> None:
    session, panel = await begun(world, world.mara)
    await world.press(world.mara, panel, INCLUDE_ID)
    question = await world.ask(world.mara, "privacy delete")
    answered = asyncio.Event()
    world.sandbox.faults.rest(0, path=CALLBACKS, held=answered)
    deleting = asyncio.create_task(world.press(world.mara, question, "undertone:delete"), name="delete")
    await world.sandbox.wait_for(lambda: not session.consents(world.mara.id))
    assert not deleting.done()
    answered.set()
    await deleting


async def test_opting_in_during_a_session_includes_the_person_in_the_channel(world: World) -> None:
    session, _ = await begun(world, world.mara)
    await world.ask(world.mara, "privacy opt-in")
    await world.ask(world.theo, "privacy opt-in")
    assert session.consents(world.mara.id)
    assert not session.consents(world.theo.id)


async def test_in_a_flood_everybodys_last_press_counts_and_there_is_one_panel(world: World) -> None:
    """A smaller one than the command plays: ``python -m tests.load.flood``."""
    found = await flood(world, people=20, a_second=50.0, seconds=2.0)
    assert found.presses == 100
    assert found.unacknowledged == 0
    assert found.wrong == frozenset()
    assert found.panels == 1


async def test_the_question_before_a_deletion_is_answered_after_a_restart_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.01)
    await world.ask(world.mara, "privacy opt-in")
    question = await world.ask(world.mara, "privacy delete")
    before = world.service.gateway.client
    await before.close()  # with it goes all that discord.py remembered of buttons
    await world.sandbox.wait_for(lambda: world.service.gateway.client is not before)
    await world.service.discord_ready()
    assert text_of(await world.press(world.mara, question, "undertone:delete")) == texts.DELETED
    assert await world.service.storage.standing_consent(world.sandbox.guild.id, world.mara.id) is None


async def test_the_statement_pressed_by_two_at_once_is_made_once(world: World) -> None:
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    question = await world.ask(world.owner, "listen start")
    presses = await asyncio.gather(*(world.sandbox.press(world.owner, question, ATTEST_ID) for _ in range(2)))
    said = {text_of(await world.sandbox.answer(press)) for press in presses}
    assert texts("ALREADY_LISTENING", channel_id=world.sandbox.voice_channel.id) in said
    assert texts.STORAGE_REFUSED not in said


async def test_who_leaves_while_the_database_is_asked_about_them_is_not_there_and_breaks_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    await world.attest_and_start()
    storage = world.service.storage
    held = Held(storage.end_consents_before, first=world.theo.id)
    monkeypatch.setattr(storage, "end_consents_before", held)
    with written("info") as log:
        world.sit(world.theo)
        await held.asked.wait()
        world.sandbox.state.leave_voice(world.sandbox.guild.id, world.theo.id)
        late = world.sandbox.add_person("Late")
        world.sit(late)
        present = world.running().people.book.present_ids
        await world.sandbox.wait_for(lambda: late.id in present())  # so the bot knows that Theo left
        held.go.set()
        world.sandbox.state.leave_voice(world.sandbox.guild.id, late.id)
        await world.sandbox.wait_for(lambda: late.id not in present())
    assert world.theo.id not in present()
    assert "event_failed" not in log.getvalue()


async def test_who_moves_away_and_leaves_there_at_once_is_not_there_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    await world.attest_and_start()
    held = Held(world.service.storage.end_consents_before, first=world.mara.id)
    monkeypatch.setattr(world.service.storage, "end_consents_before", held)
    world.sandbox.move(world.mara, world.sandbox.add_voice_channel("Elsewhere"))
    await held.asked.wait()
    world.sandbox.disconnect(world.mara)
    late = world.sandbox.add_person("Late")
    world.sit(late)
    present = world.running().people.book.present_ids
    await world.sandbox.wait_for(lambda: late.id in present())  # so the bot knows that Mara left
    held.go.set()
    await world.sandbox.wait_for(lambda: present() == [world.owner.id, late.id])


async def test_who_came_and_went_while_gateway_and_database_were_away_is_known_from_who_is_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    panel = await world.attest_and_start()
    session, client = world.running(), world.service.gateway.client
    book = session.people.book
    book.depart(world.mara.id)  # her arrival was missed, and so was the departure of somebody else
    book.arrive(7)

    async def away(*_: object) -> None:
        raise StorageUnavailable("away")

    guild = client.get_guild(world.sandbox.guild.id)
    assert guild is not None
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(world.service.storage, "server", away)
        await client.on_guild_available(guild)
    assert set(book.present_ids()) == {world.owner.id, world.mara.id}
    assert not session.consents(world.mara.id)
    assert text_of(await world.press(world.mara, panel, INCLUDE_ID)) == texts.INCLUDED


async def test_who_comes_while_the_database_is_away_starts_excluded_and_can_include_themselves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = world.service.storage
    await storage.set_standing_consent(world.sandbox.guild.id, world.theo.id, Decision.OPT_IN)
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    panel = await world.attest_and_start()
    session = world.running()

    async def away(*_: object) -> None:
        raise StorageUnavailable("away")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(storage, "end_consents_before", away)
        world.sit(world.theo)
        await world.sandbox.wait_for(lambda: world.theo.id in session.people.book.present_ids())
    assert not session.consents(world.theo.id)  # whether the old answer still counts was not looked up
    assert text_of(await world.press(world.theo, panel, INCLUDE_ID)) == texts.INCLUDED


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "LOOK_AGAIN_S", 0.05)
    monkeypatch.setattr(arrivals, "LONGEST_WAIT_S", 0.1)


@pytest.mark.usefixtures("quick_looks")
async def test_who_comes_while_the_database_is_away_is_asked_about_again_once_it_is_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Theo opted in. So did a guest, who has a role that is never heard by now."""
    storage, guild_id = world.service.storage, world.sandbox.guild.id
    role = world.sandbox.state.add_role(world.sandbox.guild, "Guests", permissions=0)
    guest = world.sandbox.add_person("Gast", role_ids=(role.id,))
    for person in (world.theo, guest):
        await storage.set_standing_consent(guild_id, person.id, Decision.OPT_IN)
    await world.attested(unheard_role_ids=(role.id,))
    session, _ = await begun(world)
    book = session.people.book

    async def away(*_: object) -> None:
        raise StorageUnavailable("away")

    with monkeypatch.context() as meanwhile, written("warning") as log:
        for asked in ("end_consents_before", "server"):
            meanwhile.setattr(storage, asked, away)
        world.sit(guest, world.theo)
        await world.sandbox.wait_for(lambda: world.theo.id in book.present_ids())
        await world.sandbox.wait_for(lambda: "arrivals_not_looked_up" in log.getvalue())
        assert not session.people.included_ids()
        assert guest.id not in book.present_ids()  # the session knows what its server chose
    await world.sandbox.wait_for(lambda: session.consents(world.theo.id))
    assert session.people.included_ids() == [world.theo.id]
    assert session.people.unsettled_ids() == []


@pytest.mark.usefixtures("quick_looks")
async def test_who_leaves_themselves_out_while_the_database_is_away_is_written_once_it_is_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = world.service.storage
    session, panel = await begun(world, world.mara)
    assert text_of(await world.press(world.mara, panel, INCLUDE_ID)) == texts.INCLUDED

    async def away(*_: object) -> None:
        raise StorageUnavailable("away")

    async def withdrawn() -> list[bool]:
        return [one.withdrawn_at is not None for one in await storage.participants(session.record.id)]

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(storage, "withdraw_participant", away)
        assert text_of(await world.press(world.mara, panel, EXCLUDE_ID)) == texts.EXCLUDED
        assert not session.consents(world.mara.id)
        assert await withdrawn() == [False]
    async with asyncio.timeout(30):
        while not all(await withdrawn()):
            await asyncio.sleep(0.02)
    assert not session.people.left_ids()


@pytest.mark.parametrize("opts_in", ["before the session", "during the session"])
async def test_a_standing_answer_ends_in_the_running_session_too_when_its_person_leaves_the_server(
    world: World, opts_in: str
) -> None:
    guild, storage = world.sandbox.guild, world.service.storage
    if opts_in == "before the session":
        await storage.set_standing_consent(guild.id, world.mara.id, Decision.OPT_IN)
    session, panel = await begun(world, world.mara)
    if opts_in == "during the session":
        await world.ask(world.mara, "privacy opt-in")
    assert session.consents(world.mara.id)
    world.sandbox.state.remove_member(guild, world.mara.id)
    await world.sandbox.wait_for(lambda: world.mara.id not in session.people.book.present_ids())
    world.sandbox.state.add_member(guild, world.mara)
    world.sit(world.mara)
    await world.sandbox.wait_for(lambda: world.mara.id in session.people.book.present_ids())
    late = world.sandbox.add_person("Late")
    world.sit(late)
    await world.sandbox.wait_for(lambda: late.id in session.people.book.present_ids())
    assert not session.consents(world.mara.id)
    assert text_of(await world.press(world.mara, panel, INCLUDE_ID)) == texts.INCLUDED


async def test_who_left_the_server_and_is_back_while_the_gateway_was_away_is_asked_anew(world: World) -> None:
    guild_id = world.sandbox.guild.id
    await world.service.storage.set_standing_consent(guild_id, world.mara.id, Decision.OPT_IN)
    session, _ = await begun(world, world.mara)
    assert session.consents(world.mara.id)
    client = world.service.gateway.client
    guild = client.get_guild(guild_id)
    assert guild is not None
    member = guild.get_member(world.mara.id)
    assert member is not None
    member.joined_at = utcnow()
    await client.on_guild_available(guild)
    assert not session.consents(world.mara.id)
    assert world.mara.id in session.people.book.excluded_ids()


async def test_no_panel_that_was_posted_is_held(world: World) -> None:
    """One view answers for all of them; discord.py would keep the buttons of each for as long as the client lives."""
    _, panel = await begun(world, world.mara)
    await world.press(world.mara, panel, INCLUDE_ID)
    await world.sandbox.wait_for(lambda: f"<@{world.mara.id}>" in text_of(panel))  # it was posted, and edited
    await world.ask(world.owner, "listen stop")
    await world.over()
    store = world.service.gateway.client._connection._view_store
    assert set(store._views) == {None}
    assert store._synced_message_views == {}

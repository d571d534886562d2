"""People decide, come and go while the session waits for the database."""

from __future__ import annotations

import asyncio

import pytest

from storage.records import Decision, NewSession, SessionRecord
from tests.fakes.clock import settle
from tests.fakes.listening import CHANNEL, GUEST, GUILD, HOST, SHY, Held, Stage
from tests.fakes.voice_link import tone_burst

pytestmark = pytest.mark.integration


async def test_a_standing_opt_out_that_is_read_late_discards_what_was_taken(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await stage.start()
    await stage.storage.set_standing_consent(GUILD, 7, Decision.OPT_OUT)
    read = Held(stage.storage.standing_consent, first=7)
    monkeypatch.setattr(stage.storage, "standing_consent", read)
    arriving = asyncio.create_task(stage.moves(7, None, CHANNEL), name="arriving")
    await read.asked.wait()
    await session.people.include(7, stage.press())
    stage.voice.link.hear(7, tone_burst(1.2), then_quiet=False)
    read.go.set()
    await arriving
    assert not session.consents(7)
    assert stage.voice.link.discarded == [7, 7]


async def test_who_decides_comes_or_goes_while_a_session_opens_is_noticed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for user in (HOST, GUEST):
        await stage.storage.set_standing_consent(GUILD, user, Decision.OPT_IN)
    read = Held(stage.storage.standing_consent, first=SHY)
    monkeypatch.setattr(stage.storage, "standing_consent", read)
    starting = asyncio.create_task(stage.start(), name="starting")
    await read.asked.wait()  # the others are included by now
    await stage.manager.decide(GUILD, HOST, Decision.OPT_OUT, stage.press())
    await stage.manager.leave_everything(GUEST, GUILD, stage.press())
    await stage.moves(7, None, CHANNEL)
    await stage.moves(SHY, CHANNEL, None)
    read.go.set()
    session = await starting
    assert not session.people.included_ids()
    assert session.people.book.present_ids() == [HOST, GUEST, 7]


async def test_who_deletes_everything_before_the_session_is_there_is_not_taken_in(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is read before it is deleted, and the row would be written after."""
    await stage.storage.set_standing_consent(GUILD, GUEST, Decision.OPT_IN)
    begin = stage.storage.start_session

    async def meanwhile(new: NewSession) -> SessionRecord:
        record = await begin(new)
        await stage.manager.leave_everything(GUEST, None, stage.press())
        return record

    monkeypatch.setattr(stage.storage, "start_session", meanwhile)
    session = await stage.start()
    assert not session.consents(GUEST)
    assert session.people.book.present_ids() == [GUEST, HOST, SHY]


async def test_who_goes_while_missed_arrivals_are_caught_up_with_stays_gone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await stage.start()
    read = Held(stage.storage.standing_consent, first=7)
    monkeypatch.setattr(stage.storage, "standing_consent", read)
    present = [(HOST, False), (7, False), (8, False)]
    seeing = asyncio.create_task(stage.manager.seen_present(GUILD, present), name="seeing")
    await read.asked.wait()
    await stage.moves(8, CHANNEL, None)
    read.go.set()
    await seeing
    assert session.people.book.present_ids() == [HOST, 7]


async def test_an_opt_out_reaches_a_session_that_began_while_it_was_stored(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.storage.set_standing_consent(GUILD, GUEST, Decision.OPT_IN)
    store = Held(stage.storage.set_standing_consent, first=GUEST)
    monkeypatch.setattr(stage.storage, "set_standing_consent", store)
    deciding = asyncio.create_task(stage.manager.decide(GUILD, GUEST, Decision.OPT_OUT, stage.press()), name="opt-out")
    await store.asked.wait()
    session = await stage.start()
    assert session.consents(GUEST)
    store.go.set()
    assert await deciding
    assert not session.consents(GUEST)


async def test_no_answer_that_is_on_its_way_is_stored_after_a_deletion(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One opt-in is being written when its person deletes everything, another waits for its turn."""
    store = Held(stage.storage.set_standing_consent, first=GUEST)
    monkeypatch.setattr(stage.storage, "set_standing_consent", store)
    first, second, late = stage.press(), stage.press(), stage.press()
    writing = asyncio.create_task(stage.manager.decide(GUILD, GUEST, Decision.OPT_IN, first), name="writing")
    await store.asked.wait()
    waiting = asyncio.create_task(stage.manager.decide(GUILD, SHY, Decision.OPT_IN, second), name="waiting")
    leaving = [
        asyncio.create_task(stage.manager.leave_everything(GUEST, GUILD, stage.press()), name="leave-here"),
        asyncio.create_task(stage.manager.leave_everything(SHY, None, stage.press()), name="leave-everywhere"),
    ]
    await settle()
    assert not any(task.done() for task in leaving)
    store.go.set()
    await asyncio.gather(*leaving)
    await stage.storage.delete_person(GUEST, GUILD)
    assert (await writing, await waiting) == (True, False)
    assert not await stage.manager.decide(11, SHY, Decision.OPT_IN, late)
    assert await stage.storage.standing_consent(GUILD, GUEST) is None
    assert await stage.storage.standing_consent(GUILD, SHY) is None

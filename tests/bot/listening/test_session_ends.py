"""Every way in which a session ends, and what does not end it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.assembly import to_the_end
from bot.cards import Card
from bot.errors import NotPossible
from bot.listening import farewell, notices
from bot.listening.ends import EndReason
from bot.listening.recovery import clear_status
from bot.listening.surface import Posted
from bot.texts import english as texts
from bot.voice.states import LinkState, Reason
from storage.records import Decision, MessageKind, NewSession, SessionRecord, SessionState
from tests.fakes.listening import CHANNEL, GUEST, GUILD, HOST, SHY, Stage

pytestmark = pytest.mark.integration


async def test_messages_to_single_people_are_taken_back_after_it_left_and_in_their_time_together(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discord that hangs must not keep the bot in the channel for seconds with each of them."""
    monkeypatch.setattr(notices, "TAKE_BACK_S", 0.05)
    left: list[bool] = []

    async def hangs(_: Posted) -> None:
        left.append(stage.voice.link.closed)
        await asyncio.Event().wait()

    people = (7, 8, 9)
    for person in people:
        await stage.storage.set_standing_consent(GUILD, person, Decision.OPT_IN)
    session = await stage.start()
    for number, person in enumerate(people, start=1):
        await stage.moves(person, None, CHANNEL)
        while sum(bool(message.mention) for message in stage.surface.messages) < number:
            await stage.clock.advance(notices.GATHER_S)
            await asyncio.sleep(0.01)
    monkeypatch.setattr(stage.surface, "remove", hangs)
    await stage.end()
    assert left == [True]
    record = await stage.storage.session(session.record.id)
    assert record is not None
    assert record.state is SessionState.ENDED
    assert stage.surface.messages[-1].kind is MessageKind.SUMMARY
    told = [message.posted for message in stage.surface.of(MessageKind.NOTICE)]
    assert stage.surface.later == told


async def test_a_panel_that_discord_does_not_change_in_time_is_deleted_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(farewell, "HURRY_S", (0.05, 5.0))
    await stage.start()
    monkeypatch.setattr(stage.surface, "edit", hangs)
    await stage.end(EndReason.SHUTDOWN)
    assert stage.surface.later == [stage.surface.messages[0].posted]


@pytest.mark.parametrize("by", ["going", "a press"])
async def test_who_is_out_again_before_they_could_be_told_is_not_told_that_they_are_included(
    stage: Stage, by: str
) -> None:
    await stage.storage.set_standing_consent(GUILD, 7, Decision.OPT_IN)
    await stage.storage.set_standing_consent(GUILD, 8, Decision.OPT_IN)
    session = await stage.start()
    for person in (7, 8):
        await stage.moves(person, None, CHANNEL)
    if by == "going":
        await stage.moves(7, CHANNEL, None)
    else:
        await session.people.exclude(7, stage.press())
    told = stage.surface.of
    while not told(MessageKind.NOTICE):
        await stage.clock.advance(notices.GATHER_S)
        await asyncio.sleep(0.01)
    assert [message.mention for message in told(MessageKind.NOTICE)] == [(8,)]
    if by == "going":
        await stage.moves(7, None, CHANNEL)
        while len(told(MessageKind.NOTICE)) < 2:
            await stage.clock.advance(notices.GATHER_S)
            await asyncio.sleep(0.01)
        assert told(MessageKind.NOTICE)[1].mention == (7,)
    await stage.end()


async def test_nothing_is_asked_of_the_voice_channel_once_the_session_ends(stage: Stage) -> None:
    """A word on being deafened names the channel: after the word on leaving it, it is a request to join."""
    session = await stage.start()
    await session.people.include(GUEST, stage.press())
    assert stage.surface.deaf is False
    session.end(EndReason.STOPPED)
    await session.people.exclude(GUEST, stage.press())
    assert not session.consents(GUEST)
    assert stage.surface.deaf is False
    await stage.over()


@pytest.mark.parametrize(
    ("happening", "reason", "state"),
    [
        ("kicked", EndReason.KICKED, SessionState.ENDED),
        ("moved", EndReason.MOVED, SessionState.ENDED),
        ("channel_deleted", EndReason.CHANNEL_DELETED, SessionState.ENDED),
        ("permissions", EndReason.PERMISSIONS, SessionState.ENDED),
        ("removed", EndReason.KICKED, SessionState.ENDED),
        ("link_failed", EndReason.VOICE_FAILED, SessionState.INTERRUPTED),
        ("shutdown", EndReason.SHUTDOWN, SessionState.ENDED),
        ("gateway_lost", EndReason.CONNECTION_LOST, SessionState.INTERRUPTED),
    ],
)
async def test_every_end_is_stored_and_said(
    stage: Stage, happening: str, reason: EndReason, state: SessionState
) -> None:
    session = await stage.start()
    if happening == "kicked":
        await stage.moves(99, CHANNEL, None, itself=True)
    elif happening == "moved":
        await stage.moves(99, CHANNEL, 21, itself=True)
    elif happening == "channel_deleted":
        stage.manager.channel_deleted(GUILD, CHANNEL)
    elif happening == "permissions":
        stage.manager.permission_lost(GUILD)
    elif happening == "removed":
        stage.manager.guild_removed(GUILD)
    elif happening == "link_failed":
        stage.voice.link.on_state(LinkState.FAILED, Reason.GAVE_UP)
    else:
        await stage.manager.end_all(reason)
    await stage.over()
    record = await stage.storage.session(session.record.id)
    assert record is not None
    assert (record.state, record.end_reason) == (state, reason.value)
    assert texts.END_REASONS[reason.value] in stage.surface.panel.text
    assert stage.surface.messages[-1].card.title == texts.SUMMARY_TITLE
    assert stage.manager.of(GUILD) is None


async def test_everybody_left_ends_it_after_a_minute_unless_somebody_comes_back(stage: Stage) -> None:
    session = await stage.start()
    for user in (HOST, GUEST, SHY):
        await stage.moves(user, CHANNEL, None)
    await stage.clock.advance(50)
    assert texts.PANEL_ALONE in str(stage.surface.panel.fields)
    await stage.moves(HOST, None, CHANNEL)
    await stage.clock.advance(70)
    assert not session.ending
    await stage.moves(HOST, CHANNEL, 21)
    await stage.clock.advance(61)
    await stage.over()
    record = await stage.storage.session(session.record.id)
    assert record is not None
    assert record.end_reason == "everyone_left"


async def test_six_hours_end_it(stage: Stage) -> None:
    session = await stage.start()
    await stage.clock.advance(10)
    stage.clock._at_s += 6 * 3600
    await stage.clock.advance(2)
    await stage.over()
    record = await stage.storage.session(session.record.id)
    assert record is not None
    assert record.end_reason == "time_limit"


async def test_while_the_link_rejoins_its_own_leaving_is_no_kick(stage: Stage) -> None:
    session = await stage.start()
    stage.voice.link.on_state(LinkState.RECONNECTING, Reason.CONNECTION_LOST)
    await stage.moves(99, CHANNEL, None, itself=True)
    assert not session.ending
    await stage.clock.advance(6)
    assert texts.LINK_STATES["reconnecting"] in str(stage.surface.panel.fields)
    stage.voice.link.on_state(LinkState.LISTENING, Reason.REJOINED)
    await stage.clock.advance(6)
    assert texts.LINK_STATES["reconnecting"] not in str(stage.surface.panel.fields)


async def test_recovery_leaves_a_new_session_its_status_line_and_its_connection(stage: Stage) -> None:
    old = await stage.start()
    await stage.end()
    stage.surface.line = texts.VOICE_STATUS  # what a killed process left
    await stage.start()
    await clear_status(stage.app, old.record, stage.surface)
    assert stage.surface.looks == 0
    await stage.end()
    stage.surface.line = texts.VOICE_STATUS
    await clear_status(stage.app, old.record, stage.surface)
    assert stage.surface.looks == 1
    assert stage.surface.lines[-1] is None


async def test_nothing_begins_any_more_once_the_program_stops(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what was on its way into a session, nor anything after Discord was lost in the meantime."""
    starting, go = asyncio.Event(), asyncio.Event()
    start_session = stage.storage.start_session

    async def slow(new: NewSession) -> SessionRecord:
        starting.set()
        await go.wait()
        return await start_session(new)

    monkeypatch.setattr(stage.storage, "start_session", slow)
    begun = asyncio.create_task(stage.start())
    await starting.wait()
    await stage.manager.end_all(EndReason.SHUTDOWN)
    await stage.manager.end_all(EndReason.CONNECTION_LOST)
    go.set()
    with pytest.raises(NotPossible):
        await begun
    assert stage.manager.running() == []
    assert not stage.surface.messages
    with pytest.raises(NotPossible):
        await stage.start()
    (record,) = await stage.storage.sessions()
    assert record.state is SessionState.INTERRUPTED


async def test_a_notice_that_discord_is_slow_to_answer_for_is_taken_back_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discord shows it, and says so long after nobody waits any more."""
    monkeypatch.setattr(notices, "NOTICE_S", 1.0)
    monkeypatch.setattr(notices, "chime_pcm", lambda: b"")  # the one that is there in time, on a slow machine too
    answers = asyncio.Event()
    show_status, post = stage.surface.show_status, stage.surface.post

    async def slow_status(text: str | None) -> None:
        await show_status(text)
        await answers.wait()

    async def slow_post(card: Card, kind: MessageKind, **about: Any) -> Posted:
        posted = await post(card, kind, **about)
        await answers.wait()
        return posted

    monkeypatch.setattr(stage.surface, "show_status", slow_status)
    monkeypatch.setattr(stage.surface, "post", slow_post)
    session = await stage.start()

    def panel_id() -> int | None:
        return session.panel.message_id

    assert panel_id() is None
    answers.set()
    async with asyncio.timeout(60):
        while panel_id() is None:
            await asyncio.sleep(0)
    await stage.end()
    assert stage.surface.lines == [texts.VOICE_STATUS, None]
    (panel,) = (message for message in stage.surface.messages if message.kind is MessageKind.PANEL)
    assert panel.cards[-1].title == texts.PANEL_ENDED_TITLE


async def test_a_status_line_that_discord_may_have_taken_is_put_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session ends before Discord says whether it stands there."""
    monkeypatch.setattr(notices, "NOTICE_S", 1.0)
    monkeypatch.setattr(notices, "chime_pcm", lambda: b"")
    show_status = stage.surface.show_status

    async def slow_status(text: str | None) -> None:
        await show_status(text)
        if text is not None:
            await asyncio.Event().wait()

    monkeypatch.setattr(stage.surface, "show_status", slow_status)
    stage.surface.line = "Quiet, please"
    await stage.start()
    await stage.end()
    assert stage.surface.lines == [texts.VOICE_STATUS, "Quiet, please"]


async def test_a_status_line_that_discord_is_slow_to_put_back_is_put_back_after_the_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "CLEAR_S", 0.05)
    show, slow = stage.surface.show_status, asyncio.Event()

    async def slowly(text: str | None) -> None:
        if text != texts.VOICE_STATUS and not slow.is_set():
            slow.set()
            await asyncio.Event().wait()
        await show(text)

    stage.surface.line = "Quiet, please"
    monkeypatch.setattr(stage.surface, "show_status", slowly)
    await stage.start()
    await stage.end()
    assert slow.is_set()
    assert (stage.surface.line, stage.surface.looks) == ("Quiet, please", 1)
    await stage.start()
    await stage.end()
    assert stage.surface.looks == 1


async def test_nothing_is_heard_after_the_end_although_a_notice_is_still_being_noted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow database is left in mid-query by nobody, and the session waits for it."""
    noting, noted = asyncio.Event(), asyncio.Event()
    post = stage.surface.post

    async def slow(card: Card, kind: MessageKind, **about: Any) -> Posted:
        posted = await post(card, kind, **about)
        if kind is MessageKind.NOTICE:
            noting.set()
            await to_the_end(noted.wait())
        return posted

    monkeypatch.setattr(stage.surface, "post", slow)
    await stage.storage.set_standing_consent(GUILD, 7, Decision.OPT_IN)
    session = await stage.start()
    await session.people.include(HOST, stage.press())
    await stage.moves(7, None, CHANNEL)
    while not noting.is_set():
        await stage.clock.advance(notices.GATHER_S)
        await asyncio.sleep(0.01)
    session.end(EndReason.STOPPED)
    heard = session.consents(HOST)
    noted.set()
    await stage.over()
    assert not heard


async def test_whoever_stops_it_is_answered_whatever_breaks_at_its_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_: object) -> None:
        raise RuntimeError("unforeseen")

    session = await stage.start()
    monkeypatch.setattr(session._farewell, "store", breaks)
    async with asyncio.timeout(60):
        assert await stage.manager.stop(GUILD) is session
    await stage.over()
    assert stage.manager.of(GUILD) is None

"""A whole session against a real database, with a fake channel, a fake voice link and a fake model."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from bot.cards import Buttons, Card
from bot.errors import NotPossible, VoiceFailed
from bot.listening import deafening, moments, summary
from bot.listening.consent import PressResult
from bot.listening.ends import EndReason
from bot.listening.farewell import AGAIN_S
from bot.listening.surface import Posted
from bot.texts import english
from bot.texts import english as texts
from ser_engine.errors import WorkerLost
from storage.errors import StorageUnavailable
from storage.records import Decision, MessageKind, ServerSettings, SessionState, SummaryPlace
from tests.fakes.clock import settle
from tests.fakes.listening import CHANNEL, GUEST, GUILD, HOST, SHY, Stage, told_live
from tests.fakes.log import written
from tests.fakes.voice_link import FakeVoice, tone_burst

pytestmark = pytest.mark.integration


async def test_notice_in_three_places_before_anybody_is_included(stage: Stage) -> None:
    session = await stage.start()
    assert stage.surface.panel.title == texts.PANEL_TITLE
    assert stage.surface.line == texts.VOICE_STATUS
    assert len(stage.voice.link.played) == 1
    assert stage.surface.deaf is True
    assert [session.consents(user) for user in (HOST, GUEST, SHY)] == [False, False, False]
    assert english("PANEL_EXCLUDED", n=3) in stage.surface.panel.text
    assert f"<@{SHY}>" not in str(stage.surface.panel)


async def test_who_decides_again_before_discord_says_how_the_bot_stands_is_shown_then(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Discord's client remembers is what Discord said last, and a word that agrees with it is not sent."""
    session = await stage.start()
    said, asked = True, list[bool]()

    async def deafen(*, deaf: bool) -> None:
        if deaf != said:
            asked.append(deaf)

    monkeypatch.setattr(stage.surface, "deafen", deafen)
    await session.people.include(GUEST, stage.press())
    await session.people.exclude(GUEST, stage.press())
    assert asked == [False]
    said = False
    await stage.moves(99, CHANNEL, CHANNEL, itself=True)
    assert asked == [False, True]
    said = True
    await stage.moves(99, CHANNEL, CHANNEL, itself=True)
    assert asked == [False, True]


async def test_a_press_is_answered_though_discord_takes_no_word_on_being_deafened(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await stage.start()

    async def never(*, deaf: bool) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(deafening, "WAIT_S", 0.05)
        patched.setattr(stage.surface, "deafen", never)
        async with asyncio.timeout(30):
            assert await session.people.include(GUEST, stage.press()) is PressResult.INCLUDED
    assert stage.surface.deaf is True
    await stage.moves(HOST, CHANNEL, None)  # the next change says it again
    assert stage.surface.deaf is False


async def test_only_included_people_reach_the_database(stage: Stage) -> None:
    session = await stage.start()
    assert await session.people.include(GUEST, stage.press()) is PressResult.INCLUDED
    assert stage.surface.deaf is False
    for user in (GUEST, SHY, 12345):
        stage.voice.link.hear(user, tone_burst())
    await stage.said(session, 1)
    await stage.end()
    report = await stage.storage.report(session.record.id)
    assert report is not None
    assert [person.participant.user_id for person in report.participants] == [GUEST]
    assert len(report.participants[0].windows) == 1
    assert session.counters()["dropped_excluded"] > 0
    assert report.session.counters["dropped_excluded"] > 0


async def test_a_late_joiner_starts_excluded_and_a_standing_opt_in_is_included(stage: Stage) -> None:
    await stage.storage.set_standing_consent(GUILD, 8, Decision.OPT_IN)
    session = await stage.start()
    await stage.moves(7, None, CHANNEL)
    await stage.moves(8, None, CHANNEL)
    assert (session.consents(7), session.consents(8)) == (False, True)


@pytest.mark.parametrize(
    ("asked", "event"),
    [("standing_consent", "standing_answer_not_read"), ("include_participant", "participant_not_written")],
)
async def test_who_is_not_included_for_want_of_the_database_is_logged_and_included_once_it_is_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, asked: str, event: str
) -> None:
    async def away(*_: object) -> None:
        raise StorageUnavailable("the database is away")

    await stage.storage.set_standing_consent(GUILD, 8, Decision.OPT_IN)
    session = await stage.start()
    with monkeypatch.context() as meanwhile, written("warning") as log:
        meanwhile.setattr(stage.storage, asked, away)
        await stage.moves(8, None, CHANNEL)
    assert not session.consents(8)
    assert event in log.getvalue()
    assert 8 in session.people.unsettled_ids()
    stage.voice.link.hear(8, tone_burst())
    present = [*stage.present, (8, False)]
    await stage.manager.seen_present(GUILD, present, unasked=True)  # still not
    assert session.consents(8) is (asked == "include_participant")
    await stage.manager.seen_present(GUILD, present)
    assert session.consents(8)
    assert session.people.unsettled_ids() == []


async def test_an_answer_that_is_read_late_comes_before_what_was_pressed_meanwhile(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nobody knows of it, an opt-out hinders no press; once it is read it holds."""

    async def away(*_: object) -> None:
        raise StorageUnavailable("the database is away")

    await stage.storage.set_standing_consent(GUILD, 7, Decision.OPT_OUT)
    await stage.storage.set_standing_consent(GUILD, 8, Decision.OPT_IN)
    session = await stage.start()
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(stage.storage, "standing_consent", away)
        await stage.moves(7, None, CHANNEL)
        await stage.moves(8, None, CHANNEL)
    assert await session.people.include(7, stage.press()) is PressResult.INCLUDED
    await session.people.exclude(8, stage.press())
    await stage.manager.seen_present(GUILD, [*stage.present, (7, False), (8, False)])
    assert not session.consents(7)
    assert not session.consents(8)
    assert session.people.unsettled_ids() == []


async def test_the_summary_has_the_databases_figures_and_a_picture(stage: Stage) -> None:
    session = await stage.start()
    await session.people.include(HOST, stage.press())
    await session.people.include(GUEST, stage.press())
    for _ in range(2):
        stage.voice.link.hear(HOST, tone_burst(3.5))
        stage.voice.link.hear(GUEST, tone_burst(1.5, 300))
    await session.mark(HOST, "a good one")
    await stage.said(session, 4)
    await stage.end()
    report = await stage.storage.report(session.record.id)
    assert report is not None
    posted = stage.surface.messages[-1]
    assert posted.card.title == texts.SUMMARY_TITLE
    for person in report.participants:
        assert f"<@{person.participant.user_id}> spoke {texts.duration(person.talk_s)}" in posted.card.text
    assert "a good one" in dict(posted.card.fields)[texts.MOMENTS_TITLE]
    assert dict(posted.card.fields)[texts.SUMMARY_REPORT].endswith(session.record.id)
    assert posted.picture is not None
    assert posted.picture.startswith(b"\x89PNG")
    assert stage.surface.panel.buttons is Buttons.NONE
    assert stage.surface.line is None
    assert stage.voice.link.closed


@pytest.mark.parametrize("place", [SummaryPlace.PARTICIPANTS, SummaryPlace.VOICE_CHAT])
async def test_no_picture_is_drawn_that_nobody_will_see(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, place: SummaryPlace
) -> None:
    """The summary is closed, or no channel is left for it and the one who started it reads the words."""
    drawn: list[str] = []
    monkeypatch.setattr(summary, "_draw", lambda report, *_: drawn.append(report.session.id))
    stage.surface.server = ServerSettings(guild_id=GUILD, summary_place=place)
    session = await stage.start()
    await session.people.include(HOST, stage.press())
    stage.voice.link.hear(HOST, tone_burst())
    await stage.said(session, 1)
    if place is SummaryPlace.VOICE_CHAT:
        stage.surface.places = []
    await stage.end()
    told = stage.surface.told if place is SummaryPlace.VOICE_CHAT else stage.surface.messages[-1].cards
    assert [card.title for card in told] == [texts.SUMMARY_TITLE]
    assert not drawn


async def test_live_events_follow_the_session_to_its_end(stage: Stage) -> None:
    session = await stage.start()
    await session.people.include(GUEST, stage.press())
    stage.voice.link.hear(GUEST, tone_burst())
    await stage.said(session, 1)
    await stage.end()
    events = [(e.kind, e.data) async for e in told_live(stage.bus, session.record.id, last_id=0)]
    kinds = [kind for kind, _ in events]
    assert {"participant", "window", "state"} <= set(kinds)
    assert kinds[-1] == "state"
    assert events[-1][1] == {"state": "ended", "link": None, "reason": "stopped"}


async def test_no_notice_no_session(stage: Stage) -> None:
    stage.surface.broken |= {"post", "show_status"}
    play = stage.voice

    async def silent(*args: object, **kwargs: object) -> object:
        link = await FakeVoice.__call__(play, *args, **kwargs)  # type: ignore[arg-type]

        async def no_sound(_: bytes) -> bool:
            link.counts["dropped_excluded"] = 3  # somebody talks meanwhile
            return False

        link.play = no_sound  # type: ignore[assignment]
        return link

    stage.app.connect = silent  # type: ignore[assignment]
    with pytest.raises(NotPossible, match="no notice"):
        await stage.start()
    assert stage.voice.link.closed
    assert stage.manager.of(GUILD) is None
    (record,) = await stage.storage.sessions()
    assert (record.state, record.end_reason) == (SessionState.INTERRUPTED, "could_not_start")
    assert stage.manager.counters()["dropped_excluded"] == 3, "a total never goes down"


async def test_one_notice_is_enough(stage: Stage) -> None:
    stage.surface.broken |= {"post", "show_status"}
    session = await stage.start()
    assert stage.manager.of(GUILD) is session


async def test_voice_that_cannot_be_joined_is_said_and_leaves_no_session(stage: Stage) -> None:
    stage.voice.fail_with = TimeoutError()
    with pytest.raises(VoiceFailed):
        await stage.start()
    assert stage.manager.of(GUILD) is None
    assert stage.surface.panel.title == texts.PANEL_ENDED_TITLE
    stage.voice.fail_with = None
    await stage.start()


async def test_one_session_a_server(stage: Stage) -> None:
    await stage.start()
    with pytest.raises(NotPossible, match="already"):
        await stage.start()


async def test_windows_that_recognition_loses_are_counted_and_the_session_goes_on(stage: Stage) -> None:
    session = await stage.start()
    await session.people.include(GUEST, stage.press())
    stage.backend.fail_with = WorkerLost("gone")
    stage.voice.link.hear(GUEST, tone_burst())
    await stage.counted(session, "predictions_lost", 1)
    stage.backend.fail_with = None
    stage.voice.link.hear(GUEST, tone_burst())
    await stage.said(session, 1)


async def test_windows_of_another_model_are_counted_and_say_so_live(stage: Stage) -> None:
    session = await stage.start()
    await session.people.include(GUEST, stage.press())
    assert not session.snapshot().pressed
    stage.backend.engine = "fast"
    stage.voice.link.hear(GUEST, tone_burst())
    await stage.said(session, 1)
    assert session.snapshot().pressed
    assert session.counters()["windows_degraded"] == 1
    stage.backend.engine = None
    stage.voice.link.hear(GUEST, tone_burst())
    await stage.said(session, 2)
    assert session.counters()["windows_degraded"] == 1
    events = [event.data.get("engine") for event in stage.bus.recent(session.record.id) if event.kind == "window"]
    assert events == ["fast", None]
    await stage.manager.stop(GUILD)
    report = await stage.storage.report(session.record.id)
    assert report is not None
    assert [window.engine for window in report.participants[0].windows] == ["fast", None]


async def test_missed_departures_are_caught_up_with(stage: Stage) -> None:
    session = await stage.start()
    await session.people.include(GUEST, stage.press())
    await stage.manager.seen_present(GUILD, [(HOST, False), (5, False)])
    assert session.people.book.present_ids() == [HOST, 5]
    assert not session.consents(GUEST)
    await settle()


async def test_opting_in_while_a_session_runs_includes_who_is_in_the_channel(stage: Stage) -> None:
    session = await stage.start()
    await stage.manager.decide(GUILD, GUEST, Decision.OPT_IN, stage.press())
    await stage.manager.decide(GUILD, 77, Decision.OPT_IN, stage.press())  # somebody who is not in the channel
    assert session.consents(GUEST)
    assert not session.consents(77)
    await stage.manager.decide(GUILD, GUEST, Decision.OPT_OUT, stage.press())
    assert not session.consents(GUEST)
    assert await stage.storage.standing_consent(GUILD, GUEST) is Decision.OPT_OUT


async def test_a_standing_answer_that_was_pressed_earlier_does_not_overwrite_a_later_one(stage: Stage) -> None:
    await stage.start()
    earlier, later = stage.press(), stage.press()
    assert await stage.manager.decide(GUILD, GUEST, Decision.OPT_OUT, later)
    assert not await stage.manager.decide(GUILD, GUEST, Decision.OPT_IN, earlier)
    assert await stage.storage.standing_consent(GUILD, GUEST) is Decision.OPT_OUT


async def test_who_opts_in_from_elsewhere_takes_no_part_before_they_come(stage: Stage) -> None:
    """A report is for those who took part: nobody gets into a running one by a command from another channel."""
    session, absent = await stage.start(), 77
    await stage.manager.decide(GUILD, absent, Decision.OPT_IN, stage.press())
    assert absent not in {person.user_id for person in await stage.storage.participants(session.record.id)}
    assert not await stage.storage.may_open(session.record.id, absent)
    await stage.moves(absent, None, CHANNEL)
    assert session.consents(absent)
    assert await stage.storage.may_open(session.record.id, absent)
    await stage.end()


@pytest.mark.parametrize("read", ["edition", None])
async def test_the_end_is_stored_and_summed_up_once_the_database_is_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, read: str | None
) -> None:
    """Else it would be live for ever: retention deletes what has ended. On a full disk what was stored can be read, and
    yet there is one summary, of everything."""

    async def away(*_: object, **__: object) -> None:
        raise StorageUnavailable("the database is away")

    post, tries = stage.surface.post, list[MessageKind]()

    async def at_the_second_try(card: Card, kind: MessageKind, **more: Any) -> Posted:
        tries.append(kind)
        if tries.count(MessageKind.SUMMARY) == 1:
            raise aiohttp.ServerDisconnectedError
        return await post(card, kind, **more)

    session = await stage.start()
    monkeypatch.setattr(stage.surface, "post", at_the_second_try)
    await session.people.include(HOST, stage.press())
    stage.voice.link.hear(HOST, tone_burst(1.5))
    await stage.said(session, 1)
    with monkeypatch.context() as meanwhile:
        for step in filter(None, ("add_results", "end_session", read)):
            meanwhile.setattr(stage.storage, step, away)
        await stage.manager.stop(GUILD, EndReason.STOPPED)
        over_at = datetime.now(UTC)
        await stage.clock.advance(3 * AGAIN_S)
        left = await stage.storage.session(session.record.id)
        assert left is not None
        assert left.state is SessionState.LIVE
    await stage.over()
    report = await stage.storage.report(session.record.id)
    assert report is not None
    assert (report.session.state, report.session.end_reason) == (SessionState.ENDED, "stopped")
    assert report.session.ended_at is not None
    assert report.session.ended_at <= over_at
    assert len(report.participants[0].windows) == 1
    (summary,) = stage.surface.of(MessageKind.SUMMARY)
    assert f"<@{HOST}>" in summary.card.text


async def test_the_marks_of_one_person_have_a_bound(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "MAX_MARKS", 3)
    session = await stage.start()
    answers = await asyncio.gather(*(session.mark(GUEST) for _ in range(5)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, NotPossible)]
    assert [str(answer) for answer in refused] == 2 * [english("MARKS_FULL", n=3)]
    assert await session.mark(HOST, "somebody else still can") >= 0

    async def away(*_: object, **__: object) -> None:
        raise StorageUnavailable("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(stage.storage, "add_moment", away)
        with pytest.raises(StorageUnavailable):
            await session.mark(HOST)
    for _ in range(2):
        await session.mark(HOST)  # what was not kept does not count
    with pytest.raises(NotPossible):
        await session.mark(HOST)
    await stage.end()
    report = await stage.storage.report(session.record.id)
    assert report is not None
    assert len(report.moments) == 6
    assert (report.session.counters["moments"], report.session.counters["marks_refused"]) == (6, 3)

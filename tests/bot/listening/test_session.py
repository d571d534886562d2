"""A whole session against a real database, with a fake channel, a fake voice link and a fake model."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import discord
import pytest

from bot.app import App
from bot.cards import Buttons
from bot.errors import NotPossible, VoiceFailed
from bot.listening.consent import PressResult
from bot.listening.ends import EndReason
from bot.listening.live import LiveBus
from bot.listening.manager import StartRequest, VoiceChange
from bot.listening.moments import Moments
from bot.listening.recovery import clear_status
from bot.listening.session import ListeningSession
from bot.settings import load_settings
from bot.texts import english
from bot.texts import english as texts
from bot.voice.states import LinkState, Reason
from ser_engine.errors import WorkerLost
from storage import Storage, WindowWriter
from storage.errors import StorageUnavailable
from storage.records import Decision, MomentRecord, NewSession, SessionRecord, SessionState
from tests.fakes.backend import FakeBackend
from tests.fakes.clock import FakeClock, settle
from tests.fakes.surface import FakeSurface
from tests.fakes.voice_link import FakeVoice, tone_burst

pytestmark = pytest.mark.integration

GUILD, CHANNEL, HOST, GUEST, SHY = 10, 20, 1, 2, 3


class Held:
    """A call of storage that waits the first time it is about one person."""

    def __init__(self, call: Callable[..., Awaitable[Any]], *, first: int) -> None:
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        self._call = call
        self._first = first

    async def __call__(self, guild_id: int, user_id: int, *rest: Any) -> Any:
        if user_id == self._first and not self.asked.is_set():
            self.asked.set()
            await self.go.wait()
        return await self._call(guild_id, user_id, *rest)


class Stage:
    """One server, one channel, three people."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.clock = FakeClock()
        self.voice = FakeVoice()
        self.backend = FakeBackend()
        self.bus = LiveBus()
        self.surface = FakeSurface(names={HOST: "Mara", GUEST: "Theo"})
        self.tasks: set[asyncio.Task[None]] = set()
        self.present = [(HOST, False), (GUEST, False), (SHY, False), (99, True)]
        self._presses = itertools.count(1)
        self.app = App(
            settings=load_settings(env_file=None),
            storage=storage,
            writer=WindowWriter(storage),
            backend=self.backend,
            bus=self.bus,
            clock=self.clock,
            client=self._no_client,
            connected=self._connected,
            connect=self.voice,
            surface=lambda record, asked_in, server: self.surface,
            spawn=self._spawn,
            report_url=lambda session_id: f"http://here/sessions/{session_id}",
            share_url=lambda token: None,
        )
        self.manager = self.app.sessions

    def _no_client(self) -> discord.Client:
        raise RuntimeError("a session asks its surface, not the client")

    async def _connected(self) -> None:
        return

    def _spawn(self, work: object, name: str) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)  # type: ignore[arg-type]
        self.tasks.add(task)

    def press(self) -> int:
        """The id of an interaction that happens now."""
        return next(self._presses)

    async def start(self) -> ListeningSession:
        await self.backend.start()
        return await self.manager.start(
            StartRequest(
                guild_id=GUILD,
                channel_id=CHANNEL,
                channel="a channel",
                started_by=HOST,
                present=lambda: self.present,
                asked_in=CHANNEL,
            )
        )

    async def end(self, reason: EndReason = EndReason.STOPPED) -> None:
        await self.manager.stop(GUILD, reason)
        await self.over()

    async def over(self) -> None:
        """Until nothing runs, with the fake clock moving on as it does."""
        while any(not task.done() for task in self.tasks):
            await self.clock.advance(0.5)
            await asyncio.sleep(0.01)

    async def said(self, session: ListeningSession, windows: int) -> None:
        """Until so many windows were recognised."""
        async with asyncio.timeout(10):
            while session.counters()["predictions"] < windows:
                await asyncio.sleep(0.01)

    async def moves(self, user: int, before: int | None, after: int | None, *, itself: bool = False) -> None:
        await self.manager.voice_changed(
            VoiceChange(
                guild_id=GUILD,
                user_id=user,
                bot=itself,
                itself=itself,
                before_id=before,
                after_id=after,
                server_deaf=False,
            )
        )


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    storage = await Storage.open(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}", key=b"k" * 32)
    stage = Stage(storage)
    yield stage
    for session in stage.manager.running():
        session.end(EndReason.STOPPED)
    await stage.over()
    await storage.close()


async def test_notice_in_three_places_before_anybody_is_included(stage: Stage) -> None:
    session = await stage.start()
    assert stage.surface.panel.title == texts.PANEL_TITLE
    assert stage.surface.line == texts.VOICE_STATUS
    assert len(stage.voice.link.played) == 1
    assert stage.surface.deaf is True
    assert [session.consents(user) for user in (HOST, GUEST, SHY)] == [False, False, False]
    assert english("PANEL_EXCLUDED", n=3) in stage.surface.panel.text
    assert f"<@{SHY}>" not in str(stage.surface.panel)


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


async def test_withdrawing_discards_what_is_in_the_making(stage: Stage) -> None:
    session = await stage.start()
    await session.people.include(GUEST, stage.press())
    assert stage.voice.link.discarded == [GUEST]  # what they said before is not heard either
    stage.voice.link.hear(GUEST, tone_burst(1.2), then_quiet=False)
    assert await session.people.exclude(GUEST, stage.press()) is PressResult.EXCLUDED
    assert stage.voice.link.discarded == [GUEST, GUEST]
    stage.voice.link.hear(GUEST, tone_burst(1.2))
    await stage.end()
    report = await stage.storage.report(session.record.id)
    assert report is not None
    assert sum(len(person.windows) for person in report.participants) == 0
    assert report.participants[0].participant.withdrawn_at is not None


async def test_a_voice_is_compared_with_itself_until_its_speaker_withdraws(stage: Stage) -> None:
    """How somebody sounded stays in memory, for the people included, and goes with *Leave me out*."""
    stage.backend.compares = True
    session = await stage.start()
    for user in (GUEST, HOST):
        await session.people.include(user, stage.press())
        stage.voice.link.hear(user, tone_burst())
    stage.voice.link.hear(SHY, tone_burst())
    await stage.said(session, 2)
    held = stage.backend.baselines
    assert held is not None
    assert set(held) == {str(GUEST), str(HOST)}
    assert set(session.snapshot().new_voices) == {GUEST, HOST}
    hers = held[str(GUEST)]
    await session.people.exclude(GUEST, stage.press())
    assert set(held) == {str(HOST)}
    assert hers.heard == 0
    await session.people.include(GUEST, stage.press())
    assert set(session.snapshot().new_voices) == {HOST}
    his = held[str(HOST)]
    await stage.end()
    assert not held
    assert his.heard == 0


async def test_a_window_recognised_after_its_speaker_withdrew_leaves_no_baseline(stage: Stage) -> None:
    stage.backend.compares, stage.backend.delay_s = True, 0.2
    session = await stage.start()
    await session.people.include(GUEST, stage.press())
    stage.voice.link.hear(GUEST, tone_burst())
    async with asyncio.timeout(10):
        while stage.backend.baselines is None:  # nobody has asked yet
            await asyncio.sleep(0.01)
        await session.people.exclude(GUEST, stage.press())
        while session.counters()["windows_withdrawn"] == 0:
            await asyncio.sleep(0.01)
    assert not stage.backend.baselines
    await stage.end()


async def test_a_window_being_recognised_while_its_speaker_withdraws_is_dropped(stage: Stage) -> None:
    stage.backend.delay_s = 0.2
    session = await stage.start()
    await session.people.include(GUEST, stage.press())
    stage.voice.link.hear(GUEST, tone_burst())
    await asyncio.sleep(0.05)
    await session.people.exclude(GUEST, stage.press())
    await stage.end()
    assert session.counters()["windows_withdrawn"] == 1
    report = await stage.storage.report(session.record.id)
    assert report is not None
    assert sum(len(person.windows) for person in report.participants) == 0


async def test_a_late_joiner_starts_excluded_and_a_standing_opt_in_is_included(stage: Stage) -> None:
    await stage.storage.set_standing_consent(GUILD, 8, Decision.OPT_IN)
    session = await stage.start()
    await stage.moves(7, None, CHANNEL)
    await stage.moves(8, None, CHANNEL)
    assert (session.consents(7), session.consents(8)) == (False, True)


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
    summary = stage.surface.messages[-1]
    assert summary.card.title == texts.SUMMARY_TITLE
    for person in report.participants:
        assert f"<@{person.participant.user_id}> spoke {texts.duration(person.talk_s)}" in summary.card.text
    assert "a good one" in dict(summary.card.fields)[texts.MOMENTS_TITLE]
    assert dict(summary.card.fields)[texts.SUMMARY_REPORT].endswith(session.record.id)
    assert summary.picture is not None
    assert summary.picture.startswith(b"\x89PNG")
    assert stage.surface.panel.buttons is Buttons.NONE
    assert stage.surface.line is None
    assert stage.voice.link.closed


async def test_live_events_follow_the_session_to_its_end(stage: Stage) -> None:
    session = await stage.start()
    await session.people.include(GUEST, stage.press())
    stage.voice.link.hear(GUEST, tone_burst())
    await stage.said(session, 1)
    await stage.end()
    events = [(e.kind, e.data) async for e in stage.bus.subscribe(session.record.id, last_id=0)]
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


async def test_windows_that_recognition_loses_are_counted_and_the_session_goes_on(stage: Stage) -> None:
    session = await stage.start()
    await session.people.include(GUEST, stage.press())
    stage.backend.fail_with = WorkerLost("gone")
    stage.voice.link.hear(GUEST, tone_burst())
    async with asyncio.timeout(5):
        while not session.counters()["predictions_lost"]:
            await asyncio.sleep(0.01)
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


async def test_deleting_a_persons_data_takes_them_out_first(stage: Stage) -> None:
    session = await stage.start()
    await session.people.include(GUEST, stage.press())
    stage.voice.link.hear(GUEST, tone_burst())
    await stage.said(session, 1)
    await stage.manager.leave_everything(GUEST, GUILD, stage.press())
    await stage.storage.delete_person(GUEST, GUILD)
    stage.voice.link.hear(GUEST, tone_burst())
    await stage.end()
    report = await stage.storage.report(session.record.id)
    assert report is not None
    assert report.participants == ()


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


async def test_a_no_counts_although_the_database_is_away(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await stage.start()
    await session.people.include(GUEST, stage.press())

    async def away(*_: object) -> None:
        raise StorageUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(stage.storage, "withdraw_participant", away)
        assert await session.people.exclude(GUEST, stage.press()) is PressResult.EXCLUDED
        assert not session.consents(GUEST)
        patched.setattr(stage.storage, "include_participant", away)
        with pytest.raises(StorageUnavailable):
            await session.people.include(SHY, stage.press())
        assert SHY not in session.people.book.included_ids()
    await stage.end()
    assert [p.withdrawn_at is None for p in await stage.storage.participants(session.record.id)] == [False]


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


async def test_what_was_said_before_leaving_stays_out_although_its_speaker_is_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.backend.compares = True
    session = await stage.start()
    await session.people.include(GUEST, stage.press())
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slowly(_: float) -> None:
        asked.set()
        await answer.wait()

    monkeypatch.setattr(stage.backend, "_answer", slowly)
    stage.voice.link.hear(GUEST, tone_burst())
    await asked.wait()
    await session.people.exclude(GUEST, stage.press())
    await session.people.include(GUEST, stage.press())
    answer.set()
    async with asyncio.timeout(10):
        while not session.counters()["windows_withdrawn"]:
            await asyncio.sleep(0.01)
    assert session.counters()["predictions"] == 0
    assert not stage.backend.baselines
    stage.voice.link.hear(GUEST, tone_burst())
    await stage.said(session, 1)


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


async def test_a_moment_of_somebody_whose_row_was_deleted_is_lost_and_ends_nothing(stage: Stage) -> None:
    session = await stage.start()
    await session.people.include(GUEST, stage.press())
    participant = session.people.participant(GUEST)
    assert participant is not None
    await stage.storage.delete_person(GUEST, GUILD)
    moments = Moments(session.record.id, stage.app)
    await moments.add(MomentRecord(at_s=1.0, kind="shift", participant_id=participant.id, text="begins to sound sad"))
    assert moments.stored == 0

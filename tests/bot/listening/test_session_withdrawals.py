"""Somebody leaves a session: what was said, compared and stored about them goes."""

from __future__ import annotations

import pytest

from bot.listening.consent import PressResult
from bot.listening.moments import Moments
from storage.errors import StorageUnavailable
from storage.records import MessageKind, MomentRecord
from tests.fakes.listening import GUEST, GUILD, HOST, SHY, Stage
from tests.fakes.voice_link import tone_burst

pytestmark = pytest.mark.integration


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
    stage.backend.compares = True
    session = await stage.start()
    await session.people.include(GUEST, stage.press())
    await stage.is_being_recognised(GUEST)
    await session.people.exclude(GUEST, stage.press())
    stage.backend.may_answer.set()
    await stage.counted(session, "windows_withdrawn", 1)
    assert not stage.backend.baselines
    await stage.end()


async def test_a_window_being_recognised_while_its_speaker_withdraws_is_dropped(stage: Stage) -> None:
    session = await stage.start()
    await session.people.include(GUEST, stage.press())
    await stage.is_being_recognised(GUEST)
    await session.people.exclude(GUEST, stage.press())
    stage.backend.may_answer.set()
    await stage.end()
    assert session.counters()["windows_withdrawn"] == 1
    report = await stage.storage.report(session.record.id)
    assert report is not None
    assert sum(len(person.windows) for person in report.participants) == 0


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


async def test_who_left_while_nothing_can_be_written_is_in_no_summary(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: what was stored can be read, and nobody can be told that somebody withdrew. It is written as
    soon as it can be, for whoever reads the report, or writes the summary anew."""
    session = await stage.start()
    for user in (GUEST, HOST):
        await session.people.include(user, stage.press())
        stage.voice.link.hear(user, tone_burst())
    await stage.said(session, 2)

    async def full(*_: object) -> None:
        raise StorageUnavailable("full")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(stage.storage, "withdraw_participant", full)
        assert await session.people.exclude(GUEST, stage.press()) is PressResult.EXCLUDED
        await stage.manager.stop(GUILD)
    await stage.over()
    (summary,) = stage.surface.of(MessageKind.SUMMARY)
    assert f"<@{HOST}>" in summary.card.text
    assert f"<@{GUEST}>" not in summary.card.text
    stayed = {p.user_id: p.withdrawn_at is None for p in await stage.storage.participants(session.record.id)}
    assert stayed == {GUEST: False, HOST: True}


async def test_what_was_said_before_leaving_stays_out_although_its_speaker_is_back(stage: Stage) -> None:
    stage.backend.compares = True
    session = await stage.start()
    await session.people.include(GUEST, stage.press())
    await stage.is_being_recognised(GUEST)
    await session.people.exclude(GUEST, stage.press())
    await session.people.include(GUEST, stage.press())
    stage.backend.may_answer.set()
    await stage.counted(session, "windows_withdrawn", 1)
    assert session.counters()["predictions"] == 0
    assert not stage.backend.baselines
    stage.voice.link.hear(GUEST, tone_burst())
    await stage.said(session, 1)


async def test_a_moment_of_somebody_whose_row_was_deleted_is_lost_and_ends_nothing(stage: Stage) -> None:
    session = await stage.start()
    await session.people.include(GUEST, stage.press())
    participant = session.people.participant(GUEST)
    assert participant is not None
    await stage.storage.delete_person(GUEST, GUILD)
    moments = Moments(session.record.id, stage.app)
    moments.notice(MomentRecord(at_s=1.0, kind="shift", participant_id=participant.id, text="begins to sound sad"))
    await stage.app.writer.flush()
    report = await stage.storage.report(session.record.id)
    assert report is not None
    assert report.moments == ()
    assert (stage.app.writer.orphaned, stage.app.writer.pending) == (1, 0)


async def test_what_was_noticed_waits_for_a_database_that_is_away(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await stage.start()
    await session.people.include(GUEST, stage.press())
    participant = session.people.participant(GUEST)
    assert participant is not None
    noticed = MomentRecord(at_s=1.0, kind="shift", participant_id=participant.id, text="begins to sound sad")

    async def away(_: object) -> int:
        raise StorageUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(stage.storage, "add_results", away)
        Moments(session.record.id, stage.app).notice(noticed)
        with pytest.raises(StorageUnavailable):
            await stage.app.writer.flush()
    await stage.app.writer.flush()
    report = await stage.storage.report(session.record.id)
    assert report is not None
    assert report.moments == (noticed,)

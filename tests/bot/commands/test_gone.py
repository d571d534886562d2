"""What is deleted is deleted in Discord too, and what a killed process left there is put right."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from bot.commands.panel_view import INCLUDE_ID
from bot.listening.ends import EndReason
from bot.listening.session import ListeningSession
from bot.own_messages import RefusedMessage, message_link
from bot.service import Service
from bot.texts import english
from bot.texts import english as texts
from sandbox.permissions import Permission
from storage.records import MessageKind, MessageRecord, NewSession, SessionState
from tests.fakes.backend import FakeBackend
from tests.fakes.voice_link import FakeVoice, tone_burst
from tests.fakes.world import World, text_of

pytestmark = pytest.mark.e2e


async def test_deleting_a_session_deletes_its_panel_and_its_summary(world: World) -> None:
    session_id, summary = await world.held(world.mara)
    kinds = {m.kind for m in await world.service.storage.messages_of_session(session_id)}
    assert kinds == {MessageKind.PANEL, MessageKind.SUMMARY}
    answer = await world.ask(world.owner, "report delete", {"session": session_id})
    assert text_of(answer) == texts.REPORT_DELETED
    assert summary not in world.messages()
    assert not [m for m in world.messages() if m.author is world.sandbox.bot]


async def test_deleting_a_person_takes_them_out_of_the_summary_and_its_picture(world: World) -> None:
    _, summary = await world.held(world.mara, world.theo)
    (before,) = summary.attachments
    question = await world.ask(world.mara, "privacy delete")
    await world.press(world.mara, question, "undertone:delete")
    assert f"<@{world.mara.id}>" not in text_of(summary)
    assert f"<@{world.theo.id}>" in text_of(summary)
    (after,) = summary.attachments
    assert after.content != before.content
    question = await world.ask(world.theo, "privacy delete")
    await world.press(world.theo, question, "undertone:delete")
    assert summary not in world.messages(), "nobody is left in it"


async def test_a_summary_that_was_not_written_anew_is_tried_again_every_hour(world: World) -> None:
    _, summary = await world.held(world.mara, world.theo)
    service = world.service
    await service.storage.delete_person(world.mara.id, None)  # and the process was killed, or Discord answered 500
    assert f"<@{world.mara.id}>" in text_of(summary)
    await service.app.deletions.remove_doomed()
    assert f"<@{world.mara.id}>" not in text_of(summary)
    assert f"<@{world.theo.id}>" in text_of(summary)
    assert await service.storage.stale_messages() == []


async def test_who_is_deleted_while_the_summary_is_posted_is_taken_out_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.delete_as_the_summary_is_noted(world.mara, monkeypatch)
    _, summary = await world.held(world.mara, world.theo)
    await world.sandbox.wait_for(lambda: f"<@{world.mara.id}>" not in text_of(summary))
    assert f"<@{world.theo.id}>" in text_of(summary)


async def test_live_events_are_gone_before_discord_is_asked_and_only_of_the_server(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id, _ = await world.held(world.mara, world.theo)
    app, guild_id = world.service.app, world.sandbox.guild.id
    other = await app.storage.start_session(
        NewSession(
            guild_id=guild_id + 1, channel_id=1, started_by=world.mara.id, model="m", model_version="v", labels=("A",)
        )
    )
    app.bus.publish(other.id, "moment", {})
    known: list[bool] = []
    remove = app.own.remove

    async def asked(messages: Iterable[MessageRecord]) -> list[RefusedMessage]:
        known.append(app.bus.knows(session_id))
        return await remove(messages)

    assert app.bus.knows(session_id)
    monkeypatch.setattr(app.own, "remove", asked)
    await app.deletions.person(world.mara.id, guild_id, 1)
    assert known
    assert not any(known)
    assert app.bus.knows(other.id)


async def test_a_message_that_discord_does_not_let_go_is_named_with_the_reason(world: World) -> None:
    session_id, summary = await world.held(world.mara)
    world.sandbox.deny(world.sandbox.bot, world.sandbox.voice_channel, Permission.VIEW_CHANNEL)
    answer = text_of(await world.ask(world.owner, "report delete", {"session": session_id}))
    url = message_link(world.sandbox.guild.id, summary.channel_id, summary.id)
    assert english("NOT_DELETED_FORBIDDEN", url=url) in answer


async def test_a_mark_belongs_to_who_wrote_it(world: World) -> None:
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    await world.attest_and_start()
    await world.ask(world.mara, "mark", {"note": "mine"})
    await world.ask(world.owner, "mark", {"note": "not hers"})
    await world.ask(world.owner, "listen stop")
    await world.over()
    (record,) = await world.service.storage.sessions()
    summary = await world.embed(texts.SUMMARY_TITLE)
    assert "mine" in text_of(summary)
    question = await world.ask(world.mara, "privacy delete")
    await world.press(world.mara, question, "undertone:delete")
    assert "mine" not in text_of(summary)
    assert "not hers" in text_of(summary)
    report = await world.service.storage.report(record.id)
    assert report is not None
    assert [moment.text for moment in report.moments] == ["not hers"]


async def test_the_end_of_retention_deletes_the_messages_too(world: World) -> None:
    session_id, summary = await world.held(world.mara)
    await world.service.storage.delete_session(session_id)  # as the purge does
    await world.service.app.deletions.remove_doomed()
    assert summary not in world.messages()


async def test_what_a_killed_process_left_is_put_right(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    voice = world.sandbox.voice_channel
    world.sandbox.state.join_voice(world.sandbox.bot.id, voice)  # the fake voice sits nowhere
    panel = await world.attest_and_start()
    session = world.service.sessions.of(world.sandbox.guild.id)
    assert session is not None
    await world.press(world.mara, panel, INCLUDE_ID)
    world.voice.link.hear(world.mara.id, tone_burst())
    await world.sandbox.wait_for(lambda: session.counters()["predictions"] == 1)
    await world.service.writer.flush()

    async def killed(self: ListeningSession, reason: EndReason, hearing: asyncio.Task[None]) -> None:
        hearing.cancel()
        self.ended.set_result(None)

    monkeypatch.setattr(ListeningSession, "_finish", killed)
    await world.service.stop()
    monkeypatch.undo()
    world.sandbox.disconnect(world.sandbox.bot)
    assert INCLUDE_ID in panel.custom_ids()
    assert voice.status == texts.VOICE_STATUS

    async with Service(world.service.settings, backend=FakeBackend(), connect=FakeVoice()) as service:
        await service.discord_ready()
        await world.sandbox.wait_for(lambda: texts.END_REASONS["process_ended"] in text_of(panel))
        assert panel.custom_ids() == []
        await world.sandbox.wait_for(lambda: voice.status is None)
        summary = await world.embed(texts.SUMMARY_TITLE)
        assert f"<@{world.mara.id}> spoke" in text_of(summary)
        record = await service.storage.session(session.record.id)
        assert record is not None
        assert record.state is SessionState.INTERRUPTED
        await world.sandbox.wait_for(
            lambda: world.sandbox.state.voice_state(world.sandbox.guild.id, world.sandbox.bot.id) is None
        )

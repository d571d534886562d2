"""Whoever deletes everything is nowhere afterwards: at whatever step of a session's end it happens, and by whatever
message they are named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bot import application, client
from bot.listening import farewell
from bot.listening.attendance import Attendance
from bot.listening.call import Call
from bot.listening.farewell import Farewell
from bot.listening.panel import Panel
from bot.texts import english as texts
from storage import WindowWriter
from storage.records import MessageKind
from tests.fakes.voice_link import tone_burst
from tests.fakes.world import World, text_of

pytestmark = pytest.mark.e2e

STEPS = (
    (Call, "close"),
    (Attendance, "settle_all"),
    (WindowWriter, "flush"),
    (Farewell, "store"),
    (Farewell, "close_panel"),
    (Farewell, "sum_up"),
    (Panel, "close"),
    (farewell, "_summary"),
)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("owner", "step"), STEPS, ids=[step for _, step in STEPS])
async def test_who_deletes_everything_while_a_session_ends_is_nowhere(
    world: World, monkeypatch: pytest.MonkeyPatch, owner: Any, step: str, after: bool
) -> None:
    world.sit(world.owner, world.mara, world.theo)
    await world.seen(world.owner, world.mara, world.theo)
    panel = await world.attest_and_start()
    session, app = world.running(), world.service.app
    for user in (world.mara, world.theo):
        await world.press(user, panel, "undertone:include")
        world.voice.link.hear(user.id, tone_burst())
    await world.sandbox.wait_for(lambda: session.counters()["predictions"] == 2)
    doing: Callable[..., Awaitable[Any]] = getattr(owner, step)
    deleted: list[bool] = []

    async def racing(*args: Any, **rest: Any) -> Any:
        if not deleted and not after:
            deleted.append(True)
            await app.deletions.person(world.mara.id, None, world.sandbox.state.ids.next())
        done = await doing(*args, **rest)
        if not deleted:
            deleted.append(True)
            await app.deletions.person(world.mara.id, None, world.sandbox.state.ids.next())
        return done

    monkeypatch.setattr(owner, step, racing)
    world.voice.link.hear(world.mara.id, tone_burst())  # still on its way when the end comes
    stop = await world.sandbox.command(world.owner, world.sandbox.text, "listen stop")
    await world.sandbox.answer(stop)
    await world.over()
    assert deleted
    await world.service.writer.flush()
    people = await world.service.storage.participants(session.record.id)
    assert [person.user_id for person in people] == [world.theo.id]
    assert not any((await world.service.storage.count_person(world.mara.id, None)).values())
    summary = await world.embed(texts.SUMMARY_TITLE)
    await world.sandbox.wait_for(lambda: f"<@{world.mara.id}>" not in text_of(summary))
    assert f"<@{world.theo.id}>" in text_of(summary)


@pytest.mark.parametrize("refused", [False, True])
async def test_who_made_a_link_and_deletes_everything_is_named_by_no_message(world: World, refused: bool) -> None:
    await world.session_with(world.mara)  # in which the owner was not included
    await world.ask(world.owner, "report share")

    def named() -> bool:
        return any(f"<@{world.owner.id}>" in text_of(message) for message in world.messages())

    assert named()
    if refused:
        world.sandbox.faults.rest(403, method="DELETE", path=r"/messages/\d+$", times=2)
    await world.service.app.deletions.person(world.owner.id, None, world.sandbox.state.ids.next())
    assert named() == refused
    await world.service.app.deletions.remove_doomed()
    assert not named()


async def test_who_deletes_everything_while_discord_takes_the_word_on_their_link_is_not_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.session_with(world.mara)
    app = world.service.app
    note = app.own.note

    async def late(message: Any, kind: MessageKind, **about: Any) -> None:
        await app.deletions.person(world.owner.id, None, world.sandbox.state.ids.next())
        await note(message, kind, **about)

    monkeypatch.setattr(app.own, "note", late)
    await world.ask(world.owner, "report share")
    assert not any(f"<@{world.owner.id}>" in text_of(message) for message in world.messages())


async def test_who_shared_results_is_told_on_when_somebody_else_deletes_theirs(world: World) -> None:
    await world.session_with(world.mara)
    await world.ask(world.owner, "report share")
    await world.service.app.deletions.person(world.mara.id, None, world.sandbox.state.ids.next())
    assert any(f"<@{world.owner.id}>" in text_of(message) for message in world.messages())


async def test_a_session_that_is_deleted_between_two_connections_to_discord_is_gone_and_its_messages_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id, summary = await world.held(world.mara)
    app, go = world.service.app, asyncio.Event()
    ask = application.may_read_content

    async def once_told(*about: str) -> bool | None:
        await go.wait()
        return await ask(*about)

    monkeypatch.setattr(client, "may_read_content", once_told)  # asked before there is a next client
    await world.service.gateway.client.close()
    done = await app.deletions.session(session_id)
    assert summary.id in {refusal.message.message_id for refusal in done.refused}
    assert not any(refusal.forbidden for refusal in done.refused)
    assert await app.storage.session(session_id) is None
    go.set()
    await world.service.discord_ready()
    await app.deletions.remove_doomed()
    assert summary not in world.messages()

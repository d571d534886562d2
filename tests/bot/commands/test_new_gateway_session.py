"""Between a new session at the gateway and Discord's word on a server, the bot knows no channel of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from bot.commands.panel_view import INCLUDE_ID
from bot.listening import panel as panels
from bot.texts import english as texts
from sandbox.gateway.session import Session
from sandbox.models import Json
from tests.fakes.world import World, text_of

pytestmark = pytest.mark.integration

Untold = Callable[[], AbstractAsyncContextManager[None]]


@pytest.fixture
def untold(world: World, monkeypatch: pytest.MonkeyPatch) -> Untold:
    """A new session in which Discord says nothing of the server until the block ends."""
    held: list[tuple[Session, Json]] = []
    dispatch = Session.dispatch

    def holding(session: Session, event: str, data: Json) -> None:
        if event == "GUILD_CREATE":
            held.append((session, data))
        else:
            dispatch(session, event, data)

    def knows_nothing() -> bool:
        guild = world.service.gateway.client.get_guild(world.sandbox.guild.id)
        return guild is not None and guild.unavailable

    @asynccontextmanager
    async def beginning() -> AsyncIterator[None]:
        monkeypatch.setattr(Session, "dispatch", holding)
        world.sandbox.gateway.invalidate()
        await world.sandbox.wait_for(knows_nothing)
        yield
        monkeypatch.setattr(Session, "dispatch", dispatch)  # some may come only now
        for session, data in held:
            dispatch(session, "GUILD_CREATE", data)
        await world.sandbox.wait_for(lambda: not knows_nothing())

    return beginning


async def test_a_session_goes_on_and_its_panel_with_it(
    world: World, untold: Untold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panels, "EDIT_GAP_S", 0.05)
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    panel = await world.attest_and_start()
    session = world.running()
    async with untold():
        assert text_of(await world.press(world.mara, panel, INCLUDE_ID)) == texts.INCLUDED
        await world.ask(world.owner, "listen status")
    await world.sandbox.wait_for(lambda: session.ending or f"<@{world.mara.id}>" in text_of(world.messages()[-1]))
    assert not session.ending


async def test_who_wants_to_start_is_not_told_to_join_a_channel_first(world: World, untold: Untold) -> None:
    await world.attested()
    world.sit(world.owner)
    async with untold():
        assert text_of(await world.ask(world.owner, "listen start")) == texts.SERVER_NOT_TOLD
    await world.seen(world.owner)
    await world.ask(world.owner, "listen start")
    await world.panel()


async def test_a_summary_goes_to_the_channel_although_discord_has_trouble_with_the_server(world: World) -> None:
    """The client knows the channels then, as it knows none after a new session."""
    world.sit(world.owner)
    await world.seen(world.owner)
    await world.attest_and_start()
    guild_id = world.sandbox.guild.id
    for session in world.sandbox.gateway.sessions:
        session.dispatch("GUILD_DELETE", {"id": str(guild_id), "unavailable": True})
    guild = world.service.gateway.client.get_guild(guild_id)
    assert guild is not None
    await world.sandbox.wait_for(lambda: guild.unavailable)
    await world.ask(world.owner, "listen stop")
    await world.embed(texts.SUMMARY_TITLE)

"""Discord forgets an interaction that nobody acknowledged within 3 s: none waits for a database that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from discord import Permissions, app_commands

from bot.cards import SUMMARY_ID
from bot.commands import report
from bot.commands.attest import ATTEST_ID
from bot.commands.panel_view import EXCLUDE_ID, INCLUDE_ID, MARK_ID, STOP_ID
from bot.commands.privacy import DELETE_ID
from bot.commands.report import ReportGroup
from bot.commands.settings_menus import TOPIC, Topic
from bot.texts import english as texts
from sandbox import Message
from sandbox.interactions import Interaction
from sandbox.recordings import as_voice_message
from storage.records import SummaryPlace
from tests.bot.commands.test_analyze import BUTTONS, button, reply_to
from tests.fakes.clips import CLIPS
from tests.fakes.world import World, wav

pytestmark = pytest.mark.e2e

GIVEN: dict[str, dict[str, Any]] = {
    "analyze": {"file": None},
    "report delete": {"session": "any"},
}
"""Options without which Discord does not send a command."""


class Hanging:
    """A database that answers nothing while it is not `back`."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.back = asyncio.Event()
        self.back.set()
        self.waited = 0
        database = world.service.storage._database
        for name in ("transaction", "writing"):
            monkeypatch.setattr(database, name, self._held(getattr(database, name)))

    def _held(self, real: Any) -> Any:
        @asynccontextmanager
        async def held(**more: Any) -> AsyncIterator[Any]:
            self.waited += not self.back.is_set()
            await self.back.wait()
            transaction: AbstractAsyncContextManager[Any] = real(**more)
            async with transaction as db:
                yield db

        return held


@pytest.fixture
def hanging(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    made = Hanging(world, monkeypatch)
    yield made
    made.back.set()


async def test_every_command_is_acknowledged(world: World, hanging: Hanging) -> None:
    world.sit(world.owner)
    await world.seen(world.owner)
    await world.attest_and_start()
    message = world.sandbox.send_voice_message(world.owner, world.sandbox.text, recorded())
    hanging.back.clear()
    tree = world.service.gateway.client._tree
    names = sorted(one.qualified_name for one in tree.walk_commands() if isinstance(one, app_commands.Command))
    assert {"about", "settings", "listen start", "privacy delete"} <= set(names)
    asked: dict[str, Interaction] = {}
    for name in names:
        options = {key: value or file(world) for key, value in GIVEN.get(name, {}).items()}
        asked[name] = await world.sandbox.command(world.owner, world.sandbox.text, name, options)
    asked[texts.MENU_ANALYZE] = await world.sandbox.context_menu(world.owner, message, texts.MENU_ANALYZE)
    assert hanging.waited
    assert [name for name, interaction in asked.items() if not interaction.acknowledged] == []
    assert [name for name, interaction in asked.items() if not interaction.ephemeral] == []


async def test_every_button_and_menu_is_acknowledged(world: World, hanging: Hanging) -> None:
    message = world.sandbox.send_voice_message(world.mara, world.sandbox.text, recorded())
    await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    of_author = await reply_to(world, message)
    world.sit(world.owner)
    await world.seen(world.owner)
    statement = await world.ask(world.owner, "listen start")
    await world.attested(summary_place=SummaryPlace.PARTICIPANTS)
    session_id, summary = await world.held(world.mara)
    settings = await world.ask(world.owner, "settings")
    of_file = await world.ask(world.owner, "analyze", {"file": file(world)})
    deletion = await world.ask(world.mara, "privacy delete")
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    await world.ask(world.owner, "listen start")
    panel = await world.panel()
    presses: list[tuple[Any, Message, str]] = [
        (world.mara, of_author, BUTTONS.format("allow", message.id, world.mara.id)),
        (world.owner, statement, ATTEST_ID),
        (world.mara, summary, f"{SUMMARY_ID}{session_id}"),
        (world.owner, of_file, button(of_file, "yes")),
        (world.mara, deletion, DELETE_ID),
        *((world.mara, panel, custom_id) for custom_id in (INCLUDE_ID, MARK_ID, EXCLUDE_ID)),
        (world.owner, panel, STOP_ID),
    ]
    hanging.back.clear()
    people = world.sandbox.people
    asked = {custom_id: await people.press(who, shown, custom_id) for who, shown, custom_id in presses}
    menu = f"undertone:settings:{TOPIC}"
    asked[menu] = await people.choose(world.owner, settings, menu, [Topic.LANGUAGE.value])
    assert hanging.waited
    assert [custom_id for custom_id, interaction in asked.items() if not interaction.acknowledged] == []


@pytest.mark.parametrize("why", ["hangs", "refuses"])
async def test_a_choice_of_sessions_does_not_wait_for_the_database(
    world: World, hanging: Hanging, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    session_id = await world.session_with(world.mara)
    reports: Any = ReportGroup(world.service.app)  # what autocompletes is typed as a plain function
    guild = world.service.gateway.client.get_guild(world.sandbox.guild.id)
    asked: Any = SimpleNamespace(
        guild=guild,
        guild_id=world.sandbox.guild.id,
        user=SimpleNamespace(id=world.mara.id),
        permissions=Permissions.none(),
        locale="en-US",
    )
    monkeypatch.setattr(report, "CHOOSE_S", 60.0)  # a busy machine may stand still for its two seconds
    assert [one.value for one in await reports.sessions_to_read(asked, "")] == [session_id]
    monkeypatch.setattr(report, "CHOOSE_S", 0.05)
    hanging.back.clear()
    if why == "refuses":
        await world.service.storage.close(within_s=0.1)
        hanging.back.set()
    async with asyncio.timeout(60):
        assert await reports.sessions_to_read(asked, "") == []
        assert await reports.sessions_to_manage(asked, "") == []


def recorded() -> bytes:
    return as_voice_message(CLIPS / "1030_IEO_ANG_HI.flac")


def file(world: World) -> Any:
    return world.sandbox.file(world.sandbox.text, "voice.wav", wav())

"""Leaving a server ends one's answers there, and nothing else does: however wrong this machine's clock is."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, tzinfo

import discord
import pytest

from bot.commands.panel_view import INCLUDE_ID
from bot.texts import english as texts
from sandbox.recordings import as_voice_message
from storage import servers
from storage.records import Purpose
from tests.fakes.clips import CLIPS
from tests.fakes.world import World, text_of

pytestmark = pytest.mark.integration

HOUR = timedelta(hours=1)


def set_off(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """This machine's clock, as far as answers are dated by it."""

    class Off(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + by

    right = discord.utils.utcnow
    monkeypatch.setattr(servers, "datetime", Off)
    monkeypatch.setattr(discord.utils, "utcnow", lambda: right() + by)


async def test_an_answer_given_since_is_kept_where_the_clock_is_slow(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_off(monkeypatch, -HOUR)
    await world.ask(world.mara, "privacy opt-out")
    assert texts.PRIVACY_DECISIONS["opt_out"] in text_of(await world.ask(world.mara, "privacy status"))


async def test_an_answer_from_before_ends_where_the_clock_is_fast(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_off(monkeypatch, HOUR)
    await world.ask(world.mara, "privacy opt-in")
    guild = world.sandbox.guild
    world.sandbox.state.remove_member(guild, world.mara.id)
    world.sandbox.state.add_member(guild, world.mara)
    assert texts.PRIVACY_DECISIONS["none"] in text_of(await world.ask(world.mara, "privacy status"))


async def test_the_answer_of_an_author_who_left_ends_where_the_clock_is_slow(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.ask(world.mara, "privacy opt-in", {"what": Purpose.VOICE.value})
    set_off(monkeypatch, -HOUR)
    message = world.sandbox.send_voice_message(
        world.mara, world.sandbox.text, as_voice_message(CLIPS / "1030_IEO_ANG_HI.flac")
    )
    world.sandbox.state.remove_member(world.sandbox.guild, world.mara.id)
    asked = await world.sandbox.context_menu(world.theo, message, texts.MENU_ANALYZE)
    assert text_of(await world.sandbox.answer(asked)) == texts.ASKED_AUTHOR


async def test_who_came_back_while_the_gateway_was_away_is_asked_anew_where_the_clock_is_fast(world: World) -> None:
    guild_id, storage = world.sandbox.guild.id, world.service.storage
    world.sit(world.owner, world.mara)
    await world.seen(world.owner, world.mara)
    panel = await world.attest_and_start()
    await world.ask(world.mara, "privacy opt-in")
    session, client = world.running(), world.service.gateway.client
    assert session.consents(world.mara.id)
    session.record = replace(session.record, started_at=session.record.started_at + HOUR)
    guild = client.get_guild(guild_id)
    member = guild.get_member(world.mara.id) if guild is not None else None
    assert guild is not None
    assert member is not None
    member.joined_at = discord.utils.utcnow()
    await client.on_guild_available(guild)
    assert await storage.standing_consent(guild_id, world.mara.id) is None
    assert not session.consents(world.mara.id)
    assert text_of(await world.press(world.mara, panel, INCLUDE_ID)) == texts.INCLUDED

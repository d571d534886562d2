"""Who wrote a message that is forwarded, where this process does not have the server in which it stands."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import discord
import pytest

from bot.app import App
from bot.commands.of_message import opted_out, original_of
from storage.records import Decision, Purpose

pytestmark = pytest.mark.unit

GUILD, CHANNEL, MESSAGE, AUTHOR, ASKER = 11, 12, 13, 14, 15
WRITTEN: dict[str, Any] = {
    "id": str(MESSAGE),
    "channel_id": str(CHANNEL),
    "author": {"id": str(AUTHOR), "username": "ada", "discriminator": "0", "avatar": None},
    "content": "",
    "timestamp": "2026-03-02T20:00:00+00:00",
    "edited_timestamp": None,
    "tts": False,
    "mention_everyone": False,
    "mentions": [],
    "mention_roles": [],
    "attachments": [],
    "embeds": [],
    "pinned": False,
    "type": 0,
}


class Answers:
    """What people answered, by server."""

    async def standing_consent(self, guild_id: int, user_id: int, purpose: Purpose) -> Decision | None:
        return Decision.OPT_OUT if (guild_id, user_id, purpose) == (GUILD, AUTHOR, Purpose.VOICE) else None


def app_with(*, has: bool, asked: list[int]) -> App:
    client = discord.Client(intents=discord.Intents.none())

    async def get_message(channel_id: int, message_id: int) -> dict[str, Any]:
        asked.append(message_id)
        assert (channel_id, message_id) == (CHANNEL, MESSAGE)
        return WRITTEN

    client.http.get_message = get_message  # type: ignore[assignment]
    neighbours = SimpleNamespace(has=lambda _: has)
    return cast("App", SimpleNamespace(client=lambda: client, neighbours=neighbours, storage=Answers()))


def forward(guild_id: int) -> discord.Message:
    reference = discord.MessageReference(message_id=MESSAGE, channel_id=CHANNEL, guild_id=guild_id)
    return cast("discord.Message", SimpleNamespace(reference=reference, message_snapshots=[object()]))


@pytest.mark.parametrize(("guild_id", "refused"), [(GUILD, True), (GUILD + 1, False)])
async def test_an_author_who_opted_out_in_a_server_elsewhere_is_left_alone(guild_id: int, refused: bool) -> None:
    asked: list[int] = []
    app = app_with(has=False, asked=asked)
    original = await original_of(app, forward(guild_id))
    assert original is not None
    assert original.author.id == AUTHOR
    assert await opted_out(app, original, but=ASKER) is refused
    assert await opted_out(app, original, but=AUTHOR) is False
    assert asked == [MESSAGE]


async def test_discord_is_not_asked_about_servers_without_the_bot() -> None:
    asked: list[int] = []
    assert await original_of(app_with(has=True, asked=asked), forward(GUILD)) is None
    assert asked == []

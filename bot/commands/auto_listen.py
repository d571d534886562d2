"""Listening that starts by itself when two people are in a chosen voice channel. It still asks everybody."""

from __future__ import annotations

from typing import Final

import structlog
from discord.channel import VocalGuildChannel

from bot.app import App
from bot.commands.membership import people_in
from bot.commands.permissions import require_voice
from bot.commands.starting import VoiceChannel, end_stale_answers_in
from bot.errors import PersonError
from bot.listening.manager import StartRequest
from storage.errors import StorageError

PEOPLE: Final = 2

_log = structlog.get_logger(__name__)


class Gatherings:
    """In which voice channels two people or more are. Listening starts when that begins only: what was stopped stays
    stopped. Discord may tell of several who come before the first of them is looked at, so a number alone is no sign.
    """

    def __init__(self) -> None:
        self._channel_ids: set[int] = set()

    def begins(self, channel: VocalGuildChannel) -> bool:
        """Look who is there now; whether there were fewer than two when it was looked last."""
        if sum(not member.bot for member in channel.members) < PEOPLE:
            self._channel_ids.discard(channel.id)
            return False
        known = channel.id in self._channel_ids
        self._channel_ids.add(channel.id)
        return not known


async def maybe_start(app: App, channel: VoiceChannel) -> None:
    """Two people are in a channel."""
    guild = channel.guild
    if app.sessions.of(guild.id) is not None:
        return
    try:
        server = await app.storage.server(guild.id)
        if channel.id not in server.auto_listen_ids or server.attested_at is None or not app.backend.ready:
            return
        require_voice(channel.permissions_for(guild.me), channel.id)
        await end_stale_answers_in(app, channel)
        await app.sessions.start(
            StartRequest(
                guild_id=guild.id,
                channel_id=channel.id,
                channel=channel,
                started_by=guild.me.id,
                present=lambda: people_in(channel, server.unheard_role_ids),
                asked_in=channel.id,
            )
        )
    except (PersonError, StorageError) as error:
        _log.info("did_not_listen_by_itself", guild=guild.id, channel=channel.id, code=error.code)
    else:
        _log.info("listens_by_itself", guild=guild.id, channel=channel.id)

"""Seats in a bare voice server, for tests that need no REST and no main gateway."""

from __future__ import annotations

import secrets

from sandbox.voice.connection import VoiceTicket
from sandbox.voice.server import VoiceServer


class DirectSeats:
    """Lets anybody into any channel of one server."""

    def __init__(self, server: VoiceServer, guild_id: int) -> None:
        self._server = server
        self._guild_id = guild_id

    async def sit(self, user_id: int, channel_id: int) -> VoiceTicket:
        self._server.voice_state(guild_id=self._guild_id, user_id=user_id, channel_id=channel_id)
        return self._server.ticket(
            guild_id=self._guild_id, channel_id=channel_id, user_id=user_id, session_id=secrets.token_hex(16)
        )

    async def rise(self, user_id: int) -> None:
        self._server.voice_state(guild_id=self._guild_id, user_id=user_id, channel_id=None)

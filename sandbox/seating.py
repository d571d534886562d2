"""The seam between who sits where (the state) and the voice server, which knows only tickets and seats."""

from __future__ import annotations

import asyncio
import secrets

from sandbox.gateway import Gateway
from sandbox.models import Channel, User, VoiceState
from sandbox.permissions import Permission, in_channel
from sandbox.state import Change, State
from sandbox.voice import Close, VoiceServer, VoiceTicket


class Seating:
    """Keeps the voice server told, hands the bot its tickets, and is the `Seats` of the people who talk."""

    def __init__(self, state: State, gateway: Gateway, voice: VoiceServer) -> None:
        self._state = state
        self._gateway = gateway
        self._voice = voice
        self._stop = state.listen(self._on_change)
        gateway.voice = self

    def close(self) -> None:
        self._stop()
        self._gateway.voice = None

    def on_voice_state(
        self, guild_id: int, channel_id: int | None, user_id: int, session_id: str
    ) -> tuple[str, str] | None:
        """The bot's own client asked to join, move or leave."""
        if channel_id is None:
            return None
        ticket = self._voice.ticket(guild_id=guild_id, channel_id=channel_id, user_id=user_id, session_id=session_id)
        return ticket.token, ticket.endpoint

    async def sit(self, user_id: int, channel_id: int) -> VoiceTicket:
        """Seat a person and let their client in; one who sits there already only gets a new ticket.

        Raises:
            PermissionError: they may not connect there.
        """
        channel = self._state.channels[channel_id]
        guild = self._state.guilds[channel.guild_id or 0]
        if not in_channel(guild, channel, user_id) & Permission.CONNECT:
            raise PermissionError(f"user {user_id} may not connect to channel {channel_id}")
        seat = guild.voice_states.get(user_id)
        if seat is None or seat.channel_id != channel_id:
            seat = self._state.join_voice(user_id, channel, session_id=secrets.token_hex(16))
        return self._voice.ticket(guild_id=guild.id, channel_id=channel_id, user_id=user_id, session_id=seat.session_id)

    async def rise(self, user_id: int) -> None:
        for guild in self._state.guilds.values():
            self._state.leave_voice(guild.id, user_id)

    async def move_voice_server(self, bot: User) -> None:
        """Send the bot to another voice server, as Discord does when one is taken down.

        Raises:
            LookupError: the bot is in no call.
        """
        ticket = await self._voice.move(bot.id)
        self._gateway.send_voice_server(ticket.guild_id, ticket.token, ticket.endpoint)

    async def change_region(self, bot: User, word_after_s: float) -> None:
        """End the bot's call with 4022, and send it to another voice server a moment later.

        Raises:
            LookupError: the bot is in no call.
        """
        ticket = await self._voice.move(bot.id)
        await self._voice.close(bot.id, Close.CALL_TERMINATED)
        self._gateway.send_voice_server(ticket.guild_id, ticket.token, None)  # one is being looked for
        await asyncio.sleep(word_after_s)
        self._gateway.send_voice_server(ticket.guild_id, ticket.token, ticket.endpoint)

    def move(self, user: User, channel: Channel) -> None:
        """Drag somebody to another channel, as a moderator does; the bot gets a new ticket for it."""
        state = self._state.join_voice(user.id, channel)
        if user.bot:
            answer = self.on_voice_state(state.guild_id, channel.id, user.id, state.session_id)
            if answer is not None:
                self._gateway.send_voice_server(state.guild_id, *answer)

    def _on_change(self, change: Change) -> None:
        if change.kind != "VOICE_STATE_UPDATE":
            return
        state: VoiceState = change.subject
        self._voice.voice_state(
            guild_id=state.guild_id,
            user_id=state.user_id,
            channel_id=state.channel_id,
            mute=state.mute or state.self_mute or state.suppress,
            deaf=state.deaf,  # deafening oneself is a sign to people: the packets come all the same
        )

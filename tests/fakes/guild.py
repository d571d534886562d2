"""A main gateway in miniature: just enough of discord.py's client around an unmodified `VoiceClient`.

Sending op 4 becomes two calls of the voice server, and the answers go to the voice client as dispatches.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from types import SimpleNamespace
from typing import Any

import aiohttp
from discord import VoiceClient

from sandbox.voice import VoiceServer
from sandbox.voice.udp import KEEPALIVE_BYTES

GUILD_ID = 9_000_000_000_000_000_001
_ROUND_TRIP_S = 0.01


class FakeHttp:
    """The one thing of discord.py's HTTP client that voice uses."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))

    async def ws_connect(self, url: str, *, compress: int = 0) -> aiohttp.ClientWebSocketResponse:
        return await self._session.ws_connect(url, max_msg_size=0, timeout=_patience(), autoclose=False)

    async def close(self) -> None:
        await self._session.close()


def _patience() -> aiohttp.ClientWSTimeout:
    return aiohttp.ClientWSTimeout(ws_close=5.0)


class FakeGuild:
    """A server with one voice client in it, ours."""

    def __init__(self, voice: VoiceServer, user_id: int) -> None:
        self.id = GUILD_ID
        self.me = SimpleNamespace(voice=None)
        self.user_id = user_id
        self.voice = voice
        self.client: VoiceClient | None = None
        self._dispatches: set[asyncio.Task[None]] = set()

    async def change_voice_state(self, *, channel: Any, self_deaf: bool = False, self_mute: bool = False) -> None:
        channel_id = None if channel is None else channel.id
        self.seat(channel_id, deaf=self_deaf)

    def seat(self, channel_id: int | None, *, deaf: bool = False) -> None:
        """What Discord does on op 4, or when somebody moves the bot."""
        session_id = secrets.token_hex(16)
        self.voice.voice_state(guild_id=self.id, user_id=self.user_id, channel_id=channel_id, deaf=deaf)
        state = {"channel_id": None if channel_id is None else str(channel_id), "session_id": session_id}
        server = None
        if channel_id is not None:
            ticket = self.voice.ticket(
                guild_id=self.id, channel_id=channel_id, user_id=self.user_id, session_id=session_id
            )
            server = {"token": ticket.token, "guild_id": str(self.id), "endpoint": ticket.endpoint}
        task = asyncio.get_running_loop().create_task(self._dispatch(state, server), name="fake-dispatch")
        self._dispatches.add(task)
        task.add_done_callback(self._dispatches.discard)

    async def quiet(self) -> None:
        """Wait for the dispatches that are under way."""
        await asyncio.gather(*self._dispatches)

    async def _dispatch(self, state: dict[str, Any], server: dict[str, Any] | None) -> None:
        if self.client is not None:
            await asyncio.sleep(_ROUND_TRIP_S)  # discord.py misses a dispatch that is there before it waits
            await self.client.on_voice_state_update(state)  # type: ignore[arg-type]
            await asyncio.sleep(_ROUND_TRIP_S)
            if server is not None:
                await self.client.on_voice_server_update(server)  # type: ignore[arg-type]


class BotInVoice:
    """An unmodified discord.py voice client in a channel, for as long as the ``async with`` lasts."""

    def __init__(self, voice: VoiceServer, user_id: int, channel_id: int) -> None:
        self.user_id = user_id
        self.guild = FakeGuild(voice, user_id)
        self._http = FakeHttp(voice.ssl_context())
        loop = asyncio.get_running_loop()
        state = SimpleNamespace(
            loop=loop,
            http=self._http,
            user=SimpleNamespace(id=user_id),
            _remove_voice_client=lambda _guild_id: None,
        )
        channel = SimpleNamespace(id=channel_id, guild=self.guild, _get_voice_client_key=lambda: (GUILD_ID, "guild_id"))
        self.client = VoiceClient(SimpleNamespace(loop=loop, _connection=state), channel)  # type: ignore[arg-type]
        self.guild.client = self.client

    async def __aenter__(self) -> BotInVoice:
        await self.client.connect(reconnect=True, timeout=60.0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end_reader()
        await self.client.disconnect(force=True)
        await self.guild.quiet()
        await self._http.close()
        await asyncio.sleep(0)

    async def _end_reader(self) -> None:
        """End discord.py's reading thread, which would sit in select() on the closed socket for up to 30 s."""
        connection = self.client._connection
        connection._socket_reader.stop()
        connection.socket.send(bytes(KEEPALIVE_BYTES))  # the echo wakes it
        await asyncio.to_thread(connection._socket_reader.join, 60.0)
        assert not connection._socket_reader.is_alive()

"""A voice websocket without a client behind it: a test says every word itself."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

import aiohttp

from sandbox.voice import Op, VoiceServer, VoiceTicket


class VoiceSocket:
    """``async with VoiceSocket(voice, ticket) as socket``; what arrives is kept in `messages` until it is read."""

    def __init__(self, voice: VoiceServer, ticket: VoiceTicket) -> None:
        self.ticket = ticket
        self._context = voice.ssl_context()
        self.last_seq = -1

    async def __aenter__(self) -> VoiceSocket:
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._context))
        self.ws = await self._http.ws_connect(f"wss://{self.ticket.endpoint}/?v=8")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.ws.close()
        await self._http.close()

    async def send(self, op: int, data: Any) -> None:
        await self.ws.send_str(json.dumps({"op": int(op), "d": data}))

    async def identify(self, **changes: Any) -> None:
        data = {
            "server_id": str(self.ticket.guild_id),
            "user_id": str(self.ticket.user_id),
            "session_id": self.ticket.session_id,
            "token": self.ticket.token,
            "max_dave_protocol_version": 1,
        }
        await self.send(Op.IDENTIFY, data | changes)

    async def resume(self, seq_ack: int, **changes: Any) -> None:
        data = {
            "server_id": str(self.ticket.guild_id),
            "session_id": self.ticket.session_id,
            "token": self.ticket.token,
            "seq_ack": seq_ack,
        }
        await self.send(Op.RESUME, data | changes)

    async def select(self, mode: str = "aead_aes256_gcm_rtpsize", protocol: str = "udp") -> None:
        data = {"address": "127.0.0.1", "port": 1, "mode": mode}
        await self.send(Op.SELECT_PROTOCOL, {"protocol": protocol, "data": data})

    async def expect(self, op: int, timeout_s: float = 60.0) -> Any:
        """The next message of this kind; what comes before it is passed over. Bytes of a binary one."""
        async with asyncio.timeout(timeout_s):
            while True:
                message = await self.ws.receive()
                if message.type is aiohttp.WSMsgType.TEXT:
                    body = json.loads(message.data)
                    self.last_seq = body.get("seq", self.last_seq)
                    if body["op"] == op:
                        return body["d"]
                elif message.type is aiohttp.WSMsgType.BINARY:
                    self.last_seq = int.from_bytes(message.data[:2], "big")
                    if message.data[2] == op:
                        return bytes(message.data[3:])
                else:
                    raise ConnectionError(f"closed with {self.ws.close_code}")

    async def close_code(self, timeout_s: float = 60.0) -> int | None:
        """Read on until the server closes."""
        async with asyncio.timeout(timeout_s):
            while (await self.ws.receive()).type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                pass
        return self.ws.close_code


def ticket_for(voice: VoiceServer, user_id: int, channel_id: int = 77, guild_id: int = 5) -> VoiceTicket:
    """Seat a user and let them in."""
    voice.voice_state(guild_id=guild_id, user_id=user_id, channel_id=channel_id)
    return voice.ticket(guild_id=guild_id, channel_id=channel_id, user_id=user_id, session_id=secrets.token_hex(16))

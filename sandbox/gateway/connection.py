"""One gateway socket: hello, identify or resume, heartbeats, requests, until one side hangs up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any, Final, assert_never

from aiohttp import WSMsgType, web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.gateway.session import OUTBOX_LIMIT, Close, Outbox, Session

if TYPE_CHECKING:
    from sandbox.gateway.server import Gateway

_FRAME_LIMIT_BYTES: Final = 4_096
"""Longest frame that a client may send, Discord's own limit."""
_FRAMES_PER_MINUTE: Final = 120


class _Frame(BaseModel):
    op: int
    d: Any = None


class Identify(BaseModel):
    model_config = ConfigDict(extra="ignore")
    token: str
    intents: int = Field(ge=0, lt=1 << 32)
    shard: tuple[int, int] = (0, 1)


class Resume(BaseModel):
    token: str
    session_id: str
    seq: int


class VoiceRequest(BaseModel):
    guild_id: int
    channel_id: int | None = None
    self_mute: bool = False
    self_deaf: bool = False


class MembersRequest(BaseModel):
    guild_id: int
    query: str | None = None
    limit: int = 0
    user_ids: list[int] | int = Field(default_factory=list)
    nonce: str | None = Field(default=None, max_length=32)


class ChannelInfoRequest(BaseModel):
    guild_id: int
    fields: list[str] = Field(default_factory=list, max_length=10)


class HangUp(Exception):
    """End this connection with a close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class GatewayConnection:
    def __init__(self, gateway: Gateway, request: web.Request) -> None:
        self._gateway = gateway
        self._request = request
        self._outbox: Outbox = asyncio.Queue(OUTBOX_LIMIT)
        self._zlib = zlib.compressobj() if request.query.get("compress") == "zlib-stream" else None
        self._received_at: deque[float] = deque(maxlen=_FRAMES_PER_MINUTE)
        self._alive_until = 0.0
        self.session: Session | None = None
        self.ws = web.WebSocketResponse(max_msg_size=_FRAME_LIMIT_BYTES * 4, timeout=0.5)

    async def run(self) -> web.WebSocketResponse:
        await self.ws.prepare(self._request)
        if self._gateway.faults.take_cut_before_hello():
            self._drop()
            return self.ws
        writer = asyncio.create_task(self._write(), name="sandbox gateway writer")
        try:
            self.send(10, {"heartbeat_interval": int(self._gateway.heartbeat_interval_s * 1000), "_trace": []})
            await self._read()
        except HangUp as why:
            self.hang_up(why.code, str(why))
            await asyncio.wait({writer}, timeout=2)
        finally:
            if self.session is not None:
                self.session.detach(self._outbox, time.monotonic())
                if self.ws.close_code in (1000, 1001):
                    self._gateway.forget(self.session)
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
        return self.ws

    def send(self, op: int, data: Any = None) -> None:
        """Queue a frame that belongs to no session; a full outbox drops it, and the client with it soon."""
        with contextlib.suppress(asyncio.QueueFull):
            self._outbox.put_nowait(json.dumps({"op": op, "s": None, "t": None, "d": data}))

    def hang_up(self, code: int, reason: str = "") -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self._outbox.put_nowait(Close(code, reason))

    def attach(self, session: Session) -> None:
        self.session = session
        session.attach(self._outbox)

    def _drop(self) -> None:
        """Cut the line without a close frame, as a lost network does."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def _write(self) -> None:
        while True:
            item = await self._outbox.get()
            if isinstance(item, str):
                with contextlib.suppress(ConnectionError):
                    await self._send_text(item)
            elif isinstance(item, Close):
                if item.code == 1006:
                    self._drop()
                else:
                    await self.ws.close(code=item.code, message=item.reason.encode())
                return
            else:
                assert_never(item)

    async def _send_text(self, text: str) -> None:
        if self._zlib is None:
            await self.ws.send_str(text)
        else:
            await self.ws.send_bytes(self._zlib.compress(text.encode()) + self._zlib.flush(zlib.Z_SYNC_FLUSH))

    async def _read(self) -> None:
        self._alive_until = time.monotonic() + self._gateway.heartbeat_interval_s * 2
        while True:
            left_s = self._alive_until - time.monotonic()
            try:
                message = await self.ws.receive(timeout=max(left_s, 0.001))
            except TimeoutError:
                raise HangUp(4009, "Session timed out.") from None
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            if len(message.data) > _FRAME_LIMIT_BYTES:
                raise HangUp(4002, "Error while decoding payload.")
            self._limit_rate()
            try:
                frame = _Frame.model_validate_json(message.data)
                self._handle(frame)
            except ValidationError:
                raise HangUp(4002, "Error while decoding payload.") from None

    def _limit_rate(self) -> None:
        now = time.monotonic()
        if len(self._received_at) == _FRAMES_PER_MINUTE and now - self._received_at[0] < 60:
            raise HangUp(4008, "Rate limited.")
        self._received_at.append(now)

    def _handle(self, frame: _Frame) -> None:
        if frame.op == 1:
            self._alive_until = time.monotonic() + self._gateway.heartbeat_interval_s * 2
            if not self._gateway.mute_heartbeats:
                self.send(11)
        elif frame.op == 2:
            if self.session is not None:
                raise HangUp(4005, "Already authenticated.")
            self._gateway.identify(self, Identify.model_validate(frame.d))
        elif frame.op == 6:
            if self.session is not None:
                raise HangUp(4005, "Already authenticated.")
            self._gateway.resume(self, Resume.model_validate(frame.d))
        elif self.session is None:
            raise HangUp(4003, "Not authenticated.")
        elif frame.op == 4:
            self._gateway.voice_request(self.session, VoiceRequest.model_validate(frame.d))
        elif frame.op == 8:
            self._gateway.members_request(self.session, MembersRequest.model_validate(frame.d))
        elif frame.op == 43:
            self._gateway.channel_info_request(self.session, ChannelInfoRequest.model_validate(frame.d))
        elif frame.op != 3:  # a presence, which nobody here looks at
            raise HangUp(4001, "Unknown opcode.")

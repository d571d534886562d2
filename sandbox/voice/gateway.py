"""The voice gateway, version 8: one websocket from HELLO to its close code."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from aiohttp import WSMsgType, web

from sandbox.voice.call import Call
from sandbox.voice.connection import VoiceConnection
from sandbox.voice.mls import MlsError
from sandbox.voice.ops import Close, Op
from sandbox.voice.transport import MODES, Mode, Transport

if TYPE_CHECKING:
    from sandbox.voice.server import VoiceServer

MESSAGE_BYTES: Final = 1 << 20
_LEAVING: Final = frozenset({1000, 1001, 4014})
"""Codes with which a client says that it does not come back to this session."""


class Refused(Exception):
    """The client did something for which Discord closes the websocket."""

    def __init__(self, code: Close) -> None:
        super().__init__(code.name)
        self.code = code


class VoiceGateway:
    def __init__(self, server: VoiceServer) -> None:
        self._server = server

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """aiohttp's handler for one websocket."""
        ws = web.WebSocketResponse(max_msg_size=MESSAGE_BYTES, timeout=1.0, autoping=False)
        await ws.prepare(request)
        settings = self._server.settings
        connection: VoiceConnection | None = None
        pump: asyncio.Task[None] | None = None
        try:
            interval_ms = int(settings.heartbeat_interval_s * 1000)
            await ws.send_json({"op": int(Op.HELLO), "d": {"v": 8, "heartbeat_interval": interval_ms}})
            connection = await self._authenticate(ws)
            connection.attach(ws, request.transport)
            pump = self._server.spawn(connection.pump(), f"voice-pump-{connection.user_id}")
            await self._converse(ws, connection)
        except Refused as refusal:
            self._server.counters[f"closed_{int(refusal.code)}"] += 1
            if connection is not None:
                connection.closed_with = refusal.code
            await ws.close(code=refusal.code)
        except (ConnectionError, RuntimeError):  # the client went away while it was being written to
            self._server.counters["closed_by_client"] += 1
        finally:
            if pump is not None:
                pump.cancel()
            if connection is not None:
                self._after(ws, connection)
        return ws

    def _after(self, ws: web.WebSocketResponse, connection: VoiceConnection) -> None:
        """A websocket ended: for good, or until its client resumes."""
        if not connection.detach(ws):
            return
        ours, theirs = connection.closed_with, ws.close_code
        over = not ours.resumable if ours is not None else theirs in _LEAVING
        if over:
            self._server.forget(connection)
        else:
            self._server.spawn(self._await_resume(connection), f"voice-resume-{connection.user_id}")

    async def _await_resume(self, connection: VoiceConnection) -> None:
        await asyncio.sleep(self._server.settings.resume_window_s)
        if not connection.attached:
            self._server.forget(connection)

    # the first message

    async def _authenticate(self, ws: web.WebSocketResponse) -> VoiceConnection:
        try:
            async with asyncio.timeout(self._server.settings.identify_timeout_s):
                while True:
                    op, data = await self._json(ws)
                    if op == Op.HEARTBEAT:
                        await ws.send_json({"op": int(Op.HEARTBEAT_ACK), "d": {"t": data["t"]}})
                    elif op == Op.IDENTIFY:
                        return self._identify(data)
                    elif op == Op.RESUME:
                        return self._resume(data)
                    else:
                        raise Refused(Close.NOT_AUTHENTICATED)
        except TimeoutError:
            raise Refused(Close.SESSION_TIMEOUT) from None
        except (KeyError, TypeError, ValueError):
            raise Refused(Close.BAD_PAYLOAD) from None

    def _identify(self, data: dict[str, Any]) -> VoiceConnection:
        ticket = self._server.find_ticket(str(data["token"]))
        user_id = int(data["user_id"])
        if ticket is None or user_id != ticket.user_id or int(data["server_id"]) != ticket.guild_id:
            raise Refused(Close.AUTHENTICATION_FAILED)
        if data["session_id"] != ticket.session_id:
            raise Refused(Close.SESSION_NO_LONGER_VALID)
        faults = self._server.faults(user_id)
        if faults.refuse_connections > 0:
            faults.refuse_connections -= 1
            raise Refused(Close(faults.refuse_code))
        if self._server.settings.require_dave and int(data.get("max_dave_protocol_version", 0)) < 1:
            raise Refused(Close.DAVE_REQUIRED)
        return self._server.admit(ticket, listens=bool(data.get("listens", True)))

    def _resume(self, data: dict[str, Any]) -> VoiceConnection:
        ticket = self._server.find_ticket(str(data["token"]))
        connection = self._server.connection(ticket.user_id, ticket.guild_id) if ticket is not None else None
        if connection is None or connection.attached or data["session_id"] != connection.ticket.session_id:
            raise Refused(Close.SESSION_NO_LONGER_VALID)
        if connection.faults.refuse_resumes > 0:
            connection.faults.refuse_resumes -= 1
            raise Refused(Close.SESSION_NO_LONGER_VALID)
        self._server.counters["resumed"] += 1
        connection.replay(int(data.get("seq_ack", -1)))
        connection.send_json(Op.RESUMED, None)
        return connection

    # the conversation

    async def _converse(self, ws: web.WebSocketResponse, connection: VoiceConnection) -> None:
        settings = self._server.settings
        patience_s = settings.heartbeat_interval_s * settings.heartbeat_grace
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_s
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    message = await ws.receive()
            except TimeoutError:
                raise Refused(Close.SESSION_TIMEOUT) from None
            try:
                if message.type is WSMsgType.TEXT:
                    body = json.loads(message.data)
                    if body["op"] == Op.HEARTBEAT:
                        deadline = loop.time() + patience_s
                    self._said(connection, _known(body["op"]), body["d"])
                elif message.type is WSMsgType.BINARY:
                    self._sent(connection, message.data)
                elif message.type is WSMsgType.PING:
                    await ws.pong(message.data)
                elif message.type is WSMsgType.PONG:
                    connection.ponged(message.data)
                else:
                    return
            except MlsError:
                raise Refused(Close.BAD_REQUEST) from None
            except (KeyError, IndexError, TypeError, ValueError):
                raise Refused(Close.BAD_PAYLOAD) from None

    def _call(self, connection: VoiceConnection) -> Call | None:
        """The call the connection is in; None when it was disconnected or replaced and only the close is on its way."""
        call = self._server.calls.get(connection.ticket.channel_id)
        return call if call is not None and call.members.get(connection.user_id) is connection else None

    def _said(self, connection: VoiceConnection, op: Op, data: Any) -> None:
        call = self._call(connection)
        if call is None:
            return
        if op is Op.HEARTBEAT:
            if "seq_ack" in data:
                connection.acknowledge(int(data["seq_ack"]))
            connection.send_json(Op.HEARTBEAT_ACK, {"t": data["t"]})
        elif op is Op.SELECT_PROTOCOL:
            self._select(call, connection, data)
        elif op is Op.SPEAKING:
            if int(data.get("ssrc", connection.ssrc)) != connection.ssrc:
                raise Refused(Close.BAD_REQUEST)
            call.speaking(connection, int(data["speaking"]))
        elif op is Op.CLIENT_CONNECT:
            call.announce_streams(connection, data)
        elif op is Op.TRANSITION_READY:
            call.group.ready(connection.user_id, int(data["transition_id"]))
        elif op is Op.INVALID_COMMIT:
            call.group.invalid(connection.user_id)
        elif op in (Op.IDENTIFY, Op.RESUME):
            raise Refused(Close.ALREADY_AUTHENTICATED)
        else:
            raise Refused(Close.UNKNOWN_OPCODE)

    def _sent(self, connection: VoiceConnection, data: bytes) -> None:
        call = self._call(connection)
        if call is None:
            return
        group, op, body = call.group, _known(data[0]), data[1:]
        if op is Op.KEY_PACKAGE:
            group.key_package(connection.user_id, body)
        elif op is Op.COMMIT_WELCOME:
            group.commit(connection.user_id, body)
        else:
            raise Refused(Close.UNKNOWN_OPCODE)

    def _select(self, call: Call, connection: VoiceConnection, data: dict[str, Any]) -> None:
        if data["protocol"] != "udp":
            raise Refused(Close.UNKNOWN_PROTOCOL)
        mode: Mode | None = next((mode for mode in MODES if mode == data["data"]["mode"]), None)
        if mode is None:
            raise Refused(Close.UNKNOWN_ENCRYPTION_MODE)
        connection.transport = Transport(mode)
        if connection.faults.sender_first:
            call.group.tell_sender(connection.user_id)
        connection.send_json(
            Op.SESSION_DESCRIPTION,
            {
                "mode": mode,
                "secret_key": list(connection.transport.key),
                "audio_codec": "opus",
                "video_codec": "H264",
                "media_session_id": connection.ticket.session_id,
                "dave_protocol_version": call.group.version,
            },
        )
        call.keyed(connection)

    async def _json(self, ws: web.WebSocketResponse) -> tuple[int, Any]:
        while (message := await ws.receive()).type is WSMsgType.PING:
            await ws.pong(message.data)
        if message.type is not WSMsgType.TEXT:
            raise ConnectionResetError("gone before it said who it is")
        body = json.loads(message.data)
        return int(body["op"]), body["d"]


def _known(number: Any) -> Op:
    """Raises Refused for an opcode that does not exist, and ValueError for what is no number."""
    try:
        return Op(number)
    except ValueError:
        if isinstance(number, int):
            raise Refused(Close.UNKNOWN_OPCODE) from None
        raise

"""The voice client of a simulated person: the same websocket, UDP and encryption that a real client uses."""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
import time
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, Final

import aiohttp

from sandbox.voice.connection import VoiceTicket
from sandbox.voice.member import DaveMember, Member, Reply
from sandbox.voice.ops import Op
from sandbox.voice.port import Address, Port
from sandbox.voice.transport import MODES, OPUS_PAYLOAD_TYPE, BadPacket, Mode, Rtp, Transport
from sandbox.voice.udp import DISCOVERY, DISCOVERY_BODY_BYTES, DISCOVERY_REQUEST

KEEPALIVE_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 10.0
HEARD_KEPT: Final = 50_000
HELD_PACKETS: Final = 500
"""Packets that came before their op 5 or their key wait for it, up to `HELD_S`; older ones give way."""
HELD_S: Final = 1.5


class ClientVoice:
    """One voice session of one person, from a ticket to `close`. Not to be used again after that."""

    def __init__(
        self,
        ticket: VoiceTicket,
        context: ssl.SSLContext,
        mode: Mode = MODES[0],
        *,
        listening: bool = False,
        member: Member | None = None,
    ) -> None:
        self.ticket = ticket
        self.dave: Member = member or DaveMember(ticket.user_id, ticket.channel_id)
        self.counters: Counter[str] = Counter()
        self.ssrc = 0
        self.heard: dict[int, deque[bytes]] = {}
        """By user, the Opus frames that came from them, when `listening`."""
        self.close_code: int | None = None
        self._context = context
        self._mode = mode
        self._listening = listening
        self._users: dict[int, int] = {}
        self._held: deque[tuple[float, Rtp]] = deque(maxlen=HELD_PACKETS)
        self._transport: Transport | None = None
        self._udp: Port | None = None
        self._http: aiohttp.ClientSession | None = None
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._discovered: asyncio.Future[tuple[str, int]] | None = None
        self._described = asyncio.Event()
        self._changed = asyncio.Event()
        self._seq_ack = -1

    async def open(self) -> None:
        """Connect, up to the transport key.

        Raises:
            ConnectionError: the server refused; `close_code` says how.
        """
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._context))
        self._ws = await self._http.ws_connect(f"wss://{self.ticket.endpoint}/?v=8", max_msg_size=1 << 20)
        identify = {
            "server_id": str(self.ticket.guild_id),
            "user_id": str(self.ticket.user_id),
            "session_id": self.ticket.session_id,
            "token": self.ticket.token,
            "max_dave_protocol_version": 1,
            "listens": self._listening,  # no word of Discord's: it spares the loopback audio that nobody hears
        }
        await self._send(Op.IDENTIFY, identify)
        reader = asyncio.create_task(self._read(), name=f"sandbox-voice-{self.ticket.user_id}")
        self._tasks.append(reader)
        waiter = asyncio.create_task(self._wait_described(), name=f"sandbox-voice-open-{self.ticket.user_id}")
        await asyncio.wait({reader, waiter}, return_when=asyncio.FIRST_COMPLETED, timeout=CONNECT_TIMEOUT_S)
        waiter.cancel()
        if not self._described.is_set():
            await self.close()
            raise ConnectionError(f"no voice connection: closed with {self.close_code}")

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, []
        if self._ws is not None:
            await self._ws.close(code=1000)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._udp is not None:
            self._udp.close()
        if self._http is not None:
            await self._http.close()

    def abort(self) -> None:
        """Cut the websocket without a word, as a lost network does; `close` is still to be called."""
        response = getattr(self._ws, "_response", None)
        if response is not None and response.connection is not None and response.connection.transport is not None:
            response.connection.transport.abort()

    async def wait_ready(self, timeout_s: float) -> bool:
        """Wait until frames can be sent; says whether they can. Does not wait while nobody else is there."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.dave.ready and self.dave.others and self.close_code is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return self.dave.ready

    async def speaking(self, flags: int) -> None:
        await self._send(Op.SPEAKING, {"speaking": flags, "delay": 0, "ssrc": self.ssrc})

    def send(self, packet: Rtp) -> None:
        """Encrypt for the transport and send; the payload is already end-to-end encrypted."""
        if self._udp is not None and self._transport is not None:
            self._udp.send(self._transport.seal(packet))

    # the websocket

    async def _wait_described(self) -> None:
        await self._described.wait()

    async def _send(self, op: Op, data: dict[str, Any]) -> None:
        if self._ws is not None and not self._ws.closed:
            await self._ws.send_str(json.dumps({"op": int(op), "d": data}))

    async def _answer(self, replies: Iterable[Reply]) -> None:
        for reply in replies:
            if reply.data is not None:
                await self._send(reply.op, reply.data)
            elif self._ws is not None and not self._ws.closed:
                await self._ws.send_bytes(bytes([reply.op]) + reply.body)

    async def _read(self) -> None:
        assert self._ws is not None  # noqa: S101  (open() made it)
        try:
            async for message in self._ws:
                if message.type is aiohttp.WSMsgType.TEXT:
                    body = json.loads(message.data)
                    self._seq_ack = body.get("seq", self._seq_ack)
                    await self._received(body["op"], body["d"])
                elif message.type is aiohttp.WSMsgType.BINARY:
                    self._seq_ack = int.from_bytes(message.data[:2], "big")
                    await self._answer(self.dave.received_binary(message.data[2], message.data[3:]))
                self._retry_held()
                self._changed.set()
        except ConnectionError:
            self.counters["cut"] += 1
        finally:
            self.close_code = self._ws.close_code or 1006
            self._changed.set()

    async def _received(self, op: int, data: Any) -> None:
        if op == Op.HELLO:
            beat = self._beat(data["heartbeat_interval"] / 1000)
            self._tasks.append(asyncio.create_task(beat, name=f"sandbox-voice-beat-{self.ticket.user_id}"))
        elif op == Op.READY:
            await self._greet(data)
        elif op == Op.SESSION_DESCRIPTION:
            self._transport = Transport(self._mode, bytes(data["secret_key"]))
            await self._send(Op.SPEAKING, {"speaking": 0, "delay": 0, "ssrc": self.ssrc})
            await self._answer(self.dave.described(data["dave_protocol_version"]))
            self._described.set()
        elif op == Op.SPEAKING:
            self._users[data["ssrc"]] = int(data["user_id"])
        else:
            await self._answer(self.dave.received(op, data))

    async def _greet(self, ready: dict[str, Any]) -> None:
        self.ssrc = ready["ssrc"]
        loop = asyncio.get_running_loop()
        self._discovered = loop.create_future()
        self._udp = Port.connected((ready["ip"], ready["port"]), self._datagram)
        self._udp.send(DISCOVERY.pack(DISCOVERY_REQUEST, DISCOVERY_BODY_BYTES, self.ssrc, b"", 0))
        address, port = await asyncio.wait_for(self._discovered, CONNECT_TIMEOUT_S)
        choice = {"address": address, "port": port, "mode": self._mode}
        await self._send(Op.SELECT_PROTOCOL, {"protocol": "udp", "data": choice})

    async def _beat(self, interval_s: float) -> None:
        """Heartbeats on the websocket and keepalives on UDP."""
        due, count = 0.0, 0
        while True:
            now = time.monotonic()
            if now >= due:
                due = now + interval_s
                await self._send(Op.HEARTBEAT, {"t": secrets.randbits(48), "seq_ack": self._seq_ack})
            if self._udp is not None:
                count += 1
                self._udp.send(count.to_bytes(8, "little"))
            await asyncio.sleep(min(KEEPALIVE_S, interval_s))

    # UDP

    def _datagram(self, data: bytes, address: Address) -> None:
        if len(data) == DISCOVERY.size and self._discovered is not None and not self._discovered.done():
            _, _, _, seen, port = DISCOVERY.unpack(data)
            self._discovered.set_result((seen.rstrip(b"\0").decode("ascii"), port))
        elif self._listening and self._transport is not None and len(data) > 8:
            self._hear(self._transport, data)

    def _hear(self, transport: Transport, data: bytes) -> None:
        try:
            packet = transport.open(data)
        except BadPacket:
            self.counters["bad_packets"] += 1
            return
        if packet.payload_type != OPUS_PAYLOAD_TYPE or not packet.payload:
            return  # video, or padding alone
        if self._held:
            self._retry_held()
        if self._held or not self._heard(packet):
            self._held.append((time.monotonic(), packet))

    def _heard(self, packet: Rtp) -> bool:
        user_id = self._users.get(packet.ssrc)
        frame = self.dave.decrypt(user_id, packet.payload) if user_id is not None else None
        if user_id is None or frame is None:
            return False
        self.heard.setdefault(user_id, deque(maxlen=HEARD_KEPT)).append(frame)
        return True

    def _retry_held(self) -> None:
        """In the order they came; what is too old is given up, so that nothing waits behind it for ever."""
        too_old = time.monotonic() - HELD_S
        while self._held and (self._heard(self._held[0][1]) or self._held[0][0] < too_old):
            self._held.popleft()

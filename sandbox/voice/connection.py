"""One client's voice session: what is sent to it, in order and numbered, and what is remembered for a resume.

The session outlasts its websocket: a client that was cut off may come back with op 7 and gets what it missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from sandbox.voice.faults import Faults
from sandbox.voice.ops import Close, Op
from sandbox.voice.port import Address
from sandbox.voice.transport import Transport

QUEUE_MESSAGES: Final = 2_000
"""A client that leaves more than this unread is cut off."""
REPLAY_MESSAGES: Final = 500
_LOOK_S: Final = 0.005
_UNNUMBERED: Final = frozenset({Op.HELLO, Op.READY, Op.HEARTBEAT_ACK, Op.RESUMED})


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceTicket:
    """What lets one user into one channel: the substance of Discord's VOICE_SERVER_UPDATE."""

    guild_id: int
    channel_id: int
    user_id: int
    session_id: str
    """The same as in the user's voice state."""
    token: str
    endpoint: str
    """Host and port of the voice gateway, without ``wss://``."""


class VoiceConnection:
    """A client in a call. `transport` and `address` are there once it chose its mode and was seen on UDP."""

    def __init__(self, ticket: VoiceTicket, ssrc: int, faults: Faults) -> None:
        self.ticket = ticket
        self.user_id = ticket.user_id
        self.ssrc = ssrc
        self.faults = faults
        self.transport: Transport | None = None
        self.address: Address | None = None
        self.heard_at_s = 0.0
        """When a datagram last came from it, on the loop's clock."""
        self.speaking = 0
        self.has_spoken = False
        self.mute = False
        self.deaf = False
        self.listens = True
        """False for simulated people who would throw away all they are sent: they are sent no audio."""
        self.closed_with: Close | None = None
        self._seq = -1
        self._asked = self._ponged = 0
        """The newest ping, and the newest that was answered."""
        self._replay: deque[tuple[int, str | bytes]] = deque(maxlen=REPLAY_MESSAGES)
        self._queue: asyncio.Queue[tuple[float, str | bytes]] = asyncio.Queue(QUEUE_MESSAGES)
        self._ws: web.WebSocketResponse | None = None
        self._wire_end: asyncio.BaseTransport | None = None

    # sending

    def send_json(self, op: Op, data: Any, *, delay_s: float = 0.0) -> None:
        """Queue a message; it and all after it wait for `delay_s`."""
        message: dict[str, Any] = {"op": int(op), "d": data}
        if op not in _UNNUMBERED:
            message["seq"] = self._next_seq()
        self._put(json.dumps(message), message.get("seq"), delay_s)

    def send_binary(self, op: Op, body: bytes, *, delay_s: float = 0.0) -> None:
        seq = self._next_seq()
        self._put(seq.to_bytes(2, "big") + bytes([op]) + body, seq, delay_s)

    @property
    def unsent(self) -> int:
        """Messages that wait for the websocket."""
        return self._queue.qsize() if self.attached else 0

    async def has_read(self) -> None:
        """Wait until the client has worked on all that was sent to it, or is gone: it answers a ping only then."""
        while self.unsent:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
        self._asked += 1
        ws, asked = self._ws, self._asked
        if ws is None or ws.closed:
            return
        with contextlib.suppress(ConnectionError, RuntimeError):
            await ws.ping(asked.to_bytes(4, "big"))
        while self._ws is ws and not ws.closed and self._ponged < asked:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)

    def ponged(self, data: bytes) -> None:
        """The client has answered a ping."""
        self._ponged = int.from_bytes(data[:4], "big")

    def acknowledge(self, seq: int) -> None:
        """The client has seen everything up to `seq`."""
        while self._replay and self._replay[0][0] <= seq:
            self._replay.popleft()

    def replay(self, after_seq: int) -> None:
        """Queue again what the client has not seen."""
        self._queue = asyncio.Queue(QUEUE_MESSAGES)
        for seq, payload in self._replay:
            if seq > after_seq:
                self._queue.put_nowait((0.0, payload))

    def _next_seq(self) -> int:
        self._seq = (self._seq + 1) & 0xFFFF
        return self._seq

    def _put(self, payload: str | bytes, seq: int | None, delay_s: float) -> None:
        if seq is not None:
            self._replay.append((seq, payload))
        try:
            self._queue.put_nowait((delay_s, payload))
        except asyncio.QueueFull:
            self.cut()

    # the websocket

    def attach(self, ws: web.WebSocketResponse, wire_end: asyncio.BaseTransport | None) -> None:
        self._ws, self._wire_end = ws, wire_end
        self.closed_with = None

    @property
    def attached(self) -> bool:
        return self._ws is not None

    def detach(self, ws: web.WebSocketResponse) -> bool:
        """Forget `ws` when it is the one in use; says whether it was."""
        if self._ws is not ws:
            return False
        self._ws = self._wire_end = None
        return True

    async def pump(self) -> None:
        """Send what is queued, for as long as the websocket lives."""
        queue, ws = self._queue, self._ws
        while ws is not None:
            delay_s, payload = await queue.get()
            if delay_s > 0:
                await asyncio.sleep(delay_s)
            try:
                if isinstance(payload, str):
                    await ws.send_str(payload)
                else:
                    await ws.send_bytes(payload)
            except (ConnectionError, RuntimeError):  # aiohttp's words for a websocket that has just closed
                return

    async def close(self, code: Close) -> None:
        """End the websocket with `code`; 1006 is a cut without a word."""
        self.closed_with = code
        if code is Close.ABNORMAL:
            self.cut()
        elif self._ws is not None:
            await self._ws.close(code=code)

    def cut(self) -> None:
        self.closed_with = Close.ABNORMAL
        if isinstance(self._wire_end, asyncio.Transport):
            self._wire_end.abort()

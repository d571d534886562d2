"""The loopback Discord's voice server: tickets, calls, and what tests and the demo do to them.

The rest of the sandbox tells it who sits where (`voice_state`) and asks it for tickets (`ticket`); clients then come to
`endpoint` by themselves. It knows no names, no permissions and no messages.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from sandbox.voice.call import Call, SpeakingChange
from sandbox.voice.certificate import Certificate
from sandbox.voice.connection import VoiceConnection, VoiceTicket
from sandbox.voice.faults import Faults
from sandbox.voice.gateway import VoiceGateway
from sandbox.voice.ops import Close, Op
from sandbox.voice.rounds import GroupSettings
from sandbox.voice.transport import MODES, Rtp
from sandbox.voice.udp import UdpServer


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceSettings:
    heartbeat_interval_s: float = 13.75
    heartbeat_grace: float = 3.0
    """So many intervals without a heartbeat end a session with 4009."""
    resume_window_s: float = 10.0
    """How long a cut session waits for its client."""
    identify_timeout_s: float = 10.0
    udp_idle_s: float = 300.0
    """A client that sent no datagram for so long is sent none; Discord's is 5 to 15 minutes."""
    ready_timeout_s: float = 2.0
    commit_timeout_s: float = 2.0
    require_dave: bool = True
    """Refuse clients without DAVE with 4017, as Discord does since March 2026."""


@dataclass(slots=True)
class _Seat:
    """What the rest of the sandbox said about a user in a server."""

    channel_id: int
    mute: bool = False
    deaf: bool = False
    ticket: VoiceTicket | None = field(default=None)


class VoiceServer:
    """Use as ``async with VoiceServer() as voice``; every task and socket of it ends with the block."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        settings: VoiceSettings | None = None,
        on_speaking: Callable[[SpeakingChange], None] | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        self.settings = settings or VoiceSettings()
        self.certificate = certificate or Certificate()
        self.calls: dict[int, Call] = {}
        """By channel, while somebody is connected."""
        self.counters: Counter[str] = Counter()
        self.endpoints: list[str] = []
        self._host = host
        self._on_speaking = on_speaking or (lambda _change: None)
        self._seats: dict[tuple[int, int], _Seat] = {}
        self._faults: dict[int, Faults] = {}
        self._ssrcs: set[int] = set()
        self._handed_on: dict[int, int] = {}
        """By user: the SSRC that their next session gets."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._client_context: ssl.SSLContext | None = None
        self._gateway = VoiceGateway(self)
        self._runner: web.AppRunner | None = None
        self._udp: UdpServer | None = None

    # lifetime

    async def __aenter__(self) -> Self:
        self._udp = UdpServer(self._host, self.relay, self.settings.udp_idle_s)
        application = web.Application()
        application.router.add_get("/", self._gateway.serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await self.open_endpoint()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._seats.clear()
        connections = list(self.connections())
        for connection in connections:
            self.forget(connection)
        await asyncio.gather(*(connection.close(Close.DISCONNECTED) for connection in connections))
        if self._runner is not None:
            await self._runner.cleanup()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._udp is not None:
            self._udp.close()
        await asyncio.sleep(0)

    async def open_endpoint(self) -> str:
        """Listen on one more port, as another voice server to move to; returns its address."""
        if self._runner is None:
            raise RuntimeError("the voice server is not running")
        site = web.TCPSite(self._runner, self._host, 0, ssl_context=self.certificate.server_context())
        await site.start()
        port = self._runner.addresses[-1][1]
        endpoint = f"localhost:{port}"
        self.endpoints.append(endpoint)
        return endpoint

    @property
    def endpoint(self) -> str:
        """Where clients are sent: the endpoint opened last."""
        return self.endpoints[-1]

    def ssl_context(self) -> ssl.SSLContext:
        """A client's context that trusts this server."""
        if self._client_context is None:
            self._client_context = self.certificate.client_context()
        return self._client_context

    # what the rest of the sandbox tells

    def ticket(self, *, guild_id: int, channel_id: int, user_id: int, session_id: str) -> VoiceTicket:
        """Let a user into a channel. The user's ticket before this one is void."""
        ticket = VoiceTicket(
            guild_id=guild_id,
            channel_id=channel_id,
            user_id=user_id,
            session_id=session_id,
            token=secrets.token_hex(8),
            endpoint=self.endpoint,
        )
        seat = self._seats.setdefault((guild_id, user_id), _Seat(channel_id))
        seat.channel_id, seat.ticket = channel_id, ticket
        return ticket

    def voice_state(
        self, *, guild_id: int, user_id: int, channel_id: int | None, mute: bool = False, deaf: bool = False
    ) -> None:
        """A user's voice state is now this; who left or moved is disconnected from where they were with 4014.

        `mute` and `deaf` are the server's and the user's own together: a deaf client is sent no audio. What was said
        before is relayed as it was then.
        """
        self.drain()
        connection = self.connection(user_id, guild_id)
        if channel_id is None:
            self._seats.pop((guild_id, user_id), None)
        else:
            seat = self._seats.setdefault((guild_id, user_id), _Seat(channel_id))
            seat.channel_id, seat.mute, seat.deaf = channel_id, mute, deaf
        if connection is None:
            return
        connection.mute, connection.deaf = mute, deaf
        if connection.ticket.channel_id != channel_id:
            self.forget(connection)
            self.spawn(connection.close(Close.DISCONNECTED), f"voice-close-{user_id}")

    # what tests and the demo do

    def faults(self, user_id: int) -> Faults:
        """What goes wrong for a user, now and after reconnects."""
        return self._faults.setdefault(user_id, Faults())

    def connections(self) -> Iterator[VoiceConnection]:
        return (connection for call in self.calls.values() for connection in call.members.values())

    def connection(self, user_id: int, guild_id: int | None = None) -> VoiceConnection | None:
        """The user's connection in a server; in any when none is named."""
        for connection in self.connections():
            if connection.user_id == user_id and guild_id in (None, connection.ticket.guild_id):
                return connection
        return None

    def connection_in(self, channel_id: int, user_id: int) -> VoiceConnection | None:
        """The user's connection in a channel."""
        call = self.calls.get(channel_id)
        return None if call is None else call.members.get(user_id)

    async def close(self, user_id: int, code: Close | int) -> None:
        """End a user's websocket with a close code; with 1006 and 4015 the session waits for a resume."""
        connection = self.connection(user_id)
        if connection is None:
            raise LookupError(f"user {user_id} is in no call")
        code = Close(code)
        if not code.resumable:
            self.forget(connection)
        await connection.close(code)

    def hand_on_ssrc(self, ssrc: int, user_id: int) -> None:
        """Give a user's next session an SSRC that somebody else had; that one's session must have ended by then."""
        self._handed_on[user_id] = ssrc

    def send_datagram(self, user_id: int, datagram: bytes) -> None:
        """Any bytes to a user's client over UDP."""
        connection = self.connection(user_id)
        if connection is None or self._udp is None:
            raise LookupError(f"user {user_id} is in no call")
        self._udp.send_raw(connection, datagram)

    async def move(self, user_id: int) -> VoiceTicket:
        """A new ticket on a new endpoint, for a VOICE_SERVER_UPDATE; the session so far is void when it is used."""
        connection = self.connection(user_id)
        if connection is None:
            raise LookupError(f"user {user_id} is in no call")
        await self.open_endpoint()
        old = connection.ticket
        return self.ticket(guild_id=old.guild_id, channel_id=old.channel_id, user_id=user_id, session_id=old.session_id)

    async def settled(self, channel_id: int, timeout_s: float = 60.0) -> None:
        """Wait until everyone connected to a channel is in its group and nothing is under way, and they know it.

        Clients do not confirm the last word (op 22), so once it is sent they are asked whether they have read it.

        Raises:
            TimeoutError: it did not settle in time.
        """
        async with asyncio.timeout(timeout_s):
            while channel_id not in self.calls:  # noqa: ASYNC110  (the first to come makes the call)
                await asyncio.sleep(0.01)
            call = self.calls[channel_id]
            await call.group.wait_settled()
            await asyncio.gather(*(m.has_read() for m in call.members.values() if not m.faults.commit_delay_s))

    def drain(self) -> None:
        """Relay what people sent until now: what `say` gave back has then arrived, or is in `faults.wire.lost`."""
        if self._udp is not None:
            self._udp.drain()

    @property
    def datagrams(self) -> Counter[str]:
        """What came and went over UDP."""
        return Counter() if self._udp is None else self._udp.counters

    # what the gateway asks

    @property
    def udp_address(self) -> tuple[str, int]:
        if self._udp is None:
            raise RuntimeError("the voice server is not running")
        return self._udp.address

    def find_ticket(self, token: str) -> VoiceTicket | None:
        for seat in self._seats.values():
            if seat.ticket is not None and secrets.compare_digest(seat.ticket.token, token):
                return seat.ticket
        return None

    def admit(self, ticket: VoiceTicket, *, listens: bool) -> VoiceConnection:
        """Begin a session; the user's session before it, if any, is closed."""
        old = self.connection(ticket.user_id, ticket.guild_id)
        connection = VoiceConnection(ticket, self._ssrc_for(ticket.user_id), self.faults(ticket.user_id))
        seat = self._seats[ticket.guild_id, ticket.user_id]
        connection.mute, connection.deaf, connection.listens = seat.mute, seat.deaf, listens
        if old is not None and old.ticket.channel_id != ticket.channel_id:
            self.forget(old)
        host, port = self.udp_address
        modes = {"modes": list(MODES), "experiments": []}
        connection.send_json(Op.READY, {"ssrc": connection.ssrc, "ip": host, "port": port, **modes})
        self._call(ticket).enter(connection)
        assert self._udp is not None  # noqa: S101  (clients come only while it is open)
        self._udp.add(connection)
        if old is not None:
            self._udp.remove(old)
            self._ssrcs.discard(old.ssrc)
            self.spawn(old.close(Close.DISCONNECTED), f"voice-close-{old.user_id}")
        return connection

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # inside

    def _call(self, ticket: VoiceTicket) -> Call:
        call = self.calls.get(ticket.channel_id)
        if call is None:
            assert self._udp is not None  # noqa: S101  (clients come only while it is open)
            call = self.calls[ticket.channel_id] = Call(
                ticket.guild_id, ticket.channel_id, self._udp.send, self._group_settings(), self._on_speaking
            )
        return call

    def _group_settings(self) -> GroupSettings:
        return GroupSettings(
            ready_timeout_s=self.settings.ready_timeout_s,
            commit_timeout_s=self.settings.commit_timeout_s,
            waits_for=lambda user_id: self.faults(user_id).commit_delay_s <= 0,
        )

    def forget(self, connection: VoiceConnection) -> None:
        """End a session for good; its websocket may live on until it is closed."""
        call = self.calls.get(connection.ticket.channel_id)
        if call is not None:
            call.exit(connection)
            if not call.members:
                call.close()
                del self.calls[call.channel_id]
        if self._udp is not None:
            self._udp.remove(connection)
        self._ssrcs.discard(connection.ssrc)

    def relay(self, connection: VoiceConnection, packet: Rtp) -> None:
        """A packet came from a client."""
        call = self.calls.get(connection.ticket.channel_id)
        if call is not None:
            call.relay(connection, packet)

    def _ssrc_for(self, user_id: int) -> int:
        handed_on = self._handed_on.pop(user_id, None)
        if handed_on is None or handed_on in self._ssrcs:
            return self._new_ssrc()
        self._ssrcs.add(handed_on)
        return handed_on

    def _new_ssrc(self) -> int:
        while True:
            ssrc = secrets.randbits(31) << 1  # even: the odd one beside it is the user's video
            if ssrc and ssrc not in self._ssrcs:
                self._ssrcs.add(ssrc)
                return ssrc

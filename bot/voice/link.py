"""A link: one voice channel that is listened to, from joining it to leaving it, whatever happens in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

import discord

from . import compat, logs
from .connection import HearingClient, NoAnswer, NotAsked, final_reason
from .counters import ReceiveCounters
from .dave import DaveSession
from .door import misuse, refusal
from .errors import CannotJoin
from .eventlog import event_log
from .faults import survive
from .reader import SocketReader
from .receiver import Receiver
from .sound import Sound, packets_of, say
from .states import ConsentGate, FrameSink, LinkState, OpusTap, Reason, StateListener
from .supervisor import TRIES_S, TRY_TIMEOUT_S, Supervisor

CLOSE_TIMEOUT_S: Final = 5.0
_log = event_log(__name__)


async def connect(
    channel: discord.VoiceChannel | discord.StageChannel,
    *,
    sink: FrameSink,
    consent: ConsentGate,
    on_state: StateListener,
    tap: OpusTap | None = None,
    deaf: bool = False,
) -> VoiceLink:
    """Join `channel` and listen to those whom `consent` lets through; with `deaf`, people see the bot deafened.

    `on_state` is called on the event loop at each change of state or reason, beginning with CONNECTING.

    Raises:
        CannotJoin: the bot is in a call of this server already or is not told about voice, the channel is full or
            closed to it, Discord refused or did not answer, or three tries failed.
        IncompatibleLibrary: discord.py or davey is not the version this layer knows.
    """
    compat.require()
    link = VoiceLink(channel, sink=sink, consent=consent, on_state=on_state, tap=tap, deaf=deaf)
    try:
        await link.open()
    except BaseException:
        await link.close()
        raise
    return link


class VoiceLink:
    """Made by `connect()`. Ends by `close()`, or by itself in the state FAILED."""

    def __init__(
        self,
        channel: Any,
        *,
        sink: FrameSink,
        consent: ConsentGate,
        on_state: StateListener,
        tap: OpusTap | None = None,
        deaf: bool = False,
    ) -> None:
        logs.protect()
        self.state = LinkState.CONNECTING
        self.reason = Reason.JOINING
        self._on_state = on_state
        self.receiver = Receiver(self, sink=sink, consent=consent, tap=tap)
        self._reader = SocketReader(self.receiver, asyncio.get_running_loop())
        self._client = self._client_for(channel)
        self._client.connection.shown_deaf = deaf
        self._retired: list[HearingClient] = []
        """Voice clients of `discord.Client`s that have ended; each is taken down when the next one joins."""
        self._supervisor = Supervisor(self, self.receiver, self._tell)
        self._task: asyncio.Task[None] | None = None
        self._entered = self._closing = False
        self._announce()

    # -- the contract -----------------------------------------------------------------------------------------------

    @property
    def counters(self) -> ReceiveCounters:
        return self.receiver.counters

    def tallies(self) -> Mapping[str, int]:
        """The counters by name: what came, and why what was dropped was dropped."""
        return self.receiver.counters.as_dict()

    @property
    def slowest_s(self) -> float:
        """The longest that packets kept the event loop at a stretch, in seconds."""
        return self._reader.slowest_s

    @property
    def latency_s(self) -> float | None:
        """Of the voice gateway, between a heartbeat and its answer; None before the first."""
        latency: float | None = getattr(self._client.connection.ws, "latency_s", None)
        return latency

    @property
    def channel_id(self) -> int:
        """The channel that is listened to now; another one after the bot was moved."""
        return int(self._client.channel.id)

    def now_samples(self) -> int:
        """The session's timeline: samples at 16 kHz since the link was made."""
        return self.receiver.now_samples()

    def discard(self, user_id: int) -> None:
        """Forget everything of a user that came until now: when consent is withdrawn, and before it is given."""
        self._reader.catch_up()  # what lies in the socket came before, too
        self.receiver.discard(user_id)

    def adopt(self, channel: discord.VoiceChannel | discord.StageChannel) -> None:
        """Go on with another `discord.Client`, whose `channel` this is: the last one has ended for good."""
        self._client.connection.interrupt()
        self._retired.append(self._client)
        shown_deaf = self._client.connection.shown_deaf
        self._client = self._client_for(channel)
        self._client.connection.shown_deaf = shown_deaf
        self._lost(Reason.CONNECTION_LOST, None)

    async def play(self, sound: Sound) -> bool:
        """Play a short sound into the channel, in real time; False when nobody can hear it: there is no connection,
        the bot is suppressed on a stage, or the server muted it.
        """
        packets = packets_of(sound)
        if self.state is not LinkState.LISTENING or self._client.connection.inaudible:
            return False
        try:
            await say(self._client, packets, wanted=lambda: self.state is LinkState.LISTENING)
        except (OSError, discord.ClientException):
            return False
        return True

    async def close(self) -> None:
        """Leave the channel. Safe to call at any time, and more than once."""
        if self._closing:
            return
        self._closing = True
        task, self._task = self._task, None
        try:
            if task is not None and task is not asyncio.current_task():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            if self._entered:
                await self._leave()
        finally:
            if self.registered:  # cut off, or too slow: the server's next call must not wait for this one
                self._client.cleanup()
        if self.state is not LinkState.FAILED:
            self._tell(LinkState.CLOSED, Reason.CLOSED)

    def _client_for(self, channel: Any) -> HearingClient:
        return HearingClient(
            compat.client_of(channel), channel, receiver=self.receiver, reader=self._reader, lost=self._lost
        )

    # -- opening and ending -----------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Join, with up to three tries.

        Raises:
            CannotJoin: it did not work.
        """
        reason = misuse(self._client.channel) or refusal(self._client.channel)
        if reason is not None:
            self._tell(LinkState.FAILED, reason)
            raise CannotJoin(reason)
        self._entered = True
        self.register()  # from here on, nobody else joins a call of this server
        reason = Reason.GAVE_UP
        for wait_s in TRIES_S:
            await asyncio.sleep(wait_s)
            if self._supervisor.final is not None:  # taken out meanwhile: stay out
                break
            try:
                async with asyncio.timeout(TRY_TIMEOUT_S + 1.0):
                    await self._client.connection.join(TRY_TIMEOUT_S)
            except (NoAnswer, NotAsked) as error:
                self.receiver.journal.failed("join", error, None)
                reason = Reason.RATE_LIMITED if isinstance(error, NotAsked) else Reason.NO_ANSWER
                break
            except Exception as error:  # noqa: BLE001 - whatever it is, the next try may work
                code = compat.close_code(error)
                _log.warning("voice_join_failed", error=type(error).__name__, close_code=code)
                self.receiver.journal.failed("join", error, code)
                if (final := final_reason(code)) is not None:
                    reason = final
                    break
            else:
                self._tell(LinkState.LISTENING, Reason.JOINED)
                self._task = asyncio.create_task(self._supervise(), name=f"voice-supervisor-{self.channel_id}")
                return
        reason = self._supervisor.final or reason
        self._tell(LinkState.FAILED, reason)
        raise CannotJoin(reason)

    async def _supervise(self) -> None:
        try:
            reason = await self._supervisor.run()
            if reason is Reason.GAVE_UP:
                reason = refusal(self._client.channel) or reason
        except Exception as error:  # noqa: BLE001 - a defect here must end in words, not in silence
            survive(self.counters, "voice_supervisor_failed", error)
            reason = Reason.GAVE_UP
        _log.warning("voice_link_failed", reason=reason.code, channel_id=self.channel_id)
        await self._leave()
        self._tell(LinkState.FAILED, reason)

    async def _leave(self) -> None:
        await self._retire()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._client.connection.leave()
        except (TimeoutError, OSError, discord.DiscordException) as error:
            _log.warning("voice_leave_failed", error=type(error).__name__)
        finally:
            self._reader.close()
            self.receiver.connection_began()

    def _lost(self, reason: Reason, code: int | None) -> None:
        self._supervisor.lost(reason, code)

    def _tell(self, state: LinkState, reason: Reason) -> None:
        """Tell a change. Being back is told once, and then being there is no news."""
        if (state, reason) == (self.state, self.reason):
            return
        if state is self.state is LinkState.LISTENING and reason is Reason.JOINED and self.reason is Reason.REJOINED:
            return
        self.state, self.reason = state, reason
        self._announce()

    def _announce(self) -> None:
        try:
            self._on_state(self.state, self.reason)
        except Exception as error:  # noqa: BLE001 - who is told must not end what is told of
            survive(self.counters, "state_listener_failed", error)

    # -- what the receiver and the supervisor ask -------------------------------------------------------------------

    def transport(self) -> tuple[str, bytes] | None:
        transport: tuple[str, bytes] | None = self._client.connection.transport()
        return transport

    def dave(self) -> tuple[DaveSession | None, int]:
        connection = self._client.connection
        return connection.dave_session, connection.dave_protocol_version

    @property
    def watching(self) -> bool:
        return bool(self._client.connection.watching)

    @property
    def registered(self) -> bool:
        return bool(self._client.connection.registered)

    def is_connected(self) -> bool:
        return bool(self._client.connection.is_connected())

    def unanswered_s(self) -> float:
        return float(self._client.connection.ws.unanswered_s)

    def voice_state(self) -> tuple[bool, bool]:
        connection = self._client.connection
        connection.refresh_channel()
        place: tuple[bool, bool] = connection.place
        return place

    def gateway_up(self) -> bool:
        return self._client.connection.gateway_session is not None

    def register(self) -> None:
        self._client.connection.register()

    def send_keepalive(self, counter: int) -> None:
        self._reader.send(counter.to_bytes(8, "little"))

    async def join(self, timeout_s: float) -> None:
        await self._retire()
        await self._client.connection.join(timeout_s)

    async def _retire(self) -> None:
        while self._retired:
            with contextlib.suppress(TimeoutError, OSError, discord.DiscordException):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._retired.pop().connection.tear_down(for_good=True)

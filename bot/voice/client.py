"""Three subclasses of discord.py's voice classes: a connection that hears, and that says when it no longer does.

What they change, each for a defect that ends a receiving bot (see `docs/voice.md`): messages of the voice gateway that
cannot be handled are counted and survived; the socket is read on the event loop; a commit key that comes early is kept;
and every way in which a connection ends is reported to one place, which decides what to do. Nothing here reconnects.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Final

import discord
from discord.errors import ConnectionClosed

from . import compat
from .compat import ConnectionSeam, EncryptingClient, WebSocketSeam
from .dave import DaveSession, is_panic
from .faults import survive
from .reader import SocketReader, VoiceSocket
from .receiver import Receiver
from .states import Reason
from .transport import MODES, seal_gcm

Lost = Callable[[Reason, int | None], None]
"""Told once for each connection that ended: why, and the close code if there was one."""

CLOSE_WAIT_S: Final = 1.0
FOLLOW_WAIT_S: Final = 3.0
FOLLOW_TIMEOUT_S: Final = 8.0
DISCOVERY_WAIT_S: Final = 0.5
DISCOVERY_TRIES: Final = 6
_FINAL_CODES: Final = {
    4014: Reason.CALL_ENDED,
    4017: Reason.DAVE_REFUSED,
    4021: Reason.RATE_LIMITED,
    4022: Reason.CALL_ENDED,
}
"""Close codes after which coming back is pointless or forbidden. 4014 only when no other voice server follows."""


def final_reason(code: int | None) -> Reason | None:
    """Why a close code forbids coming back; None when it does not."""
    return None if code is None else _FINAL_CODES.get(code)


class HearingWebSocket(WebSocketSeam):
    """The voice websocket; whatever comes over it, the task that reads it lives on."""

    _early_sender: bytes | None = None
    _described = False

    async def received_message(self, msg: dict[str, Any]) -> None:
        op = msg.get("op") if isinstance(msg, dict) else None
        essential = op in (self.READY, self.SESSION_DESCRIPTION, self.HELLO) and not self._described
        await self._guarded(super().received_message(msg), op, essential=essential)
        try:
            self._note(op, msg.get("d"))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            self._survived(error, op)

    async def received_binary_message(self, msg: bytes) -> None:
        op = msg[2] if len(msg) > 2 else None
        if op == self.MLS_EXTERNAL_SENDER and not self._described:
            self._early_sender = bytes(msg[3:])
        panicked = await self._guarded(super().received_binary_message(msg), op)
        if panicked and op in (self.MLS_ANNOUNCE_COMMIT_TRANSITION, self.MLS_WELCOME) and len(msg) >= 5:
            await self._guarded(self.connection.recover_from_bad_commit(struct.unpack_from(">H", msg, 3)[0]), op)
        self.connection.receiver.keys_changed()
        self.connection.reader.work()

    def _note(self, op: object, data: Any) -> None:
        """Take from a message what receiving needs."""
        receiver: Receiver = self.connection.receiver
        if op == self.SPEAKING or (op == self.CLIENT_CONNECT and data.get("audio_ssrc")):
            ssrc = int(data["ssrc" if op == self.SPEAKING else "audio_ssrc"])
            user_id = int(data["user_id"])
            if not (0 <= ssrc < 1 << 32 and 0 < user_id < 1 << 64):
                raise ValueError("no SSRC, or no user")
            receiver.speaking(user_id, ssrc)
        elif op == self.CLIENT_DISCONNECT:
            receiver.left(int(data["user_id"]))
        elif op == self.SESSION_DESCRIPTION:
            self._described = True
            self._use_early_sender()
            receiver.keys_changed()
        elif op in (self.DAVE_PREPARE_TRANSITION, self.DAVE_EXECUTE_TRANSITION, self.DAVE_PREPARE_EPOCH):
            receiver.keys_changed()
        else:
            return
        self.connection.reader.work()

    def _use_early_sender(self) -> None:
        """Op 25 may come before op 4, when there is no session yet to take it."""
        sender, self._early_sender = self._early_sender, None
        session = self.connection.dave_session
        if sender is not None and session is not None:
            try:
                session.set_external_sender(sender)
            except BaseException as error:
                if not (isinstance(error, ValueError) or is_panic(error)):
                    raise
                self._survived(error, self.MLS_EXTERNAL_SENDER)

    async def _guarded(self, handling: Awaitable[None], op: object, *, essential: bool = False) -> bool:
        """Await discord.py's handling of a message; True when a library panicked over it."""
        try:
            await handling
        except ConnectionClosed:
            raise
        except Exception as error:
            if essential:
                raise
            self._survived(error, op)
        except BaseException as error:
            if not is_panic(error):
                raise
            self._survived(error, op)
            return True
        return False

    def _survived(self, error: BaseException, op: object) -> None:
        counters = self.connection.receiver.counters
        counters.gateway_errors += 1
        survive(counters, "voice_gateway_message_failed", error, op=op if isinstance(op, int) else -1)

    async def discover_ip(self) -> tuple[str, int]:
        """Ask the voice server for our address; a request that is lost on the way is repeated."""
        connection = self.connection
        request = struct.pack(">HHI66x", 1, 70, connection.ssrc)
        for attempt in range(DISCOVERY_TRIES):
            try:
                answer = await connection.reader.discover(request, DISCOVERY_WAIT_S)
            except TimeoutError:
                if attempt == DISCOVERY_TRIES - 1:
                    raise
                continue
            address, _, _ = answer[8:72].partition(b"\0")
            return address.decode("ascii", "replace"), int.from_bytes(answer[72:74], "big")
        raise TimeoutError

    async def close(self, code: int = 1000) -> None:
        """Close without waiting for a server that no longer answers."""
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(CLOSE_WAIT_S):
                await super().close(code)


class HearingConnection(ConnectionSeam):
    """The connection; it reports its end and leaves coming back to the supervisor."""

    def __init__(self, client: HearingClient) -> None:
        self.receiver = client.receiver
        self.reader = client.reader
        self._lost = client.lost
        self._interrupted = asyncio.Event()
        self._joined = False
        self._session: str | None = None
        super().__init__(client)

    def make_socket(self) -> VoiceSocket:
        return self.reader.open()

    async def make_websocket(self) -> HearingWebSocket:
        self.forget_keys()
        self.receiver.connection_began()
        return await HearingWebSocket.from_connection_state(self)

    def dave(self) -> tuple[DaveSession | None, int]:
        return self.dave_session, self.dave_protocol_version

    async def join(self, timeout_s: float) -> None:
        """Leave whatever is left of the last connection and make a new one.

        Raises:
            TimeoutError, ConnectionClosed, OSError: as `handshake`; InterruptedError: Discord changed its mind.
        """
        if self._joined:
            await self.tear_down(for_good=False)
        self._joined = True
        self.refresh_channel()
        self.register()
        self._interrupted.clear()
        handshake = asyncio.create_task(self.handshake(timeout_s), name="voice-handshake")
        interrupted = asyncio.create_task(self._interrupted.wait(), name="voice-handshake-interrupted")
        try:
            await asyncio.wait({handshake, interrupted}, return_when=asyncio.FIRST_COMPLETED)
            if not handshake.done():
                raise InterruptedError("another voice server or channel")
            handshake.result()
        finally:
            for task in (handshake, interrupted):
                task.cancel()
            await asyncio.gather(handshake, interrupted, return_exceptions=True)
        self._session = self.gateway_session
        self.settle()

    def interrupt(self) -> None:
        """Give up a handshake that is under way."""
        self._interrupted.set()

    async def leave(self) -> None:
        """End it for good."""
        await self.tear_down(for_good=True)
        self.reader.close()

    async def watch(self) -> None:
        while True:
            try:
                await self.ws.poll_event()
            except (ConnectionClosed, TimeoutError, OSError) as error:
                code = compat.close_code(error)
                if code == 1000 and self.leaving:
                    return
                if code == 4014 and await self._follow():
                    continue
                self._lost(self._why(code), code)
                return
            except ValueError as error:  # a message that is no JSON
                self.receiver.counters.gateway_errors += 1
                survive(self.receiver.counters, "voice_gateway_message_failed", error, op=-1)

    def _why(self, code: int | None) -> Reason:
        """What a close code means. 4014 is final only by a word of the gateway session that brought us here: when that
        session is lost, Discord takes us out of the call without anybody having wished so."""
        if code == 4014 and self.gateway_session != self._session:
            return Reason.CONNECTION_LOST
        return final_reason(code) or Reason.CONNECTION_LOST

    async def _follow(self) -> bool:
        """After 4014: connect to the voice server that Discord names next, if it names one."""
        with contextlib.suppress(TimeoutError, ConnectionClosed, OSError):
            async with asyncio.timeout(FOLLOW_TIMEOUT_S):
                followed = await self.follow(FOLLOW_WAIT_S)
                self.receiver.counters.reconnects += followed
                return followed
        return False

    async def voice_state_update(self, data: Any) -> None:
        """The gateway says where we are now."""
        if data["channel_id"] is None:
            if not self.note_left():
                self._lost(Reason.REMOVED if self.channel_exists else Reason.CHANNEL_GONE, None)
            return
        channel_id = int(data["channel_id"])
        if not self.at_rest and channel_id != self.voice_client.channel.id:
            # discord.py would start a second handshake beside the first, and each would undo the other.
            self.enter_channel(channel_id)
            self.interrupt()
            return
        await super().voice_state_update(data)

    async def voice_server_update(self, data: Any) -> None:
        """The gateway names the voice server to use."""
        if not self.at_rest and data.get("endpoint") and data["token"] != self.token:
            self.interrupt()
            return
        await super().voice_server_update(data)


class HearingClient(EncryptingClient):
    """A `VoiceClient` that hears. Made by `bot.voice.link`, never by `channel.connect()`."""

    supported_modes = MODES  # type: ignore[assignment]  # discord.py's Literal lacks the AES mode

    def __init__(
        self, client: discord.Client, channel: Any, *, receiver: Receiver, reader: SocketReader, lost: Lost
    ) -> None:
        self.receiver = receiver
        self.reader = reader
        self.lost = lost
        super().__init__(client, channel)

    def create_connection_state(self) -> HearingConnection:
        return HearingConnection(self)

    def _encrypt_aead_aes256_gcm_rtpsize(self, header: bytes, data: bytes) -> bytes:
        return seal_gcm(bytes(header), bytes(data), self.next_nonce(), bytes(self.secret_key))

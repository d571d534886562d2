"""The voice connection: a session that hears, goes on after a cut where it can, and says when it no longer does.

Together with `bot.voice.websocket` it subclasses discord.py's voice classes. Each change is for a defect that ends a
receiving bot, or for a word of Discord's documentation (see `docs/voice.md`). Where the session cannot go on, its end
is reported to one place, the supervisor, which decides what to do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

import discord
from discord.errors import ConnectionClosed

from . import compat
from .compat import ConnectionSeam, EncryptingClient
from .dave import DaveSession
from .faults import survive
from .reader import SocketReader, VoiceSocket
from .receiver import Receiver
from .states import Reason
from .transport import MODES
from .websocket import HearingWebSocket

Lost = Callable[[Reason, int | None], None]
"""Told once for each connection that ended: why, and the close code if there was one."""

_ELSEWHERE: Final = "another voice server, channel or gateway session"
_GOES_ON: Final = 0
_LOOK_S: Final = 0.02
ANSWER_WAIT_S: Final = 8.0
"""Discord does not answer a request to join that it refuses; after so long without a word, it is refused."""
FOLLOW_WAIT_S: Final = 4.0
"""How long the main gateway has to say what a close by the voice server means."""
REALLOCATION_WAIT_S: Final = 4.0
"""How much longer when it said that another voice server is being looked for."""
MIND_WAIT_S: Final = 1.0
"""How long it has when the voice server closes during a handshake."""
FOLLOW_TIMEOUT_S: Final = 9.0
RESUME_WAITS_S: Final = (0.0, 0.5, 1.5)
RESUME_TIMEOUT_S: Final = 3.0
_FINAL_CODES: Final = {4014: Reason.CALL_ENDED, 4017: Reason.DAVE_REFUSED, 4021: Reason.RATE_LIMITED}
"""Close codes after which joining again is pointless or forbidden."""
_DECIDED_ELSEWHERE: Final = frozenset({4014, 4022})
"""Close codes that come when we are taken out, when the call ends and when it moves to another voice server. What the
main gateway says next decides: a VOICE_SERVER_UPDATE is followed, being in no channel is the end."""


def final_reason(code: int | None) -> Reason | None:
    """Why a close code forbids coming back; None when it does not."""
    return None if code is None else _FINAL_CODES.get(code)


def resumable(code: int | None) -> bool:
    """Whether the voice session outlives this end of its websocket: a cut, or a crash of the voice server."""
    return code is None or code < 4000 or code == 4015


class NoAnswer(TimeoutError):
    """Discord said nothing at all to a request to join."""


class NotAsked(TimeoutError):
    """The request itself waits: Discord takes so many messages a minute from one shard of a bot, and no more."""


class HearingConnection(ConnectionSeam):
    """The connection; it reports its end and leaves coming back to the supervisor."""

    def __init__(self, client: HearingClient) -> None:
        self.receiver = client.receiver
        self.reader = client.reader
        self._lost = client.lost
        self._interrupted = asyncio.Event()
        self._answered = False
        """Whether the main gateway has said anything about us since the last request to join."""
        self._reallocating = False
        self._following = False
        """Whether we wait for the voice server that is named next, and connect to it."""
        self._seated = False
        """Whether the main gateway has had us in a channel since then: who is in none cannot be taken out of one."""
        self._joined = False
        self._session: str | None = None
        super().__init__(client)

    def make_socket(self) -> VoiceSocket:
        return self.reader.open()

    async def make_websocket(self) -> HearingWebSocket:
        self.reader.catch_up()
        self.forget_keys()
        self.receiver.connection_began()
        return await HearingWebSocket.from_connection_state(self)

    def dave(self) -> tuple[DaveSession | None, int]:
        return self.dave_session, self.dave_protocol_version

    async def join(self, timeout_s: float) -> None:
        """Leave whatever is left of the last connection and make a new one.

        Raises:
            TimeoutError, ConnectionClosed, OSError: as `handshake`; InterruptedError: Discord changed its mind;
                NoAnswer: it said nothing at all; NotAsked: it could not be asked in time.
        """
        if self._joined:
            await self.tear_down(for_good=False)
        self._joined = True
        self.refresh_channel()
        self.register()
        self._interrupted.clear()
        self._answered = self._reallocating = self._seated = False
        session = self.gateway_session
        handshake = asyncio.create_task(self.handshake(timeout_s), name="voice-handshake")
        interrupted = asyncio.create_task(self._interrupted.wait(), name="voice-handshake-interrupted")
        try:
            waiting = {handshake, interrupted}
            await asyncio.wait(waiting, timeout=ANSWER_WAIT_S, return_when=asyncio.FIRST_COMPLETED)
            if not handshake.done() and not self._answered:
                raise NotAsked if self.apart else NoAnswer
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if handshake.done():
                handshake.result()
        except ConnectionClosed as error:
            if error.code in _DECIDED_ELSEWHERE and await self._otherwise(session):
                raise InterruptedError(_ELSEWHERE) from error
            raise
        finally:
            for task in (handshake, interrupted):
                task.cancel()
            await asyncio.gather(handshake, interrupted, return_exceptions=True)
        if (
            self._interrupted.is_set() or self.gateway_session != session
        ):  # also where the handshake with the last one had just come to its end
            raise InterruptedError(_ELSEWHERE)
        self._session = self.gateway_session
        self.settle()
        self.receiver.journal.note("connected")

    async def _otherwise(self, session: str | None) -> bool:
        """Whether the voice server closed because we were moved, or taken out, or the gateway's session was lost."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MIND_WAIT_S):
                while self.gateway_session == session and not self._interrupted.is_set():  # noqa: ASYNC110 - two events
                    await asyncio.sleep(_LOOK_S)
                return True
        return False

    def interrupt(self) -> None:
        """Give up a handshake that is under way."""
        self._interrupted.set()

    async def leave(self) -> None:
        """End it for good."""
        self.reader.catch_up()
        await self.tear_down(for_good=True)
        self.reader.close()

    async def watch(self) -> None:
        while True:
            try:
                await self.ws.poll_event()
                continue
            except (ConnectionClosed, TimeoutError, OSError) as error:
                code = compat.close_code(error)
            except ValueError as error:  # a message that is no JSON
                self.receiver.counters.gateway_errors += 1
                survive(self.receiver.counters, "voice_gateway_message_failed", error, op=-1)
                continue
            if code == 1000 and self.leaving:
                return
            self.receiver.journal.note("voice_websocket_closed", code=code if code is not None else 0)
            if resumable(code) and (code := await self._resume(code)) == _GOES_ON:
                continue
            elsewhere = code in _DECIDED_ELSEWHERE or not self.is_connected()
            if elsewhere and (code := await self._follow(code)) == _GOES_ON:
                continue
            self._lost(self._why(code), code)
            return

    async def _resume(self, code: int | None) -> int | None:
        """Try to go on with the same session: `_GOES_ON`, or the close code that counts instead."""
        counters, journal = self.receiver.counters, self.receiver.journal
        for wait_s in RESUME_WAITS_S:
            await asyncio.sleep(wait_s)
            try:
                async with asyncio.timeout(RESUME_TIMEOUT_S):
                    await self.resume(HearingWebSocket)
            except Exception as error:  # noqa: BLE001 - whatever it is, a new connection is the way then
                counters.resumes_failed += 1
                refused = compat.close_code(error)
                journal.note("resume_failed", code=refused if refused is not None else 0)
                if not resumable(refused):
                    return refused
            else:
                counters.resumes += 1
                journal.note("resumed")
                return _GOES_ON if self.is_connected() else None  # None: another voice server was named meanwhile
            if not self.is_connected():  # another voice server was named meanwhile
                break
        return code

    def _why(self, code: int | None) -> Reason:
        """What a close code means. 4014 and 4022 are final only while the gateway session that brought us here lasts:
        when it is lost, Discord takes us out of the call without anybody having wished so. And where another voice
        server was named, the call goes on there, though it could not be connected to at first."""
        if code in _DECIDED_ELSEWHERE:
            over = self.gateway_session == self._session and not self.named
            return Reason.CALL_ENDED if over else Reason.CONNECTION_LOST
        return final_reason(code) or Reason.CONNECTION_LOST

    async def _follow(self, code: int | None) -> int | None:
        """Connect to the voice server that Discord names next, if it names one: `_GOES_ON`, or the close code that
        counts instead, which is that server's own where it forbids coming back."""
        self.await_server()
        followed, self._following = False, True
        try:
            async with asyncio.timeout(FOLLOW_TIMEOUT_S):
                followed = await self.follow(FOLLOW_WAIT_S)
                if not followed and self._reallocating:
                    followed = await self.follow(REALLOCATION_WAIT_S)
        except Exception as error:  # noqa: BLE001 - whatever it is, a new connection is the way then
            refused = compat.close_code(error)
            if refused not in _DECIDED_ELSEWHERE and final_reason(refused) is not None:
                code = refused
        finally:
            self._following = False
        self.receiver.counters.reconnects += followed
        self.receiver.journal.note("followed" if followed else "not_followed")
        return _GOES_ON if followed else code

    async def voice_state_update(self, data: Any) -> None:
        """The gateway says where we are now."""
        self._answered = True
        if data["channel_id"] is None:
            if not self.note_left() and self._seated:  # otherwise it is the word on our leaving before this request
                self._lost(Reason.REMOVED if self.channel_exists else Reason.CHANNEL_GONE, None)
                self.interrupt()
            return
        self._seated = True
        self.shown_deaf = bool(data.get("self_deaf"))
        channel_id = int(data["channel_id"])
        if self._following:  # that is where the voice server is which is named next; discord.py would begin anew
            self.session_id = data["session_id"]
            self.enter_channel(channel_id)
            return
        if (self.apart or not self.at_rest) and channel_id != self.voice_client.channel.id:
            # discord.py would start a second handshake beside the first, and each would undo the other; between two
            # connections it would go back to where somebody took us from.
            self.enter_channel(channel_id)
            self.interrupt()
            return
        await super().voice_state_update(data)

    async def voice_server_update(self, data: Any) -> None:
        """The gateway names the voice server to use; without an address, one is being looked for."""
        self._answered = True
        self._reallocating = data.get("endpoint") is None
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

    async def disconnect(self, *, force: bool = False) -> None:
        """Whoever has the bot leave by discord.py wants it to stay out. A `discord.Client` that ends has it leave, too,
        and the call may go on with the next one."""
        if not self.client.is_closed():
            self.lost(Reason.REMOVED, None)
            self.connection.interrupt()
        await super().disconnect(force=force)
